"""Claims are held against limits before memory goes: pixels, streams, packets, tables; and nothing else is opened."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
import pytest

from tests import bombs
from tests.media import make_clip
from vsr.core.errors import DecodeError, InputError, InputLimits, NotMedia, UnsupportedInput
from vsr.core.media import Span
from vsr.io import limits
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe

WHOLE = Span()
HUGE = 30_000
MANY = 60_000_000
ROOM_BYTES = 128 << 20

# Probes and decodes each file it is given and prints the error's name; then by how many bytes its memory has grown.
CHILD = """
import resource, sys
from pathlib import Path
import cv2
from vsr.core.media import Span
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe
limit = int(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[2:]:
    try:
        found = probe(Path(name), max_pixels=limit)
        print(sum(1 for _ in open_source(found, max_pixels=limit).frames(Span())))
    except Exception as error:
        print(type(error).__name__)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def in_child(*files: Path, max_pixels: int = limits.MAX_PIXELS) -> tuple[list[str], int]:
    """Give what became of each file in a process of its own, and by how many bytes its memory grew at most."""
    command = [sys.executable, "-c", CHILD, str(max_pixels), *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    *said, grown = ended.stdout.split()
    return said, int(grown)


def test_pictures_that_claim_to_be_huge_are_refused_before_memory_goes(tmp_path: Path) -> None:
    one = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    files = [
        bombs.write(tmp_path / "a.png", bombs.png(60_000, 60_000)),
        bombs.write(tmp_path / "a.jpg", bombs.jpeg(one, 60_000, 60_000)),
        bombs.write(tmp_path / "a.tif", bombs.tiff(60_000, 60_000)),
        bombs.write(tmp_path / "a.webp", bombs.webp(60_000, 60_000)),
    ]

    said, grown = in_child(*files)

    assert said == ["InputLimits"] * len(files)
    assert grown < ROOM_BYTES
    with pytest.raises(InputLimits, match="60000x60000") as caught:
        probe(files[0])
    assert caught.value.hint is not None and "--max-pixels 3600000000" in caught.value.hint


@pytest.mark.parametrize("tags", [{322: 1 << 14, 323: 1 << 14, 324: 8, 325: 8}, {278: 1 << 30}, {277: 60_000}])
def test_a_small_tiff_of_huge_tiles_strips_or_samples_is_refused_without_memory(
    tags: dict[int, int], tmp_path: Path
) -> None:
    said, grown = in_child(bombs.write(tmp_path / "a.tif", bombs.tiff(16, 16, extra=tuple(tags.items()))))

    assert said == ["DecodeError"]
    assert grown < ROOM_BYTES


def test_a_png_that_unpacks_to_much_more_than_its_picture_costs_no_memory(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(ROOM_BYTES), 9)
    files = [
        bombs.write(tmp_path / "profile.png", bombs.png(8, 8, chunks=bombs.png_chunk(b"iCCP", b"x\0\0" + packed))),
        bombs.write(tmp_path / "text.png", bombs.png(8, 8, chunks=bombs.png_chunk(b"zTXt", b"x\0\0" + packed))),
        bombs.write(tmp_path / "data.png", bombs.png(8, 8, data=bytes(ROOM_BYTES))),
    ]

    said, grown = in_child(*files)

    assert said == ["1"] * 3  # the picture is there; the rest is not unpacked
    assert grown < ROOM_BYTES


def test_an_image_file_longer_than_its_pixels_need_is_not_read(tmp_path: Path) -> None:
    image = bombs.write(tmp_path / "a.png", bombs.png(8, 8))
    os.truncate(image, 8 * limits.MAX_PIXELS + limits.MAX_IMAGE_BYTES + 1)  # sparse: nothing is on the disk

    said, grown = in_child(image)

    assert said == ["InputLimits"]
    assert grown < ROOM_BYTES


def test_films_that_claim_to_be_huge_are_refused_before_memory_goes(tmp_path: Path) -> None:
    files = []
    for codec in ("rawvideo", "ffv1"):
        clip = make_clip(tmp_path / f"{codec}.avi", codec=codec, frames=2, b_frames=0)
        files.append(bombs.write(clip, bombs.avi(clip.read_bytes(), (64, 48), (HUGE, HUGE))))
    for codec in ("V_FFV1", "V_MJPEG", "V_VP9"):
        files.append(bombs.write(tmp_path / f"{codec[2:]}.mkv", bombs.mkv(width=HUGE, height=HUGE, codec=codec)))
    files.append(bombs.write(tmp_path / "a.mp4", bombs.mp4(width=HUGE, height=HUGE, sample_bytes=100)))

    said, grown = in_child(*files)

    assert said == ["InputLimits"] * len(files)
    assert grown < ROOM_BYTES


def test_a_huge_y4m_is_refused_before_memory_goes(tmp_path: Path) -> None:
    said, grown = in_child(bombs.write(tmp_path / "a.y4m", bombs.y4m(HUGE, HUGE)))

    assert said == ["NotMedia"]  # FFmpeg does not take its header for one
    assert grown < ROOM_BYTES


@pytest.mark.parametrize("name", ["a.mkv", "a.h264"])
def test_a_stream_larger_than_its_container_says_is_not_decoded(name: str, tmp_path: Path) -> None:
    units = [bombs.h264(8192, 8192)] * 4
    content = bombs.mkv(codec="V_MPEG4/ISO/AVC", frames=units) if name.endswith("mkv") else b"".join(units)
    film = bombs.write(tmp_path / name, content)

    said, grown = in_child(film, max_pixels=1_000_000)

    assert said == ["InputLimits"]
    assert grown < ROOM_BYTES  # one of its frames has 100 MB, and the decoder holds three


def test_pictures_that_become_too_large_in_mid_stream_are_never_decoded(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.h264", format="h264", frames=200, b_frames=0)
    film = bombs.write(tmp_path / "film.h264", small.read_bytes() + bombs.h264(8192, 8192) * 4)
    info = probe(film, max_pixels=1_000_000)
    frames = []

    with pytest.raises(InputLimits, match="8192x8192"):
        for frame in open_source(info, max_pixels=1_000_000).frames(WHOLE):
            frames.append(frame)

    assert len(frames) == 200
    said, grown = in_child(film, max_pixels=1_000_000)
    assert said == ["InputLimits"]
    assert grown < ROOM_BYTES


def test_the_ffmpeg_program_gets_the_limit_too(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mkv", frames=2))

    with pytest.raises(DecodeError, match="no frame of"):
        list(open_source(info, decoder="ffmpeg", max_pixels=64 * 48 - 1).frames(WHOLE))
    assert len(list(open_source(info, decoder="ffmpeg", max_pixels=64 * 48).frames(WHOLE))) == 2


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_more_streams_than_anybody_has_are_refused(name: str, tmp_path: Path) -> None:
    make = bombs.mp4 if name.endswith("mp4") else lambda **given: bombs.mkv(codec="V_MJPEG", **given)
    film = bombs.write(tmp_path / name, make(tracks=limits.MAX_STREAMS + 200))

    with pytest.raises(InputLimits, match="more than 1000 streams"):
        probe(film)


@pytest.mark.parametrize(
    "claims",
    [
        {"samples": MANY},
        {"samples": MANY, "is_packed": True},
        {"samples": MANY, "handler": b"tmcd"},
        {"samples": MANY, "handler": b"soun", "ticks": 2},
        {"fragments": (MANY // 2,) * 2},
        {"samples": 500_000, "tracks": 3},
    ],
)
def test_tables_that_claim_more_samples_than_bytes_are_refused_before_memory_goes(
    claims: dict[str, object], tmp_path: Path
) -> None:
    film = bombs.write(tmp_path / "a.mp4", bombs.mp4(**claims))  # type: ignore[arg-type]

    with pytest.raises(InputLimits, match="its tables claim"):
        limits.check_tables(film)
    assert in_child(film)[1] < ROOM_BYTES


def test_true_tables_pass(tmp_path: Path) -> None:
    for content in (bombs.mp4(samples=900_000), bombs.mp4(fragments=(3, 3)), bombs.mp4(samples=7, is_packed=True)):
        limits.check_tables(bombs.write(tmp_path / "a.mp4", content))
    for name in ("a.mp4", "a.mov", "a.mkv", "a.ts", "a.avi"):
        limits.check_tables(make_clip(tmp_path / name, frames=2, audio=1))


def test_a_header_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(65 << 20), 9)
    body = bombs.box(b"dcom", b"zlib") + bombs.box(b"cmvd", struct.pack(">I", 100) + packed)
    film = bombs.write(tmp_path / "a.mov", bombs.box(b"moov", bombs.box(b"cmov", body)))

    with pytest.raises(InputLimits, match="unpacks to more than"):
        probe(film)


def test_boxes_in_boxes_without_end_are_left_to_themselves(tmp_path: Path) -> None:
    nested = b""
    for _ in range(5000):
        nested = bombs.box(b"moov", nested)

    with pytest.raises(InputError):
        probe(bombs.write(tmp_path / "deep.mp4", nested))


def test_boxes_without_end_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_BOXES", 1000)
    limits.check_tables(bombs.write(tmp_path / "a.mp4", bombs.box(b"free") * 1000))

    with pytest.raises(InputLimits, match="more than 1000 boxes"):
        limits.check_tables(bombs.write(tmp_path / "b.mp4", bombs.box(b"free") * 1001))


def test_a_film_of_more_packets_than_memory_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=12)
    monkeypatch.setattr(limits, "MAX_PACKETS", 12)
    assert len(probe(clip).packets.pts) == 12

    monkeypatch.setattr(limits, "MAX_PACKETS", 11)
    with pytest.raises(InputLimits, match="more than 11 video packets"):
        probe(clip)


def test_a_duration_without_end_is_a_claim_and_the_packets_count(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "a.mp4", frames=5)
    data = bytearray(film.read_bytes())
    at = data.find(b"mvhd") + 20  # after version, flags, two times and the time scale
    data[at : at + 4] = b"\xff\xff\xff\xfe"
    film.write_bytes(data)

    assert probe(film).frame_count == 5


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom", "pipe", "socket"])
def test_what_is_no_regular_file_is_never_opened(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")

        with pytest.raises(UnsupportedInput, match="not a regular file"):
            probe(Path(path))


class Watch:
    """Tells whether a file was opened since it was asked last (inotify(7)); the process needs no rights for it."""

    _IN_OPEN, _IN_NONBLOCK = 0x20, 0o4000

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(self._IN_NONBLOCK)
        assert self._handle >= 0 and libc.inotify_add_watch(self._handle, os.fsencode(path), self._IN_OPEN) >= 0

    def was_opened(self) -> bool:
        try:
            return bool(os.read(self._handle, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._handle)


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[tuple[Path, Watch]]:
    """A true film that a false one names, and whether anybody has opened it."""
    path = make_clip(tmp_path / "secret.ts", frames=3)
    watch = Watch(path)
    yield path, watch
    watch.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def was_called(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def claims_on(what: str) -> dict[str, bytes]:
    """Give the files that make a careless player open `what`, by the name of the trick."""
    named = what.encode()
    scheme = b"" if b"://" in named else b"file:"
    return {
        "concat": b"ffconcat version 1.0\nfile '" + named + b"'\n",
        "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n" + named + b"\n#EXT-X-ENDLIST\n",
        "hls-key": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-KEY:METHOD=AES-128,URI=\"" + named + b'"\n#EXTINF:5,\n'
        + named + b"\n#EXT-X-ENDLIST\n",
        "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        b'<Representation id="1" bandwidth="1"><BaseURL>' + named + b"</BaseURL></Representation></AdaptationSet>"
        b"</Period></MPD>",
        "m3u": named + b"\n",
        "ffmetadata": b";FFMETADATA1\ntitle=x\n[STREAM]\nfile=" + named + b"\n",
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 33\na=" + named,
        "asx": b'<asx version="3.0"><entry><ref href="' + scheme + named + b'"/></entry></asx>',
        "mov": bombs.mp4(samples=3, sample_bytes=100, reference=bombs.full_box(b"url ", named + b"\0")),
        "mov-alias": bombs.mp4(samples=3, sample_bytes=100, reference=bombs.alias(named[-60:])),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="' + named + b'"/></svg>',
    }  # fmt: skip


@pytest.mark.parametrize("trick", sorted(claims_on("")))
@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_a_file_that_names_another_opens_it_not(
    trick: str, suffix: str, secret: tuple[Path, Watch], tmp_path: Path
) -> None:
    path, watch = secret
    film = bombs.write(tmp_path / f"film.{suffix}", claims_on(path.name)[trick])

    with pytest.raises((NotMedia, DecodeError, UnsupportedInput)):
        list(open_source(probe(film)).frames(WHOLE))

    assert not watch.was_opened()
    path.read_bytes()
    assert watch.was_opened()  # it would have been seen


@pytest.mark.parametrize("trick", sorted(claims_on("")))
def test_a_file_that_names_a_url_reaches_no_network(trick: str, server: socket.socket, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.getsockname()[1]}/film.ts"
    film = bombs.write(tmp_path / "film.mp4", claims_on(url)[trick])

    with pytest.raises((NotMedia, DecodeError, UnsupportedInput)):
        list(open_source(probe(film)).frames(WHOLE))

    assert not was_called(server)
    socket.create_connection(server.getsockname()).close()
    assert was_called(server)  # it would have been seen


@pytest.mark.parametrize("limit", [(1 << 31) - 1, 1 << 31, 1 << 40])
def test_a_limit_beyond_ffmpegs_own_refuses_no_file(tmp_path: Path, limit: int) -> None:
    """FFmpeg takes none above 2^31 - 1, and would call the file damaged."""
    film = make_clip(tmp_path / "film.mkv", frames=3)
    info = probe(film, max_pixels=limit)
    assert len(list(open_source(info, max_pixels=limit).frames(WHOLE))) == 3


@pytest.mark.parametrize("trick", ["concat", "hls", "mov-alias"])
def test_the_tricks_are_true_ones(trick: str, secret: tuple[Path, Watch], tmp_path: Path) -> None:
    """The control: FFmpeg without our lists follows them (a reference in a MOV when it is told to)."""
    path, watch = secret
    film = bombs.write(tmp_path / ("film.mov" if trick == "mov-alias" else "film.m3u8"), claims_on(path.name)[trick])

    with av.open(str(film), options={"enable_drefs": "1"}) as container:
        assert container.streams.video

    assert watch.was_opened()
