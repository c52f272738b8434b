"""Media on a GPU: its decoders and encoders, fields and turns on the way through CUDA. `gpu.py` runs these checks.

    python benchmarks/gpu_media.py [--device cpu]

alone: each check in a few seconds. What a machine has not (a decoder, an encoder) is a row `skipped` with the words of
what refused it. With `--device cpu` the same checks go through without a GPU: of the devices' own they skip all.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vsr.core.errors import NoDevice, VsrError
from vsr.core.frame import Frame
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.core.presets import resolve
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import open_source
from vsr.io.decoding.deinterlace import Merging
from vsr.io.decoding.fields import fields_of
from vsr.io.decoding.hwdecode import device_trouble
from vsr.io.encoding.hardware import choose_encoder
from vsr.io.probe import probe
from vsr.jobs.bench import synthetic
from vsr.jobs.plan import plan
from vsr.jobs.run import run
from vsr.jobs.verify.entry import verify

Row = dict[str, object]
CONTAINERS = {"h264": "mp4", "hevc": "mp4", "av1": "mkv", "vp9": "webm"}
PRESETS = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "13", "vp9": "realtime"}
PLAIN: Row = {"model": "nearest", "scale": 2.0, "precision": "fp32", "chunk_frames": 8, "overwrite": True}
QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # shown turned by 90 degrees (ISO/IEC 14496-12 sec. 8.2.2)


def through(clip: Path, out: Path, **settings: object) -> list[Frame]:
    run(plan(clip, out, resolve({**PLAIN, **settings})))
    return list(open_source(probe(out)).frames(WHOLE))


def same(a: list[Frame], b: list[Frame], most: int = 0) -> bool:
    """Whether both are as many, of the same times, and no code is further off than `most`."""
    if [(f.pts, f.duration, f.format.name) for f in a] != [(f.pts, f.duration, f.format.name) for f in b]:
        return False
    pairs = ((p, q) for x, y in zip(a, b, strict=True) for p, q in zip(x.planes, y.planes, strict=True))
    return all(p.shape == q.shape and np.abs(p.astype(int) - q.astype(int)).max() <= most for p, q in pairs)


def decoded(folder: Path, device: str) -> list[Row]:
    """Every frame of the device's decoder is software's: whole, from the middle, and each field by itself."""
    clip = synthetic(folder / "decoded.mkv", width=320, height=180, frames=36)
    rows: list[Row] = []
    for codec, suffix in CONTAINERS.items():
        trouble = device_trouble("cuda", codec) if device == "cuda" else "asked for a CPU"
        if trouble:
            rows.append({"decoder": codec, "skipped": trouble})
            continue
        path = folder / f"decoded_{codec}.{suffix}"
        through(clip, path, codec=codec, encoder_preset=PRESETS[codec], keyint=8, device="cpu")
        info = probe(path)
        key = info.packets.keyframes[2]
        kinds: tuple[tuple[str, MediaInfo, Merging, int | None], ...] = (
            ("whole", info, "off", None),
            ("middle", info, "off", key),
            ("fields", fields_of(info), "field", None),
        )
        for name, of, merging, seek in kinds:
            tally = DecodeTally()
            span = Span(start=seek)
            hard = open_source(of, hwaccel="cuda", deinterlace=merging).frames(span, seek=seek, tally=tally)
            soft = open_source(of, deinterlace=merging).frames(span, seek=seek)
            ok = same(list(hard), list(soft)) and not tally.fell_back
            rows.append({"decoder": codec, "part": name, "fell_back": tally.fell_back, "ok": ok})
    return rows


def encoded(folder: Path, device: str) -> list[Row]:
    """Hardware encoders through a whole job of several chunks: as many frames, at their times, and `vsr verify`."""
    clip = synthetic(folder / "encoded.mkv", width=320, height=180, frames=36)
    rows: list[Row] = []
    for codec in ("h264", "hevc", "av1"):
        try:
            encoder = choose_encoder(codec, "hardware")
        except NoDevice as error:
            rows.append({"encoder": codec, "skipped": error.message})
            continue
        out = folder / f"encoded.{codec}.mp4"
        frames = through(clip, out, codec=codec, encoder="hardware", device=device)
        verdict = verify(clip, out)
        said = [f"{one.check}: {one.detail}" for one in verdict.findings if one.state == "broken"]
        again = through(clip, folder / f"again.{codec}.mp4", codec=codec, encoder="hardware", device=device)
        rows.append(
            {
                "encoder": encoder,
                "frames": len(frames),
                "broken": said,
                "repeats": same(frames, again),  # told, and no fault: makers promise nothing of the kind
                "ok": len(frames) == 36 and verdict.holds,
            }
        )
    return rows


def deinterlaced(folder: Path, device: str) -> list[Row]:
    """Fields and merged frames on the way through the device are those of the CPU, whatever the chunks."""
    clip = woven(synthetic(folder / "moments.mkv", width=160, height=96, frames=40), folder / "woven.mkv")
    rows: list[Row] = []
    for merging, count in (("frame", 20), ("field", 40)):
        one = through(clip, folder / "a.mkv", codec="ffv1", deinterlace=merging, device="cpu", chunk_frames=1000)
        two = through(clip, folder / "b.mkv", codec="ffv1", deinterlace=merging, device=device)
        rows.append({"deinterlace": merging, "frames": len(two), "ok": len(two) == count and same(one, two, 1)})
    return rows


def woven(moments: Path, path: Path) -> Path:
    """Write frames of two moments each, the top field first, flagged so and without loss."""
    with av.open(str(moments)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "0", "x264-params": "tff=1", "g": "8"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        shown = [frame.to_ndarray() for frame in source.decode(video=0)]
        for index, (top, bottom) in enumerate(zip(shown[::2], shown[1::2], strict=True)):
            whole = top.copy()
            whole[1:96:2] = bottom[1:96:2]  # chroma is one grey
            frame = av.VideoFrame.from_ndarray(whole, format="yuv420p")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def turned(folder: Path, device: str) -> list[Row]:
    """A turn that is baked in gives the same on the device as on the CPU, of odd sizes and with square pixels too."""
    rows: list[Row] = []
    for width, height in ((160, 96), (162, 90)):
        clip = marked(synthetic(folder / f"{width}.mkv", width=width, height=height, frames=12), folder / "turned.mp4")
        for more in ({}, {"scale": 1.5}, {"square_pixels": True}):
            settings: dict[str, object] = {"codec": "ffv1", "autorotate": True, **more}
            one = through(clip, folder / "a.mkv", device="cpu", **settings)
            two = through(clip, folder / "b.mkv", device=device, **settings)
            is_turned = two[0].width < two[0].height
            rows.append({"size": f"{width}x{height}", **more, "ok": is_turned and len(two) == 12 and same(one, two, 1)})
    return rows


def marked(clip: Path, path: Path) -> Path:
    """Copy a clip's packets into a file whose header says that it is shown turned, its pixels 4:3."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.set_display_matrix(QUARTER)
        stream.sample_aspect_ratio = Fraction(4, 3)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path


CHECKS: dict[str, Callable[[Path, str], list[Row]]] = {
    "hardware_decoders": decoded,
    "hardware_encoders": encoded,
    "deinterlaced": deinterlaced,
    "turned": turned,
}


def checked(name: str, folder: Path, device: str) -> list[Row]:
    """Run one check and print its rows; what it raises is a row that failed."""
    try:
        rows = CHECKS[name](folder, device)
    except VsrError as error:
        rows = [{"error": error.message, "ok": False}]
    for row in rows:
        print(f"  {row}", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    device = parser.parse_args().device
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in CHECKS:
            print(name, flush=True)
            failed += sum(not row.get("ok", True) for row in checked(name, Path(folder), device))
    print(f"{failed} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
