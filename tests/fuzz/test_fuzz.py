"""Two dozen damaged files: nothing hangs, crashes, swallows the memory or leaves a half-made result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.mutants import mutant, whole

ROOT = Path(__file__).parents[2]


def test_damaged_files_end_in_a_whole_result_or_a_clear_refusal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", "--count", "24", "--seed", "1", "--keep", str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 damaged files, 0 faults" in done.stdout


def test_a_seed_gives_the_same_damage_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = whole(tmp_path / "a"), whole(tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert [mutant(first, seed)[1] for seed in range(40)] == [mutant(second, seed)[1] for seed in range(40)]
