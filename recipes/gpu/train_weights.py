"""Train the weights that want a GPU, one after the other, each for so many minutes, and score them.

    python recipes/gpu/train_weights.py DATA --minutes 5 --out runs

DATA holds `photos`, `clips/train` and `testsets`. Runs that are there go on where they were. Afterwards, with the
weights looked at: `python recipes/ship.py runs/NAME ... --machine MACHINE`, `make scores TESTSETS=DATA/testsets`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FREE = ("cid22", "clic2025", "budgie", "elementary", "immich", "bbb", "peppercarrot", "wp2025", "sam2")
FREE_CLIPS = ("sam2", "trackany", "bbb", "phone")
# recipe, its changes, share of --minutes
QUEUE = (
    ("sr3-tiny", (), 0.8),
    ("sr3-fast", (), 1.8),
    ("sr3-base", (), 2.2),
    ("compact-64x16", ("net.scale=4",), 1.0),
    ("compact-64x16", ("net.scale=2",), 1.0),
    ("srresnet", ("net.scale=4",), 2.0),
    ("srgan-perceptual", ("net.scale=4", "loss.discriminator=64"), 1.0),
    ("srgan-per-pix", ("net.scale=4", "loss.discriminator=64"), 1.0),
    ("selffeat", (), 1.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    only = "[" + ", ".join(f'"{prefix}*"' for prefix in (*FREE, *FREE_CLIPS)) + "]"
    failed = []
    for recipe, changes, share in QUEUE:
        scale = next((change.partition("=")[2] for change in changes if change.startswith("net.scale")), "")
        name = f"{recipe}-x{scale}" if scale else recipe
        words = ["train", recipe, f"data.only={only}", *changes, "--data", str(args.data / "photos"), "--resume"]
        if recipe.startswith("sr3"):
            words += ["--data", str(args.data / "clips" / "train")]
        if recipe.startswith("srgan"):  # from what this queue has trained, not from what is shipped
            words.append(f"net.init={args.out / f'srresnet-x{scale}' / f'srresnet-x{scale}.safetensors'}")
        words += ["--minutes", str(args.minutes * share), "--out", str(args.out / name)]
        print("vsr", *words, flush=True)
        if subprocess.run([sys.executable, "-m", "vsr", *words], check=False).returncode:
            failed.append(name)
            continue
        sets = [str(args.data / "testsets" / each) for each in ("set5", "set14")]
        weights = args.out / name / f"{name}.safetensors"
        models = [f"{weights}:steps={steps}" for steps in (1, 2, 4)] if recipe.startswith("sr3") else [str(weights)]
        if recipe != "selffeat":
            words = [
                "evaluate",
                *sets,
                *(word for model in models for word in ("--model", model)),
                "--scale",
                scale or "4",
                "--output",
                str(args.out / name / "page"),
                "--overwrite",
            ]
            subprocess.run([sys.executable, "-m", "vsr", *words], check=False)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
