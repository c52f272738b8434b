"""Whatever the format, size and tags: codes to numbers to codes is the identity where nothing is subsampled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.color.convert import to_frame, to_picture
from vsr.color.tables import LUMA_WEIGHTS, SITINGS, output_color, resolve
from vsr.core.frame import ColorSpec, Frame, pixel_format

SIZES = st.integers(1, 40)
FAMILIES = ["yuv444p", "yuv422p", "yuv420p", "yuv440p", "yuv411p", "yuv410p", "yuva420p", "yuva444p", "gbrp", "gray"]
COLORS = st.builds(
    ColorSpec,
    matrix=st.sampled_from([*sorted(LUMA_WEIGHTS), "unspecified"]),
    range=st.sampled_from(["tv", "pc", "unspecified"]),
    siting=st.sampled_from([*sorted(SITINGS), "unspecified"]),
    primaries=st.sampled_from(["bt709", "bt2020", "unspecified"]),
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    family, depth = draw(st.sampled_from(FAMILIES)), draw(st.sampled_from([8, 10, 12]))
    fmt = pixel_format(family if depth == 8 else f"{family}{depth}le")
    width, height = draw(SIZES), draw(SIZES)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shapes = [fmt.plane_shape(number, width, height) for number in range(fmt.plane_count)]
    planes = tuple(rng.integers(0, fmt.peak, shape, endpoint=True).astype(fmt.dtype) for shape in shapes)
    color = resolve(draw(COLORS), fmt, width, height)
    return Frame(index=0, pts=0, duration=1, planes=planes, format=fmt, color=color)


def is_subsampled(frame: Frame) -> bool:
    return frame.format.chroma_shift_x > 0 or frame.format.chroma_shift_y > 0


@settings(max_examples=150, deadline=None)
@given(frame=frames())
def test_luma_models_change_no_code(frame: Frame) -> None:
    result = to_frame(
        to_picture(frame, frame.color, "y"),
        frame.format,
        frame.color,
        source_format=frame.format,
        source_color=frame.color,
        source_size=(frame.height, frame.width),
    )
    assert all(np.array_equal(a, b) for a, b in zip(result.planes, frame.planes, strict=True))


@settings(max_examples=150, deadline=None)
@given(frame=frames())
def test_rgb_models_change_no_luma_and_no_colour_that_is_not_subsampled(frame: Frame) -> None:
    picture = to_picture(frame, frame.color, "rgb")
    result = to_frame(picture, frame.format, frame.color, source_format=frame.format, source_color=frame.color)
    for number, (a, b) in enumerate(zip(result.planes, frame.planes, strict=True)):
        if number in (0, 3) or not is_subsampled(frame):
            assert np.array_equal(a, b)


@settings(max_examples=80, deadline=None)
@given(frame=frames(), domain=st.sampled_from(["rgb", "y"]), scale=st.integers(1, 3))
def test_a_flat_colour_stays_exactly_that_colour_at_every_scale(frame: Frame, domain: str, scale: int) -> None:
    planes = tuple(np.full_like(plane, plane.flat[0]) for plane in frame.planes)
    flat = replace(frame, planes=planes)
    picture = to_picture(flat, flat.color, "y" if domain == "y" else "rgb")
    larger = picture.data.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    alpha = None if picture.alpha is None else picture.alpha.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    result = to_frame(
        replace(picture, data=larger, alpha=alpha),
        flat.format,
        flat.color,
        source_format=flat.format,
        source_color=flat.color,
    )
    assert (result.width, result.height) == (scale * flat.width, scale * flat.height)
    assert all((a == b.flat[0]).all() for a, b in zip(result.planes, planes, strict=True))


@settings(max_examples=80, deadline=None)
@given(frame=frames(), target=st.sampled_from(FAMILIES), domain=st.sampled_from(["rgb", "y"]))
def test_every_format_can_become_every_other(frame: Frame, target: str, domain: str) -> None:
    fmt = pixel_format(target)
    color = output_color(frame.color, fmt)
    picture = to_picture(frame, frame.color, "y" if domain == "y" else "rgb")
    result = to_frame(picture, fmt, color, source_format=frame.format, source_color=frame.color)
    assert (result.width, result.height, result.format) == (frame.width, frame.height, fmt)
