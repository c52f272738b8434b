"""vsr against the naive scheme, side by side, interleaved, with the factors apart.

    python benchmarks/naive.py [--rounds 5] [--case espcn|compact] [--out benchmarks/results/naive.json]

The naive scheme is what video scripts around image models do: the ffmpeg program decodes to raw RGB in a pipe, each
frame goes through the network in float32 as (3, H, W), and raw RGB goes through a second pipe into x264. Same network,
same weights, same encoder settings, torch's default memory layout; `naive, channels_last` is the same script by one
who knows the layout that suits a CPU's convolutions. Between it and vsr stand two steps that show where the factor
comes from:
`serial fp32` does only the work that is needed (luma alone where the network is a luma network; planes, no RGB) and
`serial reduced` adds the reduced precision; the rest is overlap. The clip is the shipped demo clip, looped back and
forth, at the size of the case.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.frame import Frame, pixel_format
from vsr.core.media import WHOLE
from vsr.core.presets import resolve
from vsr.engines import registry, weights
from vsr.engines.archs import espcn
from vsr.engines.device import cores, use_threads
from vsr.engines.torchvision_stub import ensure_torchvision
from vsr.io import ffmpeg
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import open_source
from vsr.io.encoding.encode import PyavSink
from vsr.io.probe import probe
from vsr.jobs.bench import clip_spec
from vsr.jobs.plan import plan
from vsr.jobs.run import run
from vsr.pipeline import chunk as stages

Network = Callable[[Tensor], Tensor]
DEMO = Path(__file__).resolve().parent.parent / "demo" / "bunny.mp4"


def looped(folder: Path, width: int, height: int, frames: int) -> Path:
    """Write the demo clip, forth and back, at a size, as H.264."""
    source = open_source(probe(DEMO))
    luma, chroma = [], []
    for frame in source.frames(WHOLE):
        planes = [np.asarray(plane) for plane in frame.planes]
        size, half = (width, height), (width // 2, height // 2)
        luma.append(cv2.resize(planes[0], size, interpolation=cv2.INTER_AREA))
        chroma.append([cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in planes[1:]])
    there_and_back = list(range(len(luma))) + list(range(len(luma) - 2, 0, -1))
    path = folder / f"clip{width}-{frames}.mkv"
    sink = PyavSink(path, clip_spec(width, height))
    for index in range(frames):
        at = there_and_back[index % len(there_and_back)]
        planes = (luma[at], *chroma[at])
        sink.write(Frame(index=index, pts=40 * index, duration=40, planes=planes, format=pixel_format("yuv420p")))
    sink.close()
    return path


def compact(folder: Path) -> Path:
    """Write a SRVGGNetCompact 32x8 x4 checkpoint; its residual is small, so that the picture stays a picture."""
    ensure_torchvision()
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    net = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=32, num_conv=8, upscale=4, act_type="prelu")
    with torch.no_grad():
        net.body[-1].weight.mul_(0.02)
        net.body[-1].bias.zero_()
    path = folder / "compact32x8.pth"
    torch.save({"params": net.state_dict()}, path)
    return path


def plain_network(model: str, scale: int, layout: torch.memory_format = torch.contiguous_format) -> Network:
    """Give the network as a script would run it: (B, C, H, W) in float32, weights and pictures in one memory layout."""
    if model.endswith(".pth"):
        ensure_torchvision()
        from spandrel import ModelLoader

        foreign = ModelLoader(device="cpu").load_from_file(model).model.eval().to(memory_format=layout)
        return lambda pictures: foreign(pictures.to(memory_format=layout))
    card = registry.choose(model, float(scale)).card
    net = espcn.load(weights.load(weights.find(card)).state, espcn.Layout(scale=scale)).eval().to(memory_format=layout)

    def run(pictures: Tensor) -> Tensor:
        base = F.conv2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), net.base)
        return F.pixel_shuffle(base + net.body(pictures.to(memory_format=layout)), scale)

    return run


def naive(clip: Path, out: Path, network: Network, *, is_luma: bool, scale: int, frames: int) -> None:
    """Decode to RGB through a pipe, float32 (3, H, W) through the network, RGB through a pipe into x264."""
    program = str(ffmpeg.program())
    info = probe(clip)
    width, height = info.video.width, info.video.height
    use_threads(cores())
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24")
    reader = subprocess.Popen(
        [program, "-loglevel", "error", "-i", str(clip), "-frames:v", str(frames), *raw, "-"], stdout=subprocess.PIPE
    )
    size = f"{width * scale}x{height * scale}"
    encoder = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p")
    writer = subprocess.Popen(
        [program, "-loglevel", "error", "-y", *raw, "-s", size, "-r", "25", "-i", "-", *encoder, str(out)],
        stdin=subprocess.PIPE,
    )
    assert reader.stdout is not None and writer.stdin is not None
    with torch.inference_mode():
        while len(codes := reader.stdout.read(width * height * 3)) == width * height * 3:
            rgb = np.frombuffer(codes, np.uint8).reshape(height, width, 3).astype(np.float32) / 255
            tensor = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
            # A luma network is run on R, G and B: that is how RGB scripts use one.
            result = network(tensor[:, None] if is_luma else tensor[None])
            result = result.reshape(3, height * scale, width * scale)
            restored = (result.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous()
            writer.stdin.write(restored.numpy().tobytes())
    writer.stdin.close()
    reader.wait()
    if writer.wait() or reader.returncode:
        raise SystemExit("the ffmpeg program failed")


def serial(clip: Path, out: Path, model: str, scale: int, precision: str) -> None:
    """Do the same work as vsr, one frame after the other in one thread (the network on all cores)."""
    job = plan(clip, out, resolve({"model": model, "scale": float(scale), "precision": precision, "overwrite": True}))
    engine = stages.open_engine(job)
    restorer = stages.open_restorer(job, engine)
    source = open_source(job.source)
    use_threads(cores())
    sink = PyavSink(out.with_suffix(".nut"), job.output)
    for window in stages.chunk_windows(job, job.chunks[0], source, DecodeTally()):
        sink.write(stages.to_output(job, restorer.restore([window])[0]))
    sink.close()


def whole(clip: Path, out: Path, model: str, scale: int) -> None:
    run(plan(clip, out, resolve({"model": model, "scale": float(scale), "overwrite": True})))


def measure(work: Callable[[], None], frames: int) -> dict[str, float]:
    def cpu() -> float:
        usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        return sum(u.ru_utime + u.ru_stime for u in usages)

    wall, before = time.perf_counter(), cpu()
    work()
    wall, spent = time.perf_counter() - wall, cpu() - before
    return {"wall_ms": 1000 * wall / frames, "cpu_ms": 1000 * spent / frames, "busy": spent / wall}


def child(variant: str, clip: Path, out: Path, model: str, scale: int, frames: int) -> dict[str, float]:
    """Measure one variant in a fresh process, so that none finds another's memory or threads warm."""
    arguments = json.dumps([variant, str(clip), str(out), model, scale, frames])
    done = subprocess.run([sys.executable, __file__, "--child", arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(arguments: str) -> dict[str, float]:
    variant, clip, out, model, scale, frames = json.loads(arguments)
    is_luma = not model.endswith(".pth")
    plain_network(model, scale)  # imports and first reads are nobody's, and would weigh more on fewer frames
    registry.open_engine(registry.choose(model, float(scale)).reference, scale=scale).close()
    works: dict[str, Callable[[], None]] = {
        "naive": lambda: naive(
            Path(clip), Path(out), plain_network(model, scale), is_luma=is_luma, scale=scale, frames=frames
        ),
        "naive, channels_last": lambda: naive(
            Path(clip),
            Path(out),
            plain_network(model, scale, torch.channels_last),
            is_luma=is_luma,
            scale=scale,
            frames=frames,
        ),
        "serial fp32": lambda: serial(Path(clip), Path(out), model, scale, "fp32"),
        "serial reduced": lambda: serial(Path(clip), Path(out), model, scale, "auto"),
        "vsr": lambda: whole(Path(clip), Path(out), model, scale),
    }
    return measure(works[variant], frames)


def case(name: str, rounds: int, frames: int, folder: Path) -> dict[str, object]:
    model, scale, size = ("espcn", 2, (640, 360)) if name == "espcn" else (str(compact(folder)), 4, (320, 180))
    short = max(12, frames // 4)  # the slow ones on fewer frames: the figures are per frame
    clips = {count: looped(folder, *size, count) for count in (short, frames)}
    counts = {
        "naive": short,
        "naive, channels_last": short,
        "serial fp32": short,
        "serial reduced": frames,
        "vsr": frames,
    }
    seen: dict[str, list[dict[str, float]]] = {variant: [] for variant in counts}
    for number in range(rounds):
        for variant, count in counts.items():
            got = child(variant, clips[count], folder / "out.mkv", model, scale, count)
            seen[variant].append(got)
            line = f"{got['wall_ms']:8.1f} ms/frame, {got['busy']:.2f} cores busy"
            print(f"{name} round {number + 1} {variant:15} {line}", flush=True)
    steps = (
        ("naive", "vsr"),
        ("naive, channels_last", "vsr"),
        ("naive", "serial fp32"),
        ("serial fp32", "serial reduced"),
        ("serial reduced", "vsr"),
    )
    ratios = {
        f"{a} / {b}": statistics.median(x["wall_ms"] / y["wall_ms"] for x, y in zip(seen[a], seen[b], strict=True))
        for a, b in steps
    }
    medians = {
        variant: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for variant, runs in seen.items()
    }
    return {"frames": frames, "rounds": rounds, "size": size, "scale": scale, "median": medians, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--case", choices=("espcn", "compact"), action="append")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measured(args.child)))
        return
    result: dict[str, object] = {"machine": f"{platform.processor() or platform.machine()}, {cores()} cores"}
    for name in args.case or ("espcn", "compact"):
        with tempfile.TemporaryDirectory() as folder:
            result[name] = case(name, args.rounds, args.frames, Path(folder))
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
