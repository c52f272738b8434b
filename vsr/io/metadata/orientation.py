"""The display matrix: nine numbers that turn, mirror and move a picture before it is shown.

A sample (p, q) is shown at (a p + c q + x, b p + d q + y), with the matrix a b u, c d v, x y w row by row in 16.16
numbers, u v w in 2.30 (ISO/IEC 14496-12 sec. 8.2.2).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction

_MATRIX = struct.Struct("=9i")


def read_matrix(data: bytes) -> tuple[int, ...]:
    """Give the nine numbers of side data; () where they move nothing, or are none."""
    if len(data) < _MATRIX.size:
        return ()
    matrix = _MATRIX.unpack_from(data)
    return () if matrix == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30) else matrix


def is_mirrored(matrix: Sequence[int]) -> bool:
    """Whether the picture is seen from behind: no turn alone does that."""
    return bool(matrix) and matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0


def resized(matrix: Sequence[int], before: tuple[Fraction, Fraction], after: tuple[Fraction, Fraction]) -> list[int]:
    """Give the matrix of the same turn for a picture of another size.

    before, after: width and height as they are shown, so with the sample aspect ratio in them. The place grows as the
    turned picture does: where it brought the corner back to (0, 0) it does so again.
    """
    a, b, u, c, d, v, x, y, w = matrix
    old = _extent((a, c), before), _extent((b, d), before)
    new = _extent((a, c), after), _extent((b, d), after)
    moved = [round(place * n / o) if o else place for place, o, n in zip((x, y), old, new, strict=True)]
    return [a, b, u, c, d, v, *(max(-(1 << 31), min((1 << 31) - 1, place)) for place in moved), w]


def _extent(row: tuple[int, int], size: tuple[Fraction, Fraction]) -> Fraction:
    return abs(row[0]) * size[0] + abs(row[1]) * size[1]
