"""The one displacement of the whole picture, frame by frame: what a field of noise follows when the camera pans.

Each frame is measured against an anchor, a frame some way back that still shows the same scene, and not against the
one before: errors then add up from anchor to anchor, not from frame to frame, and a static camera stays where it is.
Phase correlation (Kuglin and Hines 1975) proposes a displacement, Lucas and Kanade 1981 refine it on the pictures, and
cells of the picture vote on it: a displacement that most of them do not follow is the motion of things, not of the
camera, and counts as none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.core.frame import Frame
from vsr.temporal.flow import GREY, Floats, grid, sample, slopes

Place = tuple[float, float]  # (dy, dx) in pixels of the source
Verdict = Literal["moves", "stands", "unknown"]

LONGEST = 640  # px of the longer side that is measured: larger pictures are averaged down by a whole factor
CORRELATED = 320  # px of the longer side that phase correlation sees
SMALLEST = 16  # px: a smaller side has too little to correlate
BLUR = 1.0  # px, sigma: as in `vsr.temporal.motion`
MOST_PIXELS = 10_000  # that the refinement reads: with three times as many errors were hardly less
ROUNDS = 6
PRECISE = 2e-3  # px: a round that moves less is the last one
TRUST = 4.0  # grey levels, least error that halves a pixel's say
CELLS = (16, 9)  # columns, rows
NOISE = 0.05  # grey levels squared that 8 bits leave between blurred pictures of the same thing
BETTER = 0.7  # of the other's error, or less: a cell has a side
LOST = 25.0  # grey levels squared: a cell that either explanation leaves with more is explained by neither
SHARE = 0.6  # of the cells that have a say must follow
FEWEST = 0.04  # of all cells must follow, at the least
DEAD = 0.1  # px: less, from the anchor, is a camera that stands
FAR = 0.2  # of the shorter side: farther from the anchor, the next frame gets a new one


def track(frames: Iterable[Frame]) -> Iterator[Place]:
    """Yield for each frame how far the picture has moved, down and right, since its shot was opened: (dy, dx).

    In pixels of the source, exactly (0, 0) as long as the camera stands. Where no displacement explains the picture
    the place stays as it was. A frame with `opens_shot` begins again at (0, 0). Holds two frames besides the one given.
    """
    anchor: _Seen | None = None
    before: _Seen | None = None
    for frame in frames:
        factor, luma = _luma(frame)
        if anchor is None or before is None or frame.opens_shot:
            anchor = before = _seen(luma, (0.0, 0.0))
        else:
            anchor, before = _followed(anchor, before, luma)
        yield before.place[0] * factor, before.place[1] * factor


def rounded(place: Place, scale: int) -> tuple[int, int]:
    """Give a place in whole pixels of the output grid."""
    return round(place[0] * scale), round(place[1] * scale)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """A frame as it is measured against: blurred, with its slopes where the refinement reads, and its place."""

    picture: Floats
    place: Place
    x: Floats  # (1, columns)
    y: Floats  # (rows, 1)
    value: Floats  # (rows, columns)
    gx: Floats
    gy: Floats


def _luma(frame: Frame) -> tuple[int, Floats]:
    """Give the factor by which a frame is averaged down, and its first plane in grey levels, blurred."""
    plane = frame.planes[0]  # Y, grey, or G of an RGB source
    height, width = plane.shape
    factor = -(-max(height, width) // LONGEST)
    luma = np.ascontiguousarray(plane).astype(np.float32) * np.float32(GREY / frame.format.peak)
    if factor > 1:
        luma = luma[: max(1, height // factor) * factor, : max(1, width // factor) * factor]  # a sliver stays a line
        size = (max(1, luma.shape[1] // factor), max(1, luma.shape[0] // factor))
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
    return factor, np.asarray(cv2.GaussianBlur(luma, (0, 0), BLUR, borderType=cv2.BORDER_REPLICATE), np.float32)


def _seen(picture: Floats, place: Place) -> _Seen:
    height, width = picture.shape
    step = max(1, int((height * width / MOST_PIXELS) ** 0.5))
    at = slice(step // 2, None, step)
    x, y = grid(height, width)
    gx, gy = slopes(picture)
    return _Seen(picture=picture, place=place, x=x[:, at], y=y[at], value=picture[at, at], gx=gx[at, at], gy=gy[at, at])


def _followed(anchor: _Seen, before: _Seen, picture: Floats) -> tuple[_Seen, _Seen]:
    """Give the anchor for the next frame, and this frame with its place."""
    if np.array_equal(before.picture, picture):
        return anchor, before
    guess = before.place[0] - anchor.place[0], before.place[1] - anchor.place[1]
    verdict, moved = _measured(anchor, picture, guess)
    if verdict == "unknown" and anchor is not before:
        anchor = before
        verdict, moved = _measured(anchor, picture, (0.0, 0.0))
    now = _seen(picture, (anchor.place[0] + moved[0], anchor.place[1] + moved[1]))
    is_far = max(abs(moved[0]), abs(moved[1])) > FAR * min(picture.shape)
    return (now if is_far or verdict == "unknown" else anchor), now


def _measured(anchor: _Seen, picture: Floats, guess: Place) -> tuple[Verdict, Place]:
    """Give how far a picture has moved from the anchor, and whether that is so."""
    if min(picture.shape) < SMALLEST:
        return "stands", (0.0, 0.0)
    standing = _error(anchor, picture, (0.0, 0.0))
    costs = {(0.0, 0.0): _cost(standing)}
    for proposed in (_correlated(anchor.picture, picture), guess):
        if proposed not in costs:
            costs[proposed] = _cost(_error(anchor, picture, proposed))
    place = _refined(anchor, picture, min(costs, key=lambda proposed: costs[proposed]))
    verdict = _voted(standing, _error(anchor, picture, place))
    if verdict == "moves" and max(abs(place[0]), abs(place[1])) < DEAD:
        verdict = "stands"
    return verdict, place if verdict == "moves" else (0.0, 0.0)


def _correlated(a: Floats, b: Floats) -> Place:
    """Give the displacement from `a` to `b` by phase correlation under a Hann window."""
    factor = -(-max(a.shape) // CORRELATED)
    size = (a.shape[1] // factor, a.shape[0] // factor)
    if factor > 1:
        a, b = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32) for one in (a, b))
    window = np.asarray(cv2.createHanningWindow(size, cv2.CV_32F), np.float32)
    # It multiplies the window into the very pictures that it is given, where their size needs no padding.
    (dx, dy), _ = cv2.phaseCorrelate(a.copy(), b.copy(), window)
    return dy * factor, dx * factor


def _error(anchor: _Seen, picture: Floats, place: Place) -> Floats:
    """Give what is left of the anchor's values when the picture is taken back by `place`; NaN outside the picture."""
    x, y = anchor.x + np.float32(place[1]), anchor.y + np.float32(place[0])
    height, width = picture.shape
    full = np.broadcast_shapes(x.shape, y.shape)
    across, down = (np.ascontiguousarray(np.broadcast_to(part, full)) for part in (x, y))
    error = sample(picture, across, down) - anchor.value
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.where(inside, error, np.float32(np.nan))


def _cost(error: Floats) -> float:
    """Give a robust mean of the error; a displacement that leaves little of the picture inside costs most."""
    inside = np.isfinite(error)
    if float(inside.mean()) < FAR:
        return float("inf")
    return float(np.minimum(np.abs(error[inside]), 8 * TRUST).mean())


def _refined(anchor: _Seen, picture: Floats, start: Place) -> Place:
    """Refine a displacement by least squares with the anchor's slopes; pixels that follow something else count less."""
    place = np.array(start, np.float64)
    for _ in range(ROUNDS):
        error = _error(anchor, picture, (float(place[0]), float(place[1])))
        inside = np.isfinite(error)
        if float(inside.mean()) < FAR:
            return start
        error = np.where(inside, error, 0)
        scale = max(TRUST, 2 * float(np.median(np.abs(error[inside]))))
        weight = np.where(inside, 1 / np.square(1 + np.square(error / scale)), 0).astype(np.float32)
        wx, wy = weight * anchor.gx, weight * anchor.gy
        xx, xy, yy = (float((w * g).sum()) for w, g in ((wx, anchor.gx), (wx, anchor.gy), (wy, anchor.gy)))
        ex, ey = float((wx * error).sum()), float((wy * error).sum())
        steady = 1e-3 * (xx + yy) + 1e-6
        determinant = (xx + steady) * (yy + steady) - xy * xy
        step = np.array([(xx + steady) * ey - xy * ex, (yy + steady) * ex - xy * ey]) / determinant
        place -= np.clip(step, -2, 2)
        if float(np.abs(step).max()) < PRECISE:
            break
    return float(place[0]), float(place[1])


def _voted(standing: Floats, moving: Floats) -> Verdict:
    """Let the cells of the picture say which error is less: a cell without texture has no say."""
    outside = ~np.isfinite(moving)
    still, moved, seen = (
        _cells(np.where(outside, 0, part).astype(np.float32)) for part in (standing**2, moving**2, ~outside)
    )
    counts = seen > 0.5
    still, moved = still[counts] / seen[counts], moved[counts] / seen[counts]
    follow = moved + NOISE < BETTER * (still + NOISE)
    stay = still + NOISE < BETTER * (moved + NOISE)
    lost = ~follow & ~stay & (np.minimum(still, moved) > LOST)
    deciding = follow.sum() + stay.sum() + lost.sum()
    if follow.sum() >= max(1.0, FEWEST * follow.size, SHARE * deciding):
        return "moves"
    return "stands" if deciding == 0 or stay.sum() >= SHARE * deciding else "unknown"


def _cells(values: Floats) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(values, CELLS, interpolation=cv2.INTER_AREA), np.float32)
