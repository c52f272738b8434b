"""The tables of docs/sr3.md: how sr3 is sampled, and what stands beside it.

    python benchmarks/sr3.py --table steps --model sr3 --sets SET5 CLIPS
    python benchmarks/sr3.py --table noise --model sr3 --sets CLIPS --picture PICTURE
    python benchmarks/sr3.py --table consistency --model sr3 --sets CLIPS
    python benchmarks/sr3.py --table sizes --model sr3

steps 1, 2, 4 and 8; noise the three fields at 4 steps, on clips, on a picture that stands still (its temporal error is
flicker, and must be 0 but for `frame`) and on one that pans; detail 0 to 1; consistency 0, 1, 2 and 4
back-projections, behind H.264 too; models bicubic and other networks beside it; sizes time and memory of untrained
nets of three sizes. Figures are those of `vsr evaluate`. Prints Markdown and writes benchmarks/results/sr3_TABLE.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from windows import machine

from vsr.core.sampling import Sampling
from vsr.data.degrade import Degradation, from_table
from vsr.engines import registry
from vsr.engines.archs.sr3 import Layout, Sr3
from vsr.engines.base import Batch, Key
from vsr.engines.weights import digest_of
from vsr.evaluation.compare import evaluate
from vsr.evaluation.results import Evaluation, SetResult
from vsr.evaluation.tables import number
from vsr.training.nets import write_weights

ROOT = Path(__file__).resolve().parent
SCALE = 4
PICTURED = ("psnr_y", "ssim_y", "detail", "lr_error", "color_shift", "selffeat")
MOVING = ("temporal_error", "warping_error")
STEPS = (1, 2, 4, 8)
NOISES = ("pan", "static", "frame")
DETAILS = (0, 0.25, 0.5, 0.75, 1)
ROUNDS = (0, 1, 2, 4)
QUALITIES = (None, 18.0, 26.0)
OTHERS = ("compact", "srgan-perceptual")
SIZES = {
    "tiny, 48 wide": Layout(width=48, blocks=2, middle=4, frames=3),
    "fast, 80 wide": Layout(width=80, blocks=3, middle=6, frames=3),
    "base, 96 wide": Layout(width=96, blocks=3, middle=8, frames=3),
}
_COLUMNS = {
    "psnr_y": ("PSNR Y", 2),
    "ssim_y": ("SSIM Y", 4),
    "detail": ("detail", 2),
    "lr_error": ("LR error", 1),
    "color_shift": ("colour shift", 2),
    "selffeat": ("selffeat", 4),
    "temporal_error": ("temporal error", 2),
    "warping_error": ("warping error - HR's", 2),
    "ms_per_megapixel": ("ms/Mpx", 0),
    "mb_per_megapixel": ("MB/Mpx", 0),
}
# A pan in HR pixels a frame, whole ones, so that HR itself is exact, but no multiple of the scale: (dy, dx).
PAN, PANNED_FRAMES, MARGIN = (3, 5), 8, 64

Row = dict[str, float | None]
Rows = dict[str, Row]  # by label


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    model: str
    sets: tuple[Path, ...]
    picture: Path | None
    limit: int
    seed: int
    others: tuple[str, ...]
    metrics: tuple[str, ...]


def steps_table(asked: Asked) -> dict[str, Rows]:
    return _on_sets([f"{asked.model}:steps={steps}" for steps in STEPS], asked)


def detail_table(asked: Asked) -> dict[str, Rows]:
    return _on_sets([f"{asked.model}:steps=4,detail={share:g}" for share in DETAILS], asked)


def models_table(asked: Asked) -> dict[str, Rows]:
    return _on_sets([*asked.others, *(f"{asked.model}:steps={steps}" for steps in (1, 4))], asked)


def consistency_table(asked: Asked) -> dict[str, Rows]:
    """Give a section for each set and quality."""
    found: dict[str, Rows] = {}
    for crf in QUALITIES:
        models = [f"{asked.model}:steps=1,consistency={rounds}" for rounds in ROUNDS]
        words = "clean" if crf is None else f"H.264 crf {crf:g}"
        found |= {f"{name}, {words}": rows for name, rows in _on_sets(models, asked, crf=crf).items()}
    return found


def noise_table(asked: Asked) -> dict[str, Rows]:
    models = [f"{asked.model}:steps=1", *(f"{asked.model}:steps=4,noise={noise}" for noise in NOISES)]
    found = _on_sets(models, asked)
    if asked.picture is not None:
        for name, speed in (("still picture", (0, 0)), ("panned picture", PAN)):
            with panned(asked.picture, speed) as clip:
                result = _evaluated(models, [clip], asked, None)
                found[name] = _rows(result.sets[0])
    return found


def sizes_table(asked: Asked) -> dict[str, Rows]:
    """Give time and memory of nets whose weights are random: neither depends on them."""
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, layout in SIZES.items():
            net = Sr3(layout)
            path = Path(folder) / f"{layout.width}.safetensors"
            write_weights(path, net, {})
            row: Row = {"parameters": float(sum(p.numel() for p in net.parameters()))}
            for steps in (1, 4):
                cost = costs(str(path), steps)
                row |= {f"{key}, {steps} step{'s' * (steps > 1)}": value for key, value in cost.items()}
            rows[name] = row
    return {"untrained": rows}


TABLES: dict[str, Callable[[Asked], dict[str, Rows]]] = {
    "steps": steps_table,
    "noise": noise_table,
    "detail": detail_table,
    "consistency": consistency_table,
    "sizes": sizes_table,
    "models": models_table,
}


@contextmanager
def panned(picture: Path, speed: tuple[int, int]) -> Iterator[Path]:
    """Give a numbered sequence in which a window slides over a picture by whole HR pixels a frame."""
    whole = cv2.imread(str(picture))
    if whole is None:
        raise SystemExit(f"{picture} is no picture that can be read")
    height, width = (side // SCALE * SCALE for side in (whole.shape[0] - MARGIN, whole.shape[1] - MARGIN))
    with tempfile.TemporaryDirectory() as folder:
        for frame in range(PANNED_FRAMES):
            top, left = (MARGIN - frame * step for step in speed)  # what is seen moves down and right
            cv2.imwrite(f"{folder}/{frame:03d}.png", whole[top : top + height, left : left + width])
        yield Path(folder) / "%03d.png"


def costs(reference: str, steps: int) -> Row:
    """Give ms and MB (of the whole process's peak, above what it held before) per output megapixel, one core.

    In a process of its own: a peak is never forgotten by the one that had it.
    """
    call = [sys.executable, __file__, "--cost", reference, str(steps)]
    told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    found: Row = json.loads(told)
    return found


def cost_here(reference: str, steps: int, height: int = 180, width: int = 320) -> Row:
    torch.set_num_threads(1)
    engine = registry.open_engine(reference, scale=SCALE, sampling=Sampling(steps=steps))
    card = engine.card
    frames = torch.rand(1, card.frames, 1 if card.domain == "y" else 3, height, width)
    large = (1, card.frames - 1, frames.shape[2], height * SCALE, width * SCALE)
    aligned = torch.zeros(large) if card.alignment == "grid" else None
    batch = Batch(frames=frames, keys=(Key(frame=0, seed=0),), aligned=aligned)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = []
    for _ in range(2):
        began = time.perf_counter()
        engine.restore(batch)
        spent.append(time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megapixels = height * width * SCALE**2 / 1e6
    return {"ms_per_megapixel": 1e3 * min(spent) / megapixels, "mb_per_megapixel": (after - before) / 1024 / megapixels}


def _on_sets(models: Sequence[str], asked: Asked, crf: float | None = None) -> dict[str, Rows]:
    found = {}
    for path in asked.sets:
        result = _evaluated(models, [path], asked, crf)
        found[result.sets[0].name] = _rows(result.sets[0])
    return found


def _evaluated(models: Sequence[str], sets: Sequence[Path], asked: Asked, crf: float | None) -> Evaluation:
    clean = {"blur": 0.0, "noise": 0.0, "shot_noise": 0.0, "jpeg_share": 0.0, "resize": "bicubic"}
    coded = {"kind": "realistic", **clean, "video_share": 1.0, "codecs": "h264", "crf": crf}
    return evaluate(
        models,
        sets,
        scale=SCALE,
        degradation=Degradation() if crf is None else from_table(coded),
        frames_limit=asked.limit or None,
        crops=0,
        device="cpu",
        metrics=asked.metrics,
        seed=asked.seed,
    )


def _rows(test_set: SetResult) -> Rows:
    rows: Rows = {}
    for model in test_set.models:
        row: Row = dict(model.figures)
        if test_set.hr_warping_error is not None and "warping_error" in row:
            row["warping_error"] = model.figures["warping_error"] - test_set.hr_warping_error
        worst = max((clip.figures.get("color_shift", 0.0) for clip in model.clips), default=0.0)
        rows[model.label] = {**row, "worst color_shift": worst, "ms_per_megapixel": model.ms_per_megapixel}
    return rows


def _show(section: str, rows: Rows) -> None:
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    shown = [key for key in keys if key.partition(",")[0] in _COLUMNS or key == "parameters"]
    shown.sort(key=lambda key: [*_COLUMNS, key].index(key.partition(",")[0]))
    print(f"\n| {section} | {' | '.join(_title(key) for key in shown)} |\n|---|{'---:|' * len(shown)}")
    for label, row in rows.items():
        digits = (_COLUMNS.get(key.partition(",")[0], ("", 0))[1] for key in shown)
        cells = (number(row.get(key), places) for key, places in zip(shown, digits, strict=True))
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def _title(key: str) -> str:
    name, comma, rest = key.partition(",")
    return _COLUMNS.get(name, (name, 0))[0] + comma + rest


def _digest(model: str) -> str:
    card = registry.choose(model, SCALE).card
    return card.digest or (digest_of(Path(model).read_bytes()) if Path(model).is_file() else "")


def main() -> None:
    if sys.argv[1:2] == ["--cost"]:
        print(json.dumps(cost_here(sys.argv[2], int(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=TABLES, required=True)
    parser.add_argument("--model", default="sr3", help="name or weight file")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="folders of HR pictures or clips, or files")
    parser.add_argument("--picture", type=Path, help="what the still and the panned clip are made of")
    parser.add_argument("--limit", type=int, default=12, help="frames of each clip, 0: all")
    parser.add_argument("--others", nargs="*", default=list(OTHERS), help="models that stand beside it")
    parser.add_argument("--metric", dest="metrics", action="append", default=[], help="only these (default: nine)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    asked = Asked(
        model=args.model,
        sets=tuple(args.sets),
        picture=args.picture,
        limit=args.limit,
        seed=args.seed,
        others=tuple(args.others),
        metrics=tuple(args.metrics) or (*PICTURED, *MOVING),
    )
    began = time.time()
    found = TABLES[args.table](asked)
    for section, rows in found.items():
        _show(section, rows)
    told = {
        "table": args.table,
        "machine": machine(),
        "weights": "" if args.table == "sizes" else _digest(args.model),
        "scale": SCALE,
        "frames_of_a_clip": args.limit,
        "seed": args.seed,
        "seconds": round(time.time() - began),
        "figures": found,
    }
    path = args.out / f"sr3_{args.table}.json"
    path.write_text(json.dumps(told, indent=1, default=_plain) + "\n")


def _plain(value: object) -> float:
    assert isinstance(value, np.floating)
    return float(value)


if __name__ == "__main__":
    main()
