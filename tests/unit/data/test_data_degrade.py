"""HR to LR against formulas and other libraries; draws that are fair, recorded and repeatable."""

from __future__ import annotations

import io
import json

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vsr.core.errors import SettingsError
from vsr.data.degrade import Degradation, blur_kernel, degrade, from_table, shrink

STILL = Degradation(
    kind="realistic", blur=(0, 0), resize=("bicubic",), noise=(0, 0), shot_noise=(0, 0), jpeg_share=0, video_share=0
)


def textured(count: int = 2, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Give frames with edges, waves and grain."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:height, 0:width]
    base = 120 + 60 * np.sin(x / 4 + y / 9) + 50 * ((x // 11 + y // 13) % 2)
    grain = rng.normal(0, 8, (count, height, width, 3))
    return np.clip(np.rint(base[None, ..., None] + grain + np.array([0, 10, -20])), 0, 255).astype(np.uint8)


def matlab_weights(source: int, target: int) -> NDArray[np.float64]:
    """Give imresize's bicubic as a dense matrix, written from its definition: a = -0.5, widened, mirrored borders."""
    scale = target / source
    matrix = np.zeros((target, source))
    for k in range(target):
        center = (k + 0.5) / scale - 0.5
        for tap in range(int(np.floor(center - 2 / scale)), int(np.ceil(center + 2 / scale)) + 1):
            d = abs((tap - center) * scale)
            near = 1.5 * d**3 - 2.5 * d**2 + 1
            weight = near if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0
            folded = tap % (2 * source)
            matrix[k, folded if folded < source else 2 * source - 1 - folded] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_matlabs_formula_rounded(scale: int) -> None:
    hr = textured()
    lr, record = (
        degrade(hr, Degradation(), scale=scale, rng=np.random.default_rng(0))
        if scale != 3
        else degrade(hr[:, :, :63], Degradation(), scale=3, rng=np.random.default_rng(0))
    )
    height, width = hr.shape[1], hr.shape[2] // scale * scale
    rows, columns = matlab_weights(height, height // scale), matlab_weights(width, width // scale)
    exact = np.einsum("ki,nijc,lj->nklc", rows, hr[:, :, :width].astype(float), columns)
    # float32 against float64: nothing but a tie may fall to the other side.
    assert np.abs(lr - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3
    assert lr.shape == (2, height // scale, width // scale, 3)
    assert record == {"kind": "bicubic", "scale": scale}


def test_bicubic_agrees_with_pil_inside() -> None:
    """PIL has the same kernel; it rounds between its two passes and weighs borders otherwise."""
    hr = textured()
    lr, _ = degrade(hr, Degradation(), scale=4, rng=np.random.default_rng(0))
    theirs = np.stack([np.asarray(Image.fromarray(f).resize((16, 12), Image.Resampling.BICUBIC)) for f in hr])
    assert np.abs(lr.astype(int) - theirs)[:, 2:-2, 2:-2].max() <= 1


def test_gauss_and_decimate_is_opencvs_blur_and_every_fourth_pixel() -> None:
    hr = textured()
    lr, record = degrade(hr, Degradation(kind="gauss+decimate"), scale=4, rng=np.random.default_rng(0))
    assert record == {"kind": "gauss+decimate", "scale": 4, "sigma": 1.6}
    blurred = [cv2.GaussianBlur(f.astype(np.float32), (15, 15), 1.6, borderType=cv2.BORDER_REFLECT) for f in hr]
    # Half a level of rounding, and float32 in another order.
    assert np.abs(lr - np.stack(blurred)[:, ::4, ::4]).max() <= 0.5 + 1e-2


def test_a_sigma_of_its_own_is_drawn_from_its_range() -> None:
    spec = Degradation(kind="gauss+decimate", sigma=(0.5, 3.0))
    drawn = [degrade(textured(1), spec, scale=2, rng=np.random.default_rng(k))[1]["sigma"] for k in range(20)]
    assert 0.5 <= min(drawn) < 1.2 and 2.3 < max(drawn) <= 3.0


def test_an_anisotropic_kernel_has_the_moments_it_was_asked_for() -> None:
    kernel = blur_kernel(3.0, 1.0, np.pi / 6)
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1)
    turn = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    expected = turn @ np.diag([9.0, 1.0]) @ turn.T
    found = np.array(
        [[(kernel * x * x).sum(), (kernel * x * y).sum()], [(kernel * x * y).sum(), (kernel * y * y).sum()]]
    )
    # The kernel ends at four sigmas.
    assert found == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("kind", ["bicubic", "bilinear", "lanczos", "area"])
def test_each_resize_keeps_flat_pictures_and_its_name(kind: str) -> None:
    flat = np.full((1, 24, 24, 3), 77, np.uint8)
    spec = from_table({**_table(STILL), "resize": kind})
    lr, record = degrade(flat, spec, scale=3, rng=np.random.default_rng(0))
    assert (lr == 77).all() and record["resize"] == kind


def test_area_is_the_mean_of_each_block() -> None:
    hr = textured()
    lr, _ = degrade(hr, from_table({**_table(STILL), "resize": "area"}), scale=4, rng=np.random.default_rng(0))
    mean = hr.reshape(2, 12, 4, 16, 4, 3).mean(axis=(2, 4))
    assert np.abs(lr - mean).max() <= 0.5 + 1e-3


def test_noise_has_the_deviation_that_the_record_tells_and_falls_anew_on_each_frame() -> None:
    flat = np.full((3, 240, 240, 3), 128, np.uint8)
    spec = from_table({**_table(STILL), "noise": 5, "shot_noise": 4})
    lr, record = degrade(flat, spec, scale=2, rng=np.random.default_rng(5))
    expected = np.sqrt(5**2 + 4**2 * 128 / 255 + 1 / 12)  # read, shot at this brightness, rounding
    assert record["noise"] == 5 and record["shot_noise"] == 4
    # 43200 samples a frame: the deviation of a deviation is 0.35 %.
    assert lr.std(axis=(1, 2, 3)) == pytest.approx(expected, rel=0.02)
    first, second = (lr[k].astype(float).ravel() - lr[k].mean() for k in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_jpeg_is_opencvs_at_the_quality_that_the_record_tells() -> None:
    hr = textured()
    spec = from_table({**_table(STILL), "jpeg": 30, "jpeg_share": 1})
    lr, record = degrade(hr, spec, scale=2, rng=np.random.default_rng(0))
    assert record["jpeg"] == 30
    for frame, small in zip(lr, shrink(hr, 24, 32), strict=True):
        data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
        assert (frame == cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)).all()


def test_video_is_a_real_codec_at_the_crf_that_the_record_tells() -> None:
    """Held against OpenCV's conversions and PyAV's codec in a plain file."""
    hr = textured(4)
    spec = from_table({**_table(STILL), "codecs": "h264", "crf": 30, "video_share": 1})
    lr, record = degrade(hr, spec, scale=2, rng=np.random.default_rng(0))
    assert (record["codec"], record["crf"]) == ("h264", 30)
    small = shrink(hr, 24, 32)
    luma = 16 + 219 * (small / 255) @ [0.2126, 0.7152, 0.0722]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "30", "preset": "veryfast", "tune": "zerolatency"})
        stream.height, stream.width, stream.pix_fmt, stream.thread_count = 24, 32, "yuv420p", 1
        for y in luma:
            planes = np.vstack([np.rint(y), np.full((12, 32), 128)]).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        decoded = np.stack([frame.to_ndarray()[:24] for frame in source.decode(video=0)])
    ours = 16 + 219 * (lr / 255) @ [0.2126, 0.7152, 0.0722]
    # Luma is coded with little regard to chroma: the same damage to a fifth of its size.
    damage, apart = (decoded - luma).std(), (ours - decoded).std()
    assert damage > 2 and apart < damage / 2
    assert abs((ours - decoded).mean()) < 0.5  # no shift of our own


def test_a_fine_codec_leaves_luma_as_it_was() -> None:
    """Colour conversions there and back, with x264 lossless between them: limited range and rounding remain."""
    hr = textured(2)
    spec = from_table({**_table(STILL), "codecs": "h264", "crf": 0, "video_share": 1})
    for window in (hr, hr[..., 1]):
        lr, _ = degrade(window, spec, scale=2, rng=np.random.default_rng(0))
        small = shrink(window, 24, 32)
        weights = np.array([0.2126, 0.7152, 0.0722])
        difference = (lr.astype(float) - small) @ weights if window.ndim == 4 else lr.astype(float) - small
        # Half a code of 219 is 0.58 levels; rounding to 8 bits adds half a level, clipped colours a little more.
        assert np.abs(difference).mean() < 0.6
        assert abs(difference.mean()) < 0.1


def test_shares_are_shares_of_windows() -> None:
    spec = from_table({**_table(STILL), "jpeg_share": 0.5, "anisotropic": 0.3, "blur": [0.5, 2]})
    records = [degrade(textured(1, 16, 16), spec, scale=2, rng=np.random.default_rng(k))[1] for k in range(200)]
    turned = [record["blur"] for record in records if len(set(record["blur"][:2])) == 2]  # type: ignore[index]
    # Binomial: three deviations are 21 and 19 of 200.
    assert abs(sum("jpeg" in record for record in records) - 100) <= 21
    assert abs(len(turned) - 60) <= 19


@pytest.mark.parametrize("kind", ["bicubic", "gauss+decimate", "realistic"])
def test_the_same_seed_gives_the_same_lr_and_grey_windows_stay_grey(kind: str) -> None:
    spec = Degradation(kind=kind, jpeg_share=1, video_share=1)
    for hr in (textured(3), textured(3)[..., 1]):
        first, record = degrade(hr, spec, scale=2, rng=np.random.default_rng(9))
        second, again = degrade(hr, spec, scale=2, rng=np.random.default_rng(9))
        assert (first == second).all() and record == again == json.loads(json.dumps(record))
        assert first.shape == (3, 24, 32, *hr.shape[3:]) and first.dtype == np.uint8


def test_another_seed_gives_another_realistic_lr() -> None:
    hr, spec = textured(), Degradation(kind="realistic")
    first, second = (degrade(hr, spec, scale=2, rng=np.random.default_rng(seed))[0] for seed in (1, 2))
    assert (first != second).any()


def test_an_unknown_key_is_refused_with_its_close_match() -> None:
    with pytest.raises(SettingsError, match="'blurr'") as refused:
        from_table({"blurr": 1.0})
    assert refused.value.hint == "Did you mean blur?"
    with pytest.raises(SettingsError, match="'bicubik'") as unknown:
        from_table({"kind": "bicubik"})
    assert unknown.value.hint == "Did you mean bicubic?"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("jpeg", [95, 40]),
        ("jpeg", 0),
        ("crf", [0, 60]),
        ("noise", -1),
        ("jpeg_share", 1.5),
        ("blur", "wide"),
        ("resize", []),
        ("codecs", ["av1"]),
        ("kind", ["bicubic"]),
        ("blur", [1, 2, 3]),
        ("noise", True),
        ("noise", float("nan")),
    ],
)
def test_values_out_of_their_bounds_are_refused(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=key):
        from_table({key: value})


def test_a_size_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(SettingsError, match="64x48"):
        degrade(textured(), Degradation(), scale=5, rng=np.random.default_rng(0))


def _table(spec: Degradation) -> dict[str, object]:
    return {name: getattr(spec, name) for name in spec.__slots__ if getattr(spec, name) is not None}
