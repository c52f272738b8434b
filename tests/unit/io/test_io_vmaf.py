"""VMAF through the ffmpeg program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vsr.io.vmaf import has_vmaf, raw_luma, vmaf

needs_vmaf = pytest.mark.skipif(not has_vmaf(), reason="no ffmpeg program with libvmaf")


@needs_vmaf
def test_a_noisy_copy_scores_below_an_equal_one_which_is_nearly_perfect(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = np.kron(rng.integers(40, 200, (9, 13)), np.ones((8, 8)))[:65, :97].astype(np.uint8)  # odd sizes on purpose
    names = ("hr", "same", "noisy")
    for name in names:
        with raw_luma(tmp_path / name) as writer:
            for shift in range(3):
                plane = np.roll(base, shift, axis=1)
                noise = rng.normal(0, 25, plane.shape) if name == "noisy" else 0
                writer.write(np.clip(plane + noise, 16, 235).astype(np.uint8))
    same, noisy = (vmaf(tmp_path / name, tmp_path / "hr", width=97, height=65) for name in names[1:])
    assert len(same) == len(noisy) == 3
    assert min(same) > 90  # libvmaf gives 97 and more to equal frames, less where nothing moves yet
    assert max(noisy) < min(same) - 20
