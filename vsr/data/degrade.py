"""From HR to LR: the degradations that networks are trained to undo, drawn from a seeded generator.

`Degradation` says what may happen, `degrade` does it to one window and says what it drew. Three kinds:

bicubic          MATLAB's imresize, rounded to 8 bits: the degradation of every published PSNR.
gauss+decimate   a Gaussian, then every s-th pixel (Shi et al. 2016, arXiv 1609.05158, sec. 3.1; in video "BD").
realistic        blur, resize, sensor noise, JPEG, a real video codec: what cameras and web sites do.

One window is one camera and one file: its parameters are drawn once, noise falls anew on every frame.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vsr.color.convert import decode_planes, encode_planes
from vsr.core.errors import SettingsError
from vsr.core.frame import ColorSpec, Domain, pixel_format
from vsr.filters import BICUBIC, BILINEAR, LANCZOS, Kernel, resize
from vsr.io.encoding.recompress import CODECS, recompress

Range = tuple[float, float]
Frames = NDArray[np.uint8]
Numbers = NDArray[np.float32]

KINDS = ("bicubic", "gauss+decimate", "realistic")
RESIZES: Mapping[str, Kernel | None] = {"bicubic": BICUBIC, "bilinear": BILINEAR, "lanczos": LANCZOS, "area": None}
_BOUNDS: Mapping[str, Range] = {
    "sigma": (0, 20),
    "blur": (0, 20),
    "anisotropic": (0, 1),
    "noise": (0, 100),
    "shot_noise": (0, 100),
    "jpeg": (1, 100),
    "jpeg_share": (0, 1),
    "crf": (0, 51),
    "video_share": (0, 1),
}
_SIGMA_PER_SCALE = 0.4
_420, _RGB, _GRAY = pixel_format("yuv420p"), pixel_format("gbrp"), pixel_format("gray")
_BT709 = ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """What may be done to HR; pairs are (lowest, highest) of an even draw, `share`s the part of windows it befalls.

    `gauss+decimate` reads `sigma`, `realistic` all that follows it, `bicubic` nothing. A step whose range ends in 0
    is left out.

    Raises:
        SettingsError: an unknown kind or choice, or a value out of its bounds.
    """

    kind: str = "bicubic"
    sigma: Range | None = None
    """Of the Gaussian before decimation, HR pixels. None: 0.4 times the scale, 1.6 at x4 as in the video papers (Jo et
    al. 2018, DUF); the ESPCN paper gives none. Pixel (0, 0) is kept: LR lies (s - 1) / 2 HR pixels up and left."""
    blur: Range = (0.0, 1.5)
    """Sigma of the lens and of motion, HR pixels; of an anisotropic blur both axes are drawn, and its angle."""
    anisotropic: float = 0.5
    resize: tuple[str, ...] = ("bicubic", "bilinear", "lanczos", "area")
    noise: Range = (0.0, 8.0)
    """Read noise: standard deviation of the Gaussian part, 8-bit levels."""
    shot_noise: Range = (0.0, 4.0)
    """Standard deviation of the Poisson part at white, 8-bit levels; it falls with the root of the brightness."""
    jpeg: Range = (40, 95)
    jpeg_share: float = 0.5
    codecs: tuple[str, ...] = CODECS
    crf: Range = (18, 32)
    video_share: float = 0.5

    def __post_init__(self) -> None:
        _check_choice("kind", (self.kind,), KINDS)
        _check_choice("resize", self.resize, tuple(RESIZES))
        _check_choice("codecs", self.codecs, CODECS)
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is None:
                continue
            first, last = value if isinstance(value, tuple) else (value, value)
            if not low <= first <= last <= high:
                raise SettingsError(f"degradation: {name} = {value} is no range within {low} .. {high}")


def from_table(table: Mapping[str, object]) -> Degradation:
    """Give the degradation that a TOML table describes; a range may be one number, a choice one word.

    Raises:
        SettingsError: an unknown key (the close match is named), or a value of another type or out of its bounds.
    """
    known = {item.name: item for item in dataclasses.fields(Degradation)}
    read: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Keys: {', '.join(known)}."
            raise SettingsError(f"degradation: unknown key {key!r}", hint=hint)
        read[key] = _value(key, value, known[key].default)
    return Degradation(**read)


def degrade(hr: Frames, spec: Degradation, *, scale: int, rng: np.random.Generator) -> tuple[Frames, dict[str, object]]:
    """Give LR of one window, and what was drawn for it (plain values, fit for JSON).

    hr: (N, H, W, 3) RGB or (N, H, W) grey, uint8, H and W multiples of `scale`. LR has the same axes, H and W divided
    by `scale`, uint8. The same generator state gives the same LR.

    Raises:
        SettingsError: H or W is no multiple of the scale.
        EncodeError: the video codec refuses the frames.
    """
    if hr.dtype != np.uint8 or hr.ndim not in (3, 4) or (hr.ndim == 4 and hr.shape[-1] != 3):
        raise ValueError(f"expected (N, H, W, 3) or (N, H, W) uint8, got {hr.shape} {hr.dtype}")
    height, width = hr.shape[1:3]
    if scale < 1 or height % scale or width % scale or not height * width:
        raise SettingsError(f"{width}x{height} cannot be made {scale} times smaller: crop it to a multiple first")
    record: dict[str, object] = {"kind": spec.kind, "scale": scale}
    if spec.kind == "bicubic":
        return shrink(hr, height // scale, width // scale), record
    if spec.kind == "gauss+decimate":
        return _decimate(hr, spec, scale, rng, record), record
    return _realistic(hr, spec, scale, rng, record), record


def shrink(frames: Frames, height: int, width: int) -> Frames:
    """Resample (N, H, W[, 3]) by MATLAB's bicubic to another size, rounded to 8 bits."""
    return _rounded(_resized(frames.astype(np.float32), height, width, BICUBIC))


def blur_kernel(sigma_x: float, sigma_y: float, angle: float) -> NDArray[np.float64]:
    """Give a Gaussian (K, K) that sums to 1; its axes (sigmas in pixels) are turned by `angle` radians."""
    reach = max(1, int(np.ceil(4 * max(sigma_x, sigma_y))))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    # A turned line narrower than a pixel would fall between the samples.
    thinnest = 1e-3 if sigma_x == sigma_y else 0.3
    exponent = (along / max(sigma_x, thinnest)) ** 2 + (across / max(sigma_y, thinnest)) ** 2
    kernel: NDArray[np.float64] = np.exp(-exponent / 2)
    kernel /= kernel.sum()
    return kernel


def _decimate(hr: Frames, spec: Degradation, scale: int, rng: np.random.Generator, record: dict[str, object]) -> Frames:
    sigma = _drawn(rng, spec.sigma or (_SIGMA_PER_SCALE * scale,) * 2)
    record["sigma"] = sigma
    return _rounded(_blurred(hr.astype(np.float32), blur_kernel(sigma, sigma, 0.0))[:, ::scale, ::scale])


def _realistic(
    hr: Frames, spec: Degradation, scale: int, rng: np.random.Generator, record: dict[str, object]
) -> Frames:
    numbers = _lens(hr.astype(np.float32), spec, rng, record)
    kind = str(rng.choice(spec.resize))
    record["resize"] = kind
    numbers = _resized(numbers, hr.shape[1] // scale, hr.shape[2] // scale, RESIZES[kind])
    lr = _rounded(_sensor(numbers, spec, rng, record))
    if rng.random() < spec.jpeg_share:
        quality = round(_drawn(rng, spec.jpeg))
        record["jpeg"] = quality
        lr = np.stack([_through_jpeg(frame, quality) for frame in lr])
    if rng.random() < spec.video_share:
        codec, crf = str(rng.choice(spec.codecs)), round(_drawn(rng, spec.crf), 1)
        record.update(codec=codec, crf=crf)
        lr = _through_video(lr, codec, crf)
    return lr


def _lens(numbers: Numbers, spec: Degradation, rng: np.random.Generator, record: dict[str, object]) -> Numbers:
    sigma = _drawn(rng, spec.blur)
    if rng.random() < spec.anisotropic:
        sigma_y, angle = _drawn(rng, spec.blur), float(rng.uniform(0, np.pi))
    else:
        sigma_y, angle = sigma, 0.0
    if max(sigma, sigma_y) == 0:
        return numbers
    record["blur"] = [sigma, sigma_y, angle]
    return _blurred(numbers, blur_kernel(sigma, sigma_y, angle))


def _sensor(numbers: Numbers, spec: Degradation, rng: np.random.Generator, record: dict[str, object]) -> Numbers:
    """Add shot noise (Poisson: photons are counted) and read noise (Gaussian), anew on every frame."""
    shot, read = _drawn(rng, spec.shot_noise), _drawn(rng, spec.noise)
    if shot > 0:
        record["shot_noise"] = shot
        photons_per_level = 255 / shot**2  # so that white, 255 levels, has a deviation of `shot`
        numbers = (rng.poisson(np.clip(numbers, 0, 255) * photons_per_level) / photons_per_level).astype(np.float32)
    if read > 0:
        record["noise"] = read
        numbers = numbers + read * rng.standard_normal(numbers.shape, dtype=np.float32)
    return numbers


def _through_jpeg(frame: Frames, quality: int) -> Frames:
    array = np.ascontiguousarray(frame[..., ::-1]) if frame.ndim == 3 else frame
    done, data = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV codes every 8-bit picture as JPEG"
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)
    return decoded[..., ::-1] if frame.ndim == 3 else decoded


def _through_video(frames: Frames, codec: str, crf: float) -> Frames:
    """Send frames through a codec as cameras and web sites do: BT.709, limited range, 4:2:0."""
    is_color = frames.ndim == 4
    numbers = torch.from_numpy(frames.astype(np.float32) / 255)
    numbers = numbers.permute(0, 3, 1, 2) if is_color else numbers[:, None]
    coded = [
        encode_planes(data, None, None, _420, _BT709, source_format=_RGB if is_color else _GRAY, source_color=_BT709)
        for data in numbers
    ]
    luma = torch.stack([planes[0] for planes in coded]).numpy()
    chroma = torch.stack([torch.stack(planes[1:]) for planes in coded]).numpy()
    luma, chroma = recompress(luma, chroma, codec=codec, crf=crf)
    domain: Domain = "rgb" if is_color else "y"
    decoded = [
        decode_planes([torch.from_numpy(plane) for plane in (y.copy(), *c.copy())], _420, _BT709, domain).data
        for y, c in zip(luma, chroma, strict=True)
    ]
    back = torch.stack(decoded).permute(0, 2, 3, 1) if is_color else torch.stack(decoded)[:, 0]
    return _rounded(back.numpy() * np.float32(255))


def _blurred(numbers: Numbers, kernel: NDArray[np.float64]) -> Numbers:
    return np.stack([cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REFLECT) for frame in numbers])


def _resized(numbers: Numbers, height: int, width: int, kernel: Kernel | None) -> Numbers:
    """Resample (N, H, W[, 3]); kernel None: the mean of each block of pixels."""
    planes = torch.from_numpy(numbers)
    planes = planes[:, None] if planes.ndim == 3 else planes.permute(0, 3, 1, 2)
    with torch.inference_mode():
        if kernel is None:
            small = torch.nn.functional.adaptive_avg_pool2d(planes, (height, width))
        else:
            small = resize(planes.contiguous(), height, width, kernel)
    moved = small[:, 0] if numbers.ndim == 3 else small.permute(0, 2, 3, 1)
    result: Numbers = moved.numpy()
    return result


def _rounded(numbers: Numbers) -> Frames:
    """Round to nearest, halves up as MATLAB and PIL do."""
    return np.ascontiguousarray(np.clip(np.floor(numbers + np.float32(0.5)), 0, 255).astype(np.uint8))


def _drawn(rng: np.random.Generator, bounds: Range) -> float:
    return float(rng.uniform(*bounds))


def _check_choice(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for word in given:
        if word not in known:
            close = difflib.get_close_matches(word, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
            raise SettingsError(f"degradation: unknown {name} {word!r}", hint=hint)
    if not given:
        raise SettingsError(f"degradation: {name} is empty", hint=f"There are: {', '.join(known)}.")


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"degradation: {key} takes numbers, got {value!r}")
    return float(value)


def _range(key: str, value: object) -> Range:
    if not isinstance(value, list | tuple):
        return _number(key, value), _number(key, value)
    if len(value) != 2:
        raise SettingsError(f"degradation: {key} is one number or [lowest, highest], got {value!r}")
    return _number(key, value[0]), _number(key, value[1])


def _words(key: str, value: object) -> tuple[str, ...]:
    words = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(word, str) for word in words):
        raise SettingsError(f"degradation: {key} takes words, got {value!r}")
    return tuple(str(word) for word in words)


def _value(key: str, value: object, default: object) -> object:
    """Read one key of a table; what kind of value it takes, its default tells."""
    if key == "kind":
        if not isinstance(value, str):
            raise SettingsError(f"degradation: kind takes one word, got {value!r}")
        return value
    if key in ("resize", "codecs"):
        return _words(key, value)
    return _number(key, value) if isinstance(default, float) else _range(key, value)
