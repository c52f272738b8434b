"""Claims on the files of a folder run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vsr.core.errors import JobLocked, OutputError
from vsr.jobs.folder.claims import FOLDER, claimed


def test_a_claim_is_one_processs_and_leaves_nothing(tmp_path: Path) -> None:
    name = "sub/\N{CLAPPER BOARD}\n" + "x" * 240 + ".mp4"
    with claimed(tmp_path, name):
        with pytest.raises(JobLocked, match=f"taken by process {os.getpid()} on "), claimed(tmp_path, name):
            pytest.fail("claimed twice")
        with claimed(tmp_path, "another.mp4"):
            pass
        assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path, name):
        pass


def test_what_a_dead_process_had_claimed_is_free(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from vsr.jobs.folder.claims import claimed
with claimed(Path({str(tmp_path)!r}), "a.mp4"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    with claimed(tmp_path, "a.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_claim_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError), claimed(tmp_path / "absent", "a.mp4"):
        pytest.fail("claimed")
