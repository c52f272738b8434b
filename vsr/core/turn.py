"""How a picture is turned to be shown upright: one of the eight ways to lay a rectangle on its own edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Rows and columns change places where `swaps`; after that left and right, then top and bottom."""

    swaps: bool = False
    flips_x: bool = False
    flips_y: bool = False


UPRIGHT = Turn()


def turn_of(matrix: Sequence[int]) -> Turn | None:
    """Give the turn that a display matrix asks for; None where it asks for one that is no multiple of 90 degrees.

    matrix: the nine numbers of ISO/IEC 14496-12 sec. 8.2.2, by which a sample (p, q) is shown at
    (a p + c q + x, b p + d q + y); () is upright. Its scale and its place are left out.
    """
    if not matrix:
        return UPRIGHT
    a, b, _, c, d, *_ = matrix
    if a and d and not (b or c):
        return Turn(flips_x=a < 0, flips_y=d < 0)
    if b and c and not (a or d):
        return Turn(swaps=True, flips_x=c < 0, flips_y=b < 0)
    return None
