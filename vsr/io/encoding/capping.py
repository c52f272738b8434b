"""A cap of the bit rate that is kept the same way in every run: what comes out too large is encoded once more.

While x264 and SVT-AV1 meet a cap their threads look at each other's unfinished frames, so that no two runs give the
same bytes; with one thread they do, at a fraction of the speed. libvpx takes from frames far below a cap as well. So
these write a segment without the cap, which few ever meet, and only one that is too large anywhere is decoded and
encoded again, under the cap and with one thread. The decision is made of the sizes of the first segment's packets,
which are the same in every run. x265 keeps a cap in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer

from vsr.core.errors import EncodeError
from vsr.core.frame import Frame, SideData, pixel_format
from vsr.core.media import OutputSpec
from vsr.io.atomic import translate
from vsr.io.base import Sink, Written
from vsr.io.decoding.alpha import layered_decoder
from vsr.io.decoding.frames import plane_views
from vsr.io.encoding.encode import PyavSink
from vsr.io.encoding.encoders import BUFFER_S
from vsr.io.encoding.options import joined_options, with_parameters
from vsr.io.encoding.segments import open_segment
from vsr.io.scan import packets

_FULL = Fraction(9, 10)  # of a player's buffer when it begins to show: what x264 reckons with
_SPS = b"\x00\x00\x01\x67"  # start of H.264's sequence parameter set; its level is the third byte after


def video_sink(path: Path, spec: OutputSpec) -> Sink:
    """Give the sink for one segment of a video, with the cap that the options of `spec` may hold."""
    limit = _limit(spec)
    return CappedSink(path, spec, limit) if limit is not None else PyavSink(path, spec)


def _limit(spec: OutputSpec) -> int | None:
    """Give the cap of an encoder that is run twice, in bits a second; None for all others."""
    options = dict(spec.options)
    if spec.encoder == "libvpx-vp9" and "crf" in options:
        return int(options.get("b", "0")) or None
    return int(options["maxrate"]) if spec.encoder in ("libx264", "libsvtav1") and "maxrate" in options else None


def _uncapped(spec: OutputSpec) -> OutputSpec:
    options = {key: value for key, value in spec.options if key not in ("maxrate", "bufsize")}
    if spec.encoder == "libvpx-vp9":
        options["b"] = "0"
    return replace(spec, options=tuple(options.items()))


def runs_dry(sizes: Sequence[int], seconds: Sequence[Fraction], *, limit: int) -> bool:
    """Whether a player that is sent `limit` bits a second lacks a packet when its time has come.

    sizes: bytes of the packets in decoding order. seconds: how long the frames are shown, in order of presentation.
    """
    most = limit * BUFFER_S
    held = most * _FULL
    for size, lasting in zip(sizes, seconds, strict=True):
        held -= 8 * size
        if held < 0:
            return True
        held = min(Fraction(most), held + limit * lasting)
    return False


class CappedSink:
    """A `Sink` that writes one segment, twice where the first is larger somewhere than the cap allows."""

    def __init__(self, path: Path, spec: OutputSpec, limit: int) -> None:
        self._path = path
        self._spec = spec
        self._limit = limit
        self._again = path.with_name(f"{path.name}.capped")
        self._sink = PyavSink(path, _uncapped(spec))
        self._side_data: list[SideData] = []

    def write(self, frame: Frame) -> None:
        """Encode one frame; see `io.base.Sink`."""
        self._side_data.append(frame.side_data)
        self._sink.write(frame)

    def close(self) -> Written:
        """Close the file, and encode it again where it is too large; see `io.base.Sink`."""
        written = self._sink.close()
        if not self._is_over(written):
            return written
        try:
            made = self._encoded_again(written)
            self._again.replace(self._path)
        except av.FFmpegError as error:
            raise EncodeError(f"{self._path}, just written, cannot be read back: {error.strerror}") from error
        except OSError as error:
            raise translate(error, self._path) from error
        return replace(made, path=self._path)

    def _encoded_again(self, written: Written) -> Written:
        with open_segment(self._path) as segment:
            second = PyavSink(self._again, self._capped_spec(segment))
            try:
                for frame in self._frames(segment, written):
                    second.write(frame)
                made = second.close()
            except BaseException:
                second.abort()
                raise
        if made.pts != written.pts:
            raise EncodeError(f"{self._path} holds {written.frames} frames, {made.frames} could be read back")
        return made

    def abort(self) -> None:
        """Give up; see `io.base.Sink`."""
        self._sink.abort()
        with suppress(OSError):
            self._again.unlink(missing_ok=True)

    def _is_over(self, written: Written) -> bool:
        seconds = [duration * self._spec.time_base for duration in written.durations]
        return runs_dry(self._sink.packet_sizes, seconds, limit=self._limit)

    def _capped_spec(self, segment: InputContainer) -> OutputSpec:
        """Give the spec for the second time: one thread, and the first header's level, for one header serves all."""
        spec = replace(self._spec, threads=1)
        options = joined_options(spec.options, (("threads", "1"),))
        if spec.encoder == "libsvtav1":
            return replace(spec, options=with_parameters(options, spec.encoder, (("lp", "1"),)))
        if spec.encoder != "libx264":
            return replace(spec, options=options)
        header = segment.streams.video[0].codec_context.extradata or b""
        at = header.find(_SPS)
        if at < 0:
            raise EncodeError(f"{self._path}, just written, has no sequence parameters")
        return replace(spec, options=joined_options(options, (("level", str(header[at + len(_SPS) + 2])),)))

    def _frames(self, segment: InputContainer, written: Written) -> Iterator[Frame]:
        """Yield the segment's frames with the times they had."""
        format = pixel_format(self._spec.pixel_format)
        stream = segment.streams.video[0]
        own = layered_decoder(self._spec.codec) if format.alpha else None
        decoder = own or stream.codec_context
        shown = (frame for packet in chain(packets(segment, stream), [None]) for frame in decoder.decode(packet))
        for index, frame in enumerate(shown):
            if index == written.frames:
                raise EncodeError(f"{self._path} holds {written.frames} frames, more could be read back")
            yield Frame(
                index=index,
                pts=written.pts[index],
                duration=written.durations[index],
                planes=plane_views(frame, format),
                format=format,
                side_data=self._side_data[index],
            )
