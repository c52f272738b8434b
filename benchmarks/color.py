"""Colour both ways: swscale through 8-bit RGB, swscale through float planes, and vsr's own road, side by side.

    python benchmarks/color.py [--rounds 15] [--out benchmarks/results/color.json]

One thread each, CPU milliseconds, medians of interleaved rounds; 4:2:0 8 bits, BT.709 limited. The exactness columns
are the round trip YUV -> RGB -> YUV of one 1280x720 frame against itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from vsr.color.convert import to_frame, to_picture
from vsr.core.frame import ColorSpec, Frame, Picture, pixel_format
from vsr.engines.device import cores, tune_allocator

BT709 = ColorSpec(matrix="bt709", range="tv", siting="left")
YUV420P = pixel_format("yuv420p")
Work = Callable[[], object]
Row = dict[str, object]


def picture_frame(width: int, height: int) -> Frame:
    """Make a frame that looks a little like a photograph: slopes, edges, texture and noise, all of it legal."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[0:height, 0:width] / height
    luma = 0.5 + 0.2 * np.sin(7 * x + 3 * y) + 0.15 * np.sign(np.sin(40 * x * y)) + 0.03 * rng.standard_normal(x.shape)
    cy, cx = y[::2, ::2], x[::2, ::2]
    cb = 0.1 * np.sin(9 * cx - 4 * cy) + 0.005 * rng.standard_normal(cx.shape)
    cr = 0.1 * np.cos(5 * cx + 6 * cy) + 0.005 * rng.standard_normal(cx.shape)
    planes = (luma * 219 + 16, cb * 224 + 128, cr * 224 + 128)
    codes = tuple(np.clip(np.rint(plane), 16, 235).astype(np.uint8) for plane in planes)
    return Frame(index=0, pts=0, duration=1, planes=codes, format=YUV420P, color=BT709)


def to_av(frame: Frame) -> av.VideoFrame:
    flat = np.concatenate([plane.reshape(-1) for plane in frame.planes])
    made = av.VideoFrame.from_ndarray(flat.reshape(-1, frame.width), format="yuv420p")
    made.colorspace, made.color_range = Colorspace.ITU709, ColorRange.MPEG
    return made


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def swscale(reformatter: VideoReformatter, frame: av.VideoFrame, name: str) -> av.VideoFrame:
    to_rgb = name != "yuv420p"
    return reformatter.reformat(
        frame,
        format=name,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG if to_rgb else ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if to_rgb else ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC,
        threads=1,
    )


def ours_back(picture: Picture) -> Frame:
    return to_frame(picture, YUV420P, BT709, source_format=YUV420P, source_color=BT709)


def resized(picture: Picture, height: int, width: int, chroma: torch.Tensor | None) -> Picture:
    """Stand in for the network: a picture of the output's size with the source's chroma."""
    data = torch.rand(picture.data.shape[0], height, width)
    return Picture(index=0, pts=0, duration=1, data=data, domain=picture.domain, chroma=chroma)


def timed(works: dict[str, Work], rounds: int) -> dict[str, float]:
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 2):
        for name, work in works.items():
            began = time.thread_time()
            work()
            spent[name].append(1000 * (time.thread_time() - began))
    return {name: statistics.median(times[2:]) for name, times in spent.items()}


def speeds(small: tuple[int, int], large: tuple[int, int], rounds: int) -> list[Row]:
    source, target = picture_frame(*small), picture_frame(*large)
    av_source, av_target = to_av(source), to_av(target)
    works: dict[str, Work] = {}
    for name in ("rgb24", "gbrpf32le"):
        there, back = VideoReformatter(), VideoReformatter()
        middle = swscale(VideoReformatter(), av_target, name)
        works[f"{name} there"] = lambda there=there, name=name: swscale(there, av_source, name)
        works[f"{name} back"] = lambda back=back, middle=middle: swscale(back, middle, "yuv420p")
    rgb, luma = to_picture(source, BT709, "rgb"), to_picture(source, BT709, "y")
    big_rgb, big_luma = resized(rgb, large[1], large[0], None), resized(luma, large[1], large[0], luma.chroma)
    works["vsr rgb there"] = lambda: to_picture(source, BT709, "rgb")
    works["vsr rgb back"] = lambda: ours_back(big_rgb)
    works["vsr y there"] = lambda: to_picture(source, BT709, "y")
    works["vsr y back"] = lambda: ours_back(big_luma)
    found = timed(works, rounds)
    sizes = f"{small[0]}x{small[1]} there, {large[0]}x{large[1]} back"
    print(f"{sizes:<42} there    back     sum (ms CPU, 1 thread)")
    rows: list[Row] = []
    for road in ("rgb24", "gbrpf32le", "vsr rgb", "vsr y"):
        there, back = found[f"{road} there"], found[f"{road} back"]
        print(f"  {road:<38}{there:7.2f} {back:7.2f} {there + back:7.2f}")
        rows.append({"sizes": sizes, "road": road, "there_ms": round(there, 3), "back_ms": round(back, 3)})
    return rows


def exactness() -> list[Row]:
    frame = picture_frame(1280, 720)
    print("round trip 1280x720          luma dB    mean   chroma dB    mean")
    rows = []
    for name in ("rgb24", "gbrpf32le"):
        middle = swscale(VideoReformatter(), to_av(frame), name)
        rows.append(compared(name, frame, planes_of(swscale(VideoReformatter(), middle, "yuv420p"))))
    for domain in ("rgb", "y"):
        back = ours_back(to_picture(frame, BT709, domain))
        rows.append(compared(f"vsr {domain}", frame, list(back.planes)))
    return rows


def compared(name: str, frame: Frame, planes: list[np.ndarray]) -> Row:
    errors = [b.astype(float) - a.astype(float) for a, b in zip(frame.planes, planes, strict=True)]
    luma, chroma = errors[0], np.stack(errors[1:])
    print(f"  {name:<24}{psnr(luma):10.1f} {luma.mean():+8.4f} {psnr(chroma):10.1f} {chroma.mean():+8.4f}")
    return {
        "road": name,
        "luma_exact": not luma.any(),
        "luma_psnr": round(min(psnr(luma), 999.0), 2),
        "luma_mean": round(float(luma.mean()), 5),
        "chroma_psnr": round(min(psnr(chroma), 999.0), 2),
        "chroma_mean": round(float(chroma.mean()), 5),
    }


def psnr(error: np.ndarray) -> float:
    power = float(np.mean(error**2))
    return float("inf") if power == 0 else 10 * np.log10(255**2 / power)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    tune_allocator()
    torch.set_num_threads(1)
    speed: list[Row] = []
    with torch.inference_mode():
        for small, large in (((320, 180), (1280, 720)), ((640, 360), (1280, 720)), ((1920, 1080), (1920, 1080))):
            speed += speeds(small, large, args.rounds)
        exact = exactness()
    if args.out:
        machine = f"{platform.processor() or platform.machine()}, {cores()} cores"
        result = {"machine": machine, "torch": torch.__version__, "av": av.__version__, "speed": speed, "exact": exact}
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
