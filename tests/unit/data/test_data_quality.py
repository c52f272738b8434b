"""Black, blurred and repeated frames, against other people's measures and the frames of a real encoder."""

from __future__ import annotations

import itertools

import av
import cv2
import numpy as np
import pytest
from skimage.measure import blur_effect

from tests.media import planes_of
from vsr.data import quality


def texture(seed: int = 0, height: int = 90, width: int = 161) -> np.ndarray:
    """Smooth shapes and grain: about as sharp as a photo."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.random((9, 16)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(0.8 * coarse + 0.2 * random.random((height, width)), 0, 1).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0, 5.0])
def test_blurriness_is_that_of_scikit_image(sigma):
    picture = texture() if sigma == 0 else cv2.GaussianBlur(texture(), (0, 0), sigma)
    # Both add up float64 steps of a float32 picture; theirs is smoothed in float32 too, in another order.
    assert quality.blurriness(picture) == pytest.approx(blur_effect(picture, h_size=11), abs=1e-5)


def test_the_limit_parts_sharp_from_blurred():
    assert quality.blurriness(texture()) < quality.BLURRED < quality.blurriness(cv2.GaussianBlur(texture(), (0, 0), 3))


def test_one_grey_is_blurred():
    assert quality.blurriness(np.full((40, 40), 0.5, np.float32)) == 1.0


def test_blackness_is_the_share_of_dark_pixels():
    picture = np.full((10, 10), 0.5, np.float32)
    picture[:3] = 0.099
    picture[3:5] = -0.05  # footroom
    assert quality.blackness(picture) == 0.5


def test_a_small_thing_that_moves_is_no_duplicate():
    before = texture()
    after = before.copy()
    after[40:50, 70:80] += 0.1  # one cell of 144 over the mean of the picture: 0.0007
    assert quality.change(before, after) > quality.DUPLICATE > np.abs(after - before).mean()


def test_repeated_frames_stay_duplicates_through_an_encoder(tmp_path):
    """Each picture three times through x264: repeats change by less than the limit, new pictures by more."""
    with av.open(str(tmp_path / "c.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "gray"
        for number in range(9):
            shifted = np.roll(texture(height=180, width=320), 3 * (number // 3), axis=1)
            smooth = cv2.GaussianBlur(shifted, (0, 0), 1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray((smooth * 255).astype(np.uint8), format="gray")))
        out.mux(stream.encode(None))
    shown = [planes[0].astype(np.float32) / 255 for _, planes in planes_of(tmp_path / "c.mp4")]
    assert len(shown) == 9
    is_same = [quality.change(a, b) <= quality.DUPLICATE for a, b in itertools.pairwise(shown)]
    assert is_same == [True, True, False] * 2 + [True, True]
