"""Damaged files through the program, for some minutes or a number of seeds: `make fuzz MINUTES=5 SEED=1`.

    python -m tests.fuzz.run [--minutes 5 | --count 24] [--seed 1] [--keep DIR]

Each seed is one damaged file, the same on every machine with the same libraries. A fault is printed with its seed and
is kept in DIR; the last line names the seed to go on from. Exit 1 when there was a fault.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.mutants import mutant, whole
from tests.fuzz.trial import load, tried


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--count", type=int, help="stop after so many seeds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="where damaged files go that show a fault")
    args = parser.parse_args()
    load()
    until = time.monotonic() + 60 * args.minutes
    seed, faults, codes = args.seed, 0, Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "whole").mkdir()
        files = whole(place / "whole")
        while time.monotonic() < until and (args.count is None or seed < args.seed + args.count):
            faults += _one(files, seed, place, args.keep, codes)
            seed += 1
    ended = ", ".join(f"{name} {count}" for name, count in sorted(codes.items()))
    print(f"{seed - args.seed} damaged files, {faults} faults; {ended}")
    print(f"go on with --seed {seed}")
    return 1 if faults else 0


def _one(files: list[Path], seed: int, place: Path, keep: Path, codes: Counter[str]) -> int:
    name, data, done = mutant(files, seed)
    folder = place / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source = folder / name
    source.write_bytes(data)
    trial = tried(source, folder)
    codes.update(f"{verb} {code}:" for verb, code in trial.codes.items())
    if trial.faults:
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f"{seed}-{name}"
        kept.write_bytes(data)
        print(f"seed {seed} {name} ({done}): {'; '.join(trial.faults)}; kept as {kept}", flush=True)
        err = place / "told.err"
        if err.exists():
            print("    " + "\n    ".join(err.read_text(errors="replace").splitlines()[-12:]), flush=True)
    return bool(trial.faults)


if __name__ == "__main__":
    sys.exit(main())
