"""Everything that only a CUDA device can show, in one command: correctness first, then speed.

    python benchmarks/gpu.py [--out benchmarks/results/gpu.json]

1. CPU = GPU: each shipped engine (and each precision its card allows) on one clip, luma PSNR between both results.
2. Batches and tiles: the same frames whatever the batch; tiled equals whole.
3. Memory: the process is held to 1.2 GB more than it has, so that the engine has to shrink; no frame may be lost.
4. Non-finite output of one frame is run again in float32 and counted.
5. Stopped after a chunk and gone on with: the same bytes as an unbroken run, noise of diffusion included.
6. Media (`gpu_media.py`): frames of the hardware decoders equal software's, hardware encoders pass `vsr verify`,
   fields and turns on the device equal the CPU's. What the machine has not is skipped, with the words of what refused.
7. Throughput: engines x sizes x precisions, pipeline and network alone.
What was measured is written even when a check fails.
Without a CUDA device it says so and ends with exit code 5.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import gpu_media
import numpy as np
import torch

from vsr.core.errors import Interrupted
from vsr.core.events import Summary
from vsr.core.frame import Frame
from vsr.core.media import WHOLE
from vsr.core.presets import resolve
from vsr.core.stop import Stop
from vsr.engines import registry
from vsr.engines.base import Batch, Key
from vsr.engines.cuda import Graphed
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe
from vsr.jobs.bench import synthetic
from vsr.jobs.plan import plan
from vsr.jobs.run import run

Settings = dict[str, object]
# dB of 8-bit luma: fp32 differs in the order of sums alone, bf16 and fp16 by their mantissas.
FLOORS = {"fp32": 60.0, "bf16": 48.0, "fp16": 50.0}


def upscale(clip: Path, folder: Path, **settings: object) -> tuple[Summary, list[Frame]]:
    out = folder / "out.mkv"
    wanted: Settings = {"codec": "ffv1", "overwrite": True, **settings}
    summary = run(plan(clip, out, resolve(wanted)))
    return summary, list(open_source(probe(out)).frames(WHOLE))


def psnr(a: list[Frame], b: list[Frame]) -> float:
    error = np.mean(
        [np.mean((x.planes[0].astype(float) - y.planes[0].astype(float)) ** 2) for x, y in zip(a, b, strict=True)]
    )
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def engines() -> list[tuple[str, int]]:
    found = [(card.family, card.scale) for card in registry.models() if card.scale is not None]
    return [*found, *((name, 2) for name in ("nearest", "bilinear", "bicubic", "lanczos"))]


def same_on_both(folder: Path) -> list[dict[str, object]]:
    clip = synthetic(folder / "small.mkv", width=192, height=108, frames=24)
    rows: list[dict[str, object]] = []
    for model, scale in engines():
        chosen: Settings = {"model": model, "scale": float(scale)}
        _, cpu = upscale(clip, folder, device="cpu", precision="fp32", **chosen)
        for precision in registry.choose(model, float(scale)).card.dtypes:
            floor = FLOORS[precision]
            try:
                _, gpu = upscale(clip, folder, device="cuda", precision=precision, **chosen)
            except Exception as error:  # a row of the table, and a failure at the end
                rows.append({"model": model, "scale": scale, "precision": precision, "error": repr(error), "ok": False})
                continue
            value = psnr(cpu, gpu)
            ok = len(cpu) == len(gpu) == 24 and value >= floor
            rows.append({"model": model, "scale": scale, "precision": precision, "psnr_y": value, "ok": ok})
            print(f"  {model} x{scale} {precision}: {value:.1f} dB {'ok' if ok else 'BELOW ' + str(floor)}", flush=True)
    return rows


def batches_and_tiles(folder: Path) -> list[dict[str, object]]:
    clip = synthetic(folder / "batches.mkv", width=320, height=180, frames=23)
    _, whole = upscale(clip, folder, device="cuda", model="espcn", scale=2.0, precision="fp32", batch=1)
    rows: list[dict[str, object]] = []
    for settings in ({"batch": 4}, {"batch": 16}, {"tile": 64}, {"tile": 64, "batch": 4}):
        _, other = upscale(clip, folder, device="cuda", model="espcn", scale=2.0, precision="fp32", **settings)
        value = psnr(whole, other)
        rows.append({**settings, "frames": len(other), "psnr_y": value, "ok": len(other) == 23 and value > 60})
        print(f"  {settings}: {len(other)} frames, {value:.1f} dB", flush=True)
    return rows


def memory_back_off(folder: Path) -> dict[str, object]:
    """Leave the engine 300 MB: a 1080p batch does not fit, so it must shrink and still give every frame."""
    clip = synthetic(folder / "large.mkv", width=1920, height=1080, frames=12)
    settings: Settings = {"device": "cuda", "model": "espcn", "scale": 2.0, "precision": "fp32", "batch": 8}
    _, roomy = upscale(clip, folder, **settings)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    used = total - torch.cuda.mem_get_info()[0]
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + 1200e6) / total))
    try:
        summary, tight = upscale(clip, folder, **settings)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    shrunk = [warning for warning in summary.warnings if "memory" in warning]
    ok = len(tight) == len(roomy) == 12 and bool(shrunk) and psnr(roomy, tight) > 60
    print(
        f"  {shrunk}, {len(tight)} frames, {psnr(roomy, tight):.1f} dB, {used / 1e9:.1f} GB in use before", flush=True
    )
    return {"warnings": shrunk, "frames": len(tight), "psnr_y": psnr(roomy, tight), "ok": ok}


def gone_on_with(folder: Path) -> list[dict[str, object]]:
    """Stop a job after its first chunk, give it again, and compare the file with that of an unbroken run."""
    clip = synthetic(folder / "stopped.mkv", width=192, height=108, frames=24)
    rows: list[dict[str, object]] = []
    for more in ({"model": "espcn", "scale": 2.0}, {"model": "sr3", "scale": 4.0, "steps": 4}):
        settings: Settings = {"device": "cuda", "codec": "ffv1", "chunk_frames": 8, "overwrite": True, **more}
        whole, parts = folder / "whole.mkv", folder / "parts.mkv"
        run(plan(clip, whole, resolve(settings)))
        stop = Stop()
        with suppress(Interrupted):
            run(plan(clip, parts, resolve(settings)), lambda _, stop=stop: stop.ask(), stop=stop)
        summary = run(plan(clip, parts, resolve(settings)))
        same = whole.read_bytes() == parts.read_bytes()
        rows.append({**more, "resumed_frames": summary.resumed_frames, "ok": same and summary.resumed_frames > 0})
        print(f"  {more}: {summary.resumed_frames} frames kept, {'same' if same else 'OTHER'} bytes", flush=True)
    return rows


def not_finite(folder: Path) -> dict[str, object]:
    """Make the reduced-precision engine give an infinity for one frame; float32 must take over for it alone."""
    clip = synthetic(folder / "inf.mkv", width=192, height=108, frames=12)
    settings: Settings = {"device": "cuda", "model": "espcn", "scale": 2.0, "precision": "bf16", "batch": 1}
    _, whole = upscale(clip, folder, **settings)
    restore = Graphed.restore

    def faulty(self: Graphed, batch: Batch) -> torch.Tensor:
        result = restore(self, batch)
        is_body_reduced = next(self._engine._net.body.parameters()).dtype is torch.bfloat16
        return result * math.inf if is_body_reduced and batch.keys[0].frame == 5 else result

    Graphed.restore = faulty
    try:
        summary, mended = upscale(clip, folder, **settings)
    finally:
        Graphed.restore = restore
    said = [warning for warning in summary.warnings if "float32" in warning]
    ok = len(mended) == 12 and said == ["1 frames were run again in float32"] and psnr(whole, mended) > FLOORS["bf16"]
    print(f"  {said}, {len(mended)} frames, {psnr(whole, mended):.1f} dB", flush=True)
    return {"warnings": said, "frames": len(mended), "psnr_y": psnr(whole, mended), "ok": ok}


def per_second(work: Callable[[], object], seconds: float = 2.0) -> float:
    for _ in range(5):
        work()
    torch.cuda.synchronize()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(10):
            work()
        torch.cuda.synchronize()
        count += 10
    return count / (time.perf_counter() - began)


def throughput(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for width, height in ((640, 360), (1280, 720), (1920, 1080)):
        clip = synthetic(folder / f"clip{height}.mkv", width=width, height=height, frames=240)
        for model, scale in (("espcn", 2), ("espcn", 4), ("bicubic", 2)):
            choice = registry.choose(model, float(scale), None)
            for precision in choice.card.dtypes:
                engine = registry.open_engine(choice.reference, scale=scale, device="cuda", precision=precision)
                frames = torch.rand(1, 1, 1, height, width, device="cuda")
                batch = Batch(frames=frames, keys=(Key(frame=0, seed=0),))
                net = per_second(lambda engine=engine, batch=batch: engine.restore(batch))
                engine.close()
                settings: Settings = {"model": model, "scale": float(scale), "precision": precision, "device": "cuda"}
                settings |= {"encoder_preset": "ultrafast", "overwrite": True}
                summary = run(plan(clip, folder / "fast.mkv", resolve(settings)))
                rows.append(
                    {
                        "size": f"{width}x{height}",
                        "model": f"{model} x{scale}",
                        "precision": precision,
                        "network_fps": net,
                        "pipeline_fps": summary.fps,
                        "bottleneck": summary.bottleneck,
                        "device_busy": next(s.busy for s in summary.stages if s.name == "device"),
                    }
                )
                print(f"  {rows[-1]}", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device here: nothing was checked", file=sys.stderr)
        return 5
    result: dict[str, object] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    checks: dict[str, Callable[[Path], object]] = {
        "same_on_both": same_on_both,
        "batches_and_tiles": batches_and_tiles,
        "memory_back_off": memory_back_off,
        "not_finite": not_finite,
        "gone_on_with": gone_on_with,
        **{name: partial(gpu_media.checked, name, device="cuda") for name in gpu_media.CHECKS},
        "throughput": throughput,
    }
    failed: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, check in checks.items():
            print(name, flush=True)
            try:
                found = check(Path(folder))
            except Exception as error:  # the next check still counts, and what was measured is kept
                found = {"error": repr(error), "ok": False}
                print(f"  {error!r}", flush=True)
            result[name] = found
            rows = found if isinstance(found, list) else [found]
            failed += [{"check": name, **row} for row in rows if not row.get("ok", True)]
    result["failed"] = failed
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2, default=str) + "\n")
    print(f"{len(failed)} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
