"""A job's way from frames to a finished file, without a network between: encode, join, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.media import picture
from vsr.core.frame import NO_SIDE_DATA, ColorSpec, Frame, SideData, pixel_format
from vsr.core.media import HdrMetadata, MediaInfo, OutputSpec
from vsr.io.encoding.codecs import encoder_for, encoder_options
from vsr.io.encoding.encode import PyavSink
from vsr.io.muxing.mux import Muxed, join
from vsr.io.probe import probe

FAST = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12", "vp9": "realtime"}
COLOR = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")


def spec_for(info: MediaInfo, codec: str, *, width: int = 96, height: int = 64, hdr: HdrMetadata | None) -> OutputSpec:
    name = "yuv422p10le" if codec == "prores" else "yuv420p"
    options = encoder_options(
        codec,
        crf=None,
        preset=FAST.get(codec),
        threads=1,
        keyframe_interval=250,
        color=COLOR,
        pixel_format=name,
        hdr=hdr,
        extra=(("bf", "2"),) if codec == "h264" else (),
    )
    return OutputSpec(
        codec=codec,
        encoder=encoder_for(codec),
        options=options,
        width=width,
        height=height,
        pixel_format=name,
        color=COLOR,
        tags=COLOR,
        time_base=info.video.time_base,
        rate=info.video.rate,
        sar=info.video.sar,
        rotation=info.video.rotation,
        display_matrix=info.video.display_matrix,
        hdr=hdr,
        threads=1,
    )


def rejoin(
    source: Path | MediaInfo,
    target: Path,
    codec: str,
    *,
    hdr: HdrMetadata | None = None,
    captions: Sequence[bytes] = (),
    cut: int = 0,
) -> Muxed:
    """Encode numbered frames at the source's times in segments of `cut` frames and the rest, and join them."""
    info = probe(source) if isinstance(source, Path) else source
    info = replace(info, streams=())
    spec = spec_for(info, codec, hdr=hdr)
    pts = info.packets.pts
    folder = target.parent / f"segments-{target.name}"
    folder.mkdir()
    segments = []
    for first, last in ((0, cut), (cut, len(pts))):
        if first == last:
            continue
        segments.append(folder / f"{first}.nut")
        sink = PyavSink(segments[-1], spec)
        for index in range(first, last):
            fmt = pixel_format(spec.pixel_format)
            carried = SideData(captions=captions[index]) if captions else NO_SIDE_DATA
            planes = picture(index, fmt, spec.width, spec.height)
            sink.write(Frame(index=index, pts=pts[index], duration=1, planes=planes, format=fmt, side_data=carried))
        sink.close()
    return join(
        segments,
        target,
        source=info,
        spec=spec,
        container=target.suffix.removeprefix("."),
        streams=(),
        pts=pts,
        durations=info.packets.durations,
    )
