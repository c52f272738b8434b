"""Alpha: read where it is a second coded picture, kept through every codec that has it, named where it is lost."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import Plane, picture
from vsr.core.errors import MuxError, SettingsError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import WHOLE, MediaInfo, OutputSpec, Span
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import open_source
from vsr.io.encoding.codecs import CODECS, encoder_options, format_losses, output_pixel_format
from vsr.io.encoding.encode import PyavSink, segment_format
from vsr.io.encoding.segments import decoding_order
from vsr.io.muxing.mux import join
from vsr.io.probe import probe

BT709 = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")
WIDTH, HEIGHT = 64, 48
_VPX = {"deadline": "realtime", "lag-in-frames": "0", "auto-alt-ref": "0", "b": "300k"}


def drawn(number: int, name: str) -> tuple[Plane, ...]:
    """Give planes whose alpha is a ramp that moves, unlike any other plane."""
    format = pixel_format(name)
    planes = picture(number, format, WIDTH, HEIGHT)
    ramp = (np.arange(WIDTH) * 3 + number * 5) % 200 / 200
    alpha = np.broadcast_to(np.round(ramp * format.peak), (HEIGHT, WIDTH)).astype(format.dtype)
    return (*planes[:-1], alpha)


def make_spec(codec: str, name: str, *, time_base: Fraction = Fraction(1, 90000), lossless: bool = False) -> OutputSpec:
    options = encoder_options(
        codec,
        crf=4 if codec == "vp9" else None,
        preset="realtime" if codec == "vp9" else None,
        threads=2,
        keyframe_interval=8,
        color=BT709,
        pixel_format=name,
    )
    return OutputSpec(
        codec=codec,
        encoder=CODECS[codec].encoder,
        options=options,
        width=WIDTH,
        height=HEIGHT,
        pixel_format=name,
        color=BT709,
        tags=BT709,
        time_base=time_base,
        rate=Fraction(25),
        threads=2,
        keyframe_interval=8,
    )


def segment(path: Path, spec: OutputSpec, times: list[int], *, first: int = 0) -> Path:
    sink = PyavSink(path, spec)
    for place, pts in enumerate(times):
        planes = drawn(first + place, spec.pixel_format)
        format = pixel_format(spec.pixel_format)
        sink.write(Frame(index=first + place, pts=pts, duration=50, planes=planes, format=format))
    written = sink.close()
    assert (list(written.pts), list(written.durations)) == (times, [50] * len(times))
    return path


def layered(folder: Path, *, frames: int = 20, suffix: str = ".webm") -> Path:
    """Write VP9 with alpha by PyAV alone, keyframes every eight."""
    path = folder / f"layered{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx-vp9", rate=25, options={"crf": "4", "b": "0", "deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuva420p"
        stream.codec_context.gop_size = 8
        for number in range(frames):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuva420p")
            for plane, target in zip(drawn(number, "yuva420p"), frame.planes, strict=True):
                rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
                rows[: plane.shape[0], : plane.shape[1]] = plane
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(info: MediaInfo, span: Span = WHOLE, seek: int | None = None, threads: int = 1) -> list[Frame]:
    return list(open_source(info, threads=threads).frames(span, seek=seek, tally=DecodeTally()))


def off(made: Plane, wanted: Plane) -> float:
    return float(np.abs(made.astype(float) - wanted.astype(float)).mean())


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_alpha_in_a_second_layer_is_read(suffix: str, tmp_path: Path) -> None:
    info = probe(layered(tmp_path, suffix=suffix))
    assert (info.video.pixel_format, info.video.has_alpha_layer, info.warnings) == ("yuva420p", True, ())
    frames = decoded(info, threads=2)
    assert len(frames) == 20
    for number, frame in enumerate(frames):
        assert off(frame.planes[3], drawn(number, "yuva420p")[3]) < 2


def test_the_ffmpeg_program_reads_it_as_well(tmp_path: Path) -> None:
    info = probe(layered(tmp_path))
    program = list(open_source(info, decoder="ffmpeg").frames(WHOLE))
    for one, other in zip(program, decoded(info), strict=True):
        assert one.pts == other.pts
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def test_a_chunk_of_it_is_that_of_the_whole(tmp_path: Path) -> None:
    info = probe(layered(tmp_path))
    keyframe = info.packets.keyframes[1]
    assert keyframe == info.packets.pts[8]
    part = decoded(info, Span(start=info.packets.pts[10], stop=info.packets.pts[18]), seek=keyframe)
    whole = decoded(info)[10:18]
    assert [frame.pts for frame in part] == [frame.pts for frame in whole]
    for one, other in zip(part, whole, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def misaligned(folder: Path, codec: str) -> Path:
    """Write a clip whose colours begin anew at frames 0, 6 and 12, and whose alpha at 0 and 9."""
    parts = []
    for place, keys in enumerate(((0, 6, 12), (0, 9))):
        parts.append(folder / f"{place}.webm")
        with av.open(str(parts[-1]), "w") as out:
            stream = out.add_stream(codec, rate=25, options=dict(_VPX))
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuva420p"
            for number in range(18):
                frame = av.VideoFrame(WIDTH, HEIGHT, "yuva420p")
                for plane, target in zip(drawn(number, "yuva420p"), frame.planes, strict=True):
                    rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
                    rows[: plane.shape[0], : plane.shape[1]] = plane
                frame.pts, frame.pict_type = number, int(number in keys)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    path = folder / "misaligned.webm"
    with av.open(str(parts[0])) as colours, av.open(str(parts[1])) as veils, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(colours.streams.video[0])
        for packet, other in zip(colours.demux(video=0), veils.demux(video=0), strict=True):
            if packet.size:
                packet.set_sidedata(other.get_sidedata("matroska_block_additional"))
                packet.stream = stream
                out.mux(packet)
    return path


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_chunk_begins_where_both_pictures_do(codec: str, tmp_path: Path) -> None:
    """VP8 decodes alpha from any place on, and gives other samples without a word."""
    info = probe(misaligned(tmp_path, codec))
    assert info.packets.keyframes == (0,)
    assert len(info.packets.pts) == 18


@pytest.mark.parametrize(
    ("codec", "name", "most"),
    [
        ("ffv1", "yuva420p", 0.0),
        ("ffv1", "yuva444p10le", 0.0),
        ("ffv1", "gbrap", 0.0),
        ("ffv1", "gbrap16le", 0.0),
        ("prores", "yuva444p10le", 0.5),  # comes back in 12 bits
        ("vp9", "yuva420p", 2.0),
    ],
)
def test_alpha_outlives_every_codec_that_has_it(codec: str, name: str, most: float, tmp_path: Path) -> None:
    spec = make_spec(codec, name)
    times = [0, 3600, 7300, 90001, 90002]
    path = segment(tmp_path / "a", spec, times)
    target = tmp_path / "a.mkv"
    source = probe(layered(tmp_path, frames=2))
    join([path], target, source=source, spec=spec, container="mkv", streams=(), pts=times, durations=[50] * len(times))
    info = probe(target)
    assert info.video.pixel_format == (name if codec != "prores" else "yuva444p12le")
    frames = decoded(info)
    assert [frame.pts for frame in frames] == [0, 40, 81, 1000, 1000 + 1]  # Matroska's milliseconds
    for number, frame in enumerate(frames):
        wanted = drawn(number, name)[-1].astype(float)
        scale = frame.format.peak / pixel_format(name).peak
        assert off(frame.planes[-1], wanted * scale) <= most * scale


@pytest.mark.parametrize("container", ["mkv", "webm"])
def test_segments_with_a_second_layer_are_joined_with_the_jobs_times(container: str, tmp_path: Path) -> None:
    spec = make_spec("vp9", "yuva420p", time_base=Fraction(1, 1000))
    assert segment_format(spec.encoder, spec.pixel_format) == "matroska"
    times = [0, 1, 33, 67, 1000, 5000, 5001]
    parts = [segment(tmp_path / "a", spec, times[:3]), segment(tmp_path / "b", spec, times[3:], first=3)]
    target = tmp_path / f"a.{container}"
    source = probe(layered(tmp_path, frames=2))
    arguments = {"source": source, "spec": spec, "container": container, "streams": ()}
    join(parts, target, pts=times, durations=[1] * len(times), **arguments)  # type: ignore[arg-type]
    frames = decoded(probe(target))
    assert [frame.pts for frame in frames] == times
    for number, frame in enumerate(frames):
        assert off(frame.planes[3], drawn(number, "yuva420p")[3]) < 2


def test_a_segment_of_places_may_stand_for_any_times(tmp_path: Path) -> None:
    spec = make_spec("vp9", "yuva420p")
    times = [-5000, -1, 0, 90_000, 90_001, 10**9]
    parts = [segment(tmp_path / "a", spec, times[:2]), segment(tmp_path / "b", spec, times[2:], first=2)]
    assert decoding_order(parts, spec, times) == list(range(6))
    for wrong in (times[:5], [*times, 10**9 + 1], times[:3]):
        with pytest.raises(MuxError):
            decoding_order(parts, spec, wrong)


def test_without_alpha_segments_stay_as_they_are() -> None:
    assert segment_format("libvpx-vp9", "yuv420p") == segment_format("libx264", "yuv420p") == "nut"


@pytest.mark.parametrize("source", ["yuva420p", "yuva444p10le", "gbrap", "gbrap16le"])
def test_vp9_keeps_alpha_where_the_container_does(source: str) -> None:
    for container in ("webm", "mkv", ""):
        assert output_pixel_format(source, "vp9", container=container) == "yuva420p"
    kept = output_pixel_format(source, "vp9", container="mp4")
    assert not pixel_format(kept).alpha
    assert "the alpha channel is left out" in format_losses(source, kept)
    with pytest.raises(SettingsError, match="mp4"):
        output_pixel_format(source, "vp9", "yuva420p", container="mp4")


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_codec_without_alpha_says_what_is_lost(codec: str) -> None:
    name = output_pixel_format("yuva420p", codec)
    assert format_losses("yuva420p", name) == ("the alpha channel is left out",)


def test_a_file_whose_layer_no_decoder_sees_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layered(tmp_path, frames=4)
    monkeypatch.setattr("vsr.io.probe.layered_decoder", lambda codec: None)
    info = probe(path)
    assert (info.video.pixel_format, info.video.has_alpha_layer) == ("yuv420p", False)
    assert any("alpha" in said for said in info.warnings)
    assert len(decoded(replace(info))) == 4
