"""The ffmpeg program: a second Source and Sink, and the only caller of it.

Frames travel to and from the program as raw video in NUT, which carries every pixel format and the exact pts: nothing
is re-timed or converted on the way. The program's words go to a temporary file, so that no pipe can fill up unread.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import av.error
import ffmpeg
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vsr.core.errors import DecodeError, DiskFull, EncodeError, OutputError, UsageError
from vsr.core.frame import UNSPECIFIED, Frame
from vsr.core.media import MediaInfo, OutputSpec, Span
from vsr.io.atomic import translate
from vsr.io.base import DecodeTally, Written
from vsr.io.decoding.alpha import DECODERS as LAYERED_DECODERS
from vsr.io.decoding.formats import Unpacker
from vsr.io.decoding.frames import Decoded, changed, timed, to_frame
from vsr.io.decoding.timing import Clock
from vsr.io.encoding.encode import encoder_format, segment_format, segment_options
from vsr.io.inputs import FORMATS, check_regular
from vsr.io.limits import MAX_PIXELS
from vsr.io.metadata.description import CROPPING
from vsr.io.scan import packets
from vsr.io.tags import SITINGS

log = logging.getLogger(__name__)

VARIABLE = "VSR_FFMPEG"
_PIPE_BYTES = 1 << 20
_FALLBACK_RATE = Fraction(25)  # a hint for rate control, as in `encode`
_REFUSED = "Error submitting packet to decoder"


def program() -> Path | None:
    """Find the ffmpeg program: the environment's VSR_FFMPEG, then PATH, then the package imageio-ffmpeg."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named) if Path(named).is_file() else None
    found = shutil.which("ffmpeg")
    if found:
        return Path(found)
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # a build of the package without a program inside
        return None


def require_program() -> Path:
    """Give the ffmpeg program.

    Raises:
        UsageError: there is none.
    """
    found = program()
    if found is None:
        named = os.environ.get(VARIABLE)
        where = f"{VARIABLE}={named} names no file" if named else f"neither on PATH nor in ${VARIABLE}"
        raise UsageError(f"the ffmpeg program is not there: {where}", hint='Install it, or pip install "vsr[ffmpeg]".')
    return found


def run_program(arguments: Sequence[str], *, folder: Path) -> tuple[int, str]:
    """Run the ffmpeg program in `folder` and give its exit code and all its words.

    Raises:
        UsageError: there is none.
    """
    command = [str(require_program()), "-nostdin", "-hide_banner", *arguments]
    ended = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return ended.returncode, ended.stdout.decode("utf-8", errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegSource:
    """Frames decoded by the ffmpeg program. It decodes from the start of the stream, whatever `seek` says."""

    info: MediaInfo
    threads: int = 1
    max_pixels: int = MAX_PIXELS

    def frames(self, span: Span, *, seek: int | None = None, tally: DecodeTally | None = None) -> Iterator[Frame]:
        """Yield the frames whose pts lie in `span`; see `io.base.Source`.

        `tally` counts the packets that the program says it refused; which frames it concealed it does not say.

        Raises:
            DecodeError: the program fails, nothing can be decoded, or size or pixel format change in mid-stream.
            InputMissing: the file has gone.
            UsageError: there is no ffmpeg program.
        """
        check_regular(self.info.path)
        counted = tally if tally is not None else DecodeTally()
        clock = Clock(self.info.packets, counted)
        unpack = Unpacker(self.info.video.pixel_format)
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._arguments(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, bufsize=_PIPE_BYTES
            )
            try:
                for timing, frame in timed(self._decoded(process), clock):
                    if span.stop is not None and timing.pts >= span.stop:
                        return
                    if timing.pts in span:
                        counted.frames += 1
                        yield to_frame(frame, timing, self.info, unpack)
                process.wait()
            finally:
                _end(process)
            self._check(process.returncode, _words(said), counted, clock)

    def _arguments(self) -> list[str]:
        video = self.info.video
        # The program alone cuts off what the container tells players to hide, from version 7.1 on; PyAV shows it all.
        is_cropped = any(word.startswith(CROPPING) for word in video.side_data)
        source = ffmpeg.input(
            f"file:{self.info.path.absolute()}",
            noautorotate=None,
            threads=self.threads,
            max_pixels=self.max_pixels,
            protocol_whitelist="file",
            format_whitelist=FORMATS,
            **({"apply_cropping": "codec"} if is_cropped else {}),
            **({"vcodec": LAYERED_DECODERS[video.codec]} if video.has_alpha_layer else {}),
        )[str(video.index)]
        if self._shift:
            source = source.filter("setpts", f"PTS+{self._shift}")
        output = source.output(
            "pipe:1",
            format="nut",
            vcodec="rawvideo",
            fps_mode="passthrough",
            enc_time_base=f"{video.time_base.numerator}/{video.time_base.denominator}",
            avoid_negative_ts="disabled",
            noautoscale=None,
        )
        return _compile(output)

    @property
    def _shift(self) -> int:
        """How many ticks later frames travel: NUT holds no negative pts."""
        return max(0, -self.info.packets.pts[0]) if self.info.packets.pts else 0

    def _decoded(self, process: subprocess.Popen[bytes]) -> Iterator[Decoded]:
        size = 0
        try:
            with av.open(process.stdout, "r", format="nut", buffer_size=_PIPE_BYTES) as container:
                stream = container.streams.video[0]
                for packet in packets(container, stream):
                    pts = self._ticks(packet)
                    size = size or packet.size
                    if packet.size != size:
                        # Raw pictures of another size would be read as if they were of this one.
                        raise changed(self.info, pts, f"raw frames become {packet.size} bytes, after {size}")
                    # NUT holds no durations; those that PyAV would give are guesses by frame rate.
                    yield from ((pts, 0, frame) for frame in stream.codec_context.decode(packet))
        except av.error.FFmpegError as error:
            log.debug("the stream of the ffmpeg program ends: %s", error)  # its exit code and words say why

    def _ticks(self, packet: Packet[VideoStream]) -> int | None:
        if packet.pts is None:
            return None
        ticks = packet.pts * Fraction(packet.time_base) / self.info.video.time_base
        if ticks.denominator != 1:
            raise DecodeError(f"{self.info.path}: the ffmpeg program re-timed a frame to {ticks} ticks")
        return int(ticks) - self._shift

    def _check(self, code: int, said: str, counted: DecodeTally, clock: Clock) -> None:
        """Hold the exit code and the words of the program against what came.

        Raises:
            DecodeError: it failed, or no frame came.
        """
        lines = [line for line in said.splitlines() if line.strip()]
        refused = [line for line in lines if _REFUSED in line]
        counted.errors += len(refused)
        if refused and not counted.first_error:
            counted.first_error = refused[0]
        if clock.is_untouched:
            reason = lines[0] if lines else f"exit code {code}"
            raise DecodeError(
                f"no frame of {self.info.path} could be decoded by ffmpeg: {reason}",
                hint="The file is damaged; fetch it again.",
            )
        if code != 0:
            raise DecodeError(
                f"ffmpeg broke off with exit code {code} after {counted.frames} frames of {self.info.path}: "
                f"{lines[-1] if lines else 'it said nothing'}",
                hint="Try the other decoder: --decoder pyav.",
            )


class FfmpegSink:
    """A `Sink` that writes one segment, encoded by the ffmpeg program; the first frame is a keyframe."""

    def __init__(self, path: Path, spec: OutputSpec) -> None:
        self._path = path
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._pipe: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._shift = 0
        self._times: list[tuple[int, int]] = []

    def write(self, frame: Frame) -> None:
        """Hand one frame to the program, with its own pts.

        Raises:
            EncodeError: its size or format is not the spec's, its time does not rise, or the program has ended.
            DiskFull: no space left.
            UsageError: there is no ffmpeg program.
        """
        spec = self._spec
        if (frame.width, frame.height, frame.format.name) != (spec.width, spec.height, spec.pixel_format):
            raise EncodeError(
                f"frame {frame.index} is {frame.width}x{frame.height} {frame.format.name}, "
                f"{self._path} takes {spec.width}x{spec.height} {spec.pixel_format}"
            )
        if self._times and frame.pts <= self._times[-1][0]:
            raise EncodeError(f"frame {frame.index} has pts {frame.pts}, not after {self._times[-1][0]} before it")
        try:
            if self._stream is None:
                self._open(frame.pts)
            self._send(_raw_picture(frame, frame.pts + self._shift, spec.time_base))
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(f"frame {frame.index} (pts {frame.pts})", error) from error
        self._times.append((frame.pts, frame.duration))

    def close(self) -> Written:
        """Let the program finish, check its file packet by packet, and sync it.

        Raises:
            EncodeError: nothing was written, the program failed, or other frames came out than went in.
            DiskFull: no space left.
        """
        if self._process is None or self._pipe is None:
            raise EncodeError(f"no frame was written to {self._path}")
        try:
            self._send(None)
            self._pipe.close()
            self._close_pipe()
            code = self._process.wait()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure("the end of the stream", error) from error
        if code != 0:
            raise self._failure("the end of the stream", None)
        self._sync()
        times = sorted(pts - self._shift for pts in _packet_times(self._path, self._spec.time_base))
        if times != [pts for pts, _ in self._times]:
            raise EncodeError(
                f"{self._spec.encoder} was given {len(self._times)} frames for {self._path} and returned "
                f"{len(times)}, or with other times"
            )
        return Written(
            path=self._path,
            frames=len(self._times),
            pts=tuple(pts for pts, _ in self._times),
            durations=tuple(duration for _, duration in self._times),
            bytes=self._path.stat().st_size,
        )

    def abort(self) -> None:
        """Stop the program and remove the file, if this sink opened it."""
        if self._process is None:
            return
        self._process.kill()
        with suppress(av.error.FFmpegError, OSError, ValueError):  # the pipe's end is gone; so shall be the rest
            if self._pipe is not None:
                self._pipe.close()
        self._close_pipe()
        self._process.wait()
        if self._said is not None:
            self._said.close()
        self._path.unlink(missing_ok=True)

    def _open(self, first: int) -> None:
        spec = self._spec
        self._shift = max(0, -first)  # NUT holds no negative pts
        self._path.open("wb").close()  # the program's own words for a missing folder or a full disk are vaguer
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the program
        self._process = subprocess.Popen(
            _encoder_arguments(self._path, spec), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said
        )
        self._pipe = av.open(self._process.stdin, "w", format="nut", buffer_size=_PIPE_BYTES)
        stream = self._pipe.add_stream("rawvideo", rate=spec.rate or _FALLBACK_RATE, time_base=spec.time_base)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, spec.pixel_format
        stream.codec_context.sample_aspect_ratio = spec.sar
        self._stream = stream

    def _send(self, picture: av.VideoFrame | None) -> None:
        assert self._pipe is not None and self._stream is not None
        for packet in self._stream.encode(picture):
            self._pipe.mux_one(packet)

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):  # the exit code says what happened
                self._process.stdin.close()

    def _sync(self) -> None:
        try:
            with self._path.open("rb") as written:
                os.fsync(written.fileno())
        except OSError as error:
            raise translate(error, self._path) from error

    def _failure(self, where: str, error: Exception | None) -> OutputError:
        """Give what made the program fail, in its own words where it left some."""
        if self._process is None or self._said is None:
            return translate(error, self._path) if isinstance(error, OSError) else EncodeError(str(error))
        self._process.kill()
        self._process.wait()
        said = _words(self._said)
        if "No space left on device" in said:
            return DiskFull(f"no space left for {self._path}", hint="Free some space, or name an output elsewhere.")
        lines = [line for line in said.splitlines() if line.strip()]
        reason = lines[0] if lines else str(error)
        return EncodeError(f"ffmpeg's {self._spec.encoder} failed at {where} of {self._path}: {reason}")


def _compile(output: object) -> list[str]:
    flags = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-copyts")
    command: list[str] = ffmpeg.compile(ffmpeg.overwrite_output(output).global_args(*flags), cmd=str(require_program()))
    return command


def _encoder_arguments(path: Path, spec: OutputSpec) -> list[str]:
    """Give the command that encodes NUT from its standard input as the spec says."""
    tags = {
        "range": spec.tags.range,
        "color_primaries": spec.tags.primaries,
        "color_trc": spec.tags.transfer,
        "colorspace": spec.tags.matrix,
    }
    # setparams and setsar only write on the frame: they convert nothing.
    known = {key: value for key, value in tags.items() if value != UNSPECIFIED}
    picture = ffmpeg.input("pipe:0", format="nut")["v:0"]
    picture = picture.filter("setparams", **known) if known else picture
    picture = picture.filter("setsar", f"{spec.sar.numerator}/{spec.sar.denominator}")
    options = {f"{key}:v": value for key, value in spec.options}
    if spec.tags.siting in SITINGS:
        options.setdefault("chroma_sample_location:v", spec.tags.siting)
    output = picture.output(
        f"file:{path.absolute()}",
        format=segment_format(spec.encoder),
        vcodec=spec.encoder,
        pix_fmt=encoder_format(spec),
        fps_mode="passthrough",
        enc_time_base=f"{spec.time_base.numerator}/{spec.time_base.denominator}",
        threads=spec.threads,
        g=spec.keyframe_interval,
        **segment_options(spec),
        **options,
    )
    return _compile(output)


def _raw_picture(frame: Frame, pts: int, time_base: Fraction) -> av.VideoFrame:
    picture = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for plane, target in zip(frame.planes, picture.planes, strict=True):
        rows = np.frombuffer(memoryview(target), plane.dtype).reshape(-1, target.line_size // plane.itemsize)
        rows[: plane.shape[0], : plane.shape[1]] = plane
    picture.pts, picture.time_base = pts, time_base
    return picture


def _packet_times(path: Path, time_base: Fraction) -> list[int]:
    """Give the pts of a segment's packets, in ticks of `time_base`.

    Raises:
        EncodeError: the file cannot be read back.
    """
    try:
        with av.open(f"file:{path.absolute()}") as container:
            stream = container.streams.video[0]
            scale = Fraction(stream.time_base or 1) / time_base
            return [round(packet.pts * scale) for packet in packets(container, stream) if packet.pts is not None]
    except av.error.FFmpegError as error:
        raise EncodeError(f"{path}, written by ffmpeg, cannot be read back: {error.strerror}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the program is gone, whatever happened."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.kill()
    process.wait()


def _words(said: IO[bytes]) -> str:
    """Give the beginning of what the program wrote."""
    said.seek(0)
    return said.read(1 << 20).decode("utf-8", errors="replace")
