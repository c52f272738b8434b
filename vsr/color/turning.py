"""Planes and the grids they lie on, turned: no sample changes its value."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from vsr.color.chroma import Grid
from vsr.core.turn import Turn


def turned(planes: Tensor, turn: Turn) -> Tensor:
    """Give planes (..., H, W) turned; (..., W, H) where the turn swaps. A view."""
    if turn.swaps:
        planes = planes.transpose(-1, -2)
    sides = [axis for axis, flips in ((-1, turn.flips_x), (-2, turn.flips_y)) if flips]
    return planes.flip(sides) if sides else planes


def turned_grid(grid: Grid, turn: Turn) -> Grid:
    """Give the grid on which chroma samples lie after `turned`."""
    if turn.swaps:
        grid = Grid(
            width=grid.height,
            height=grid.width,
            step_x=grid.step_y,
            step_y=grid.step_x,
            offset_x=grid.offset_y,
            offset_y=grid.offset_x,
        )
    rows, columns = grid.shape
    if turn.flips_x:  # the last sample becomes the first
        first = grid.width - 1 - (grid.offset_x + (columns - 1) * grid.step_x)
        grid = dataclasses.replace(grid, offset_x=first)
    if turn.flips_y:
        first = grid.height - 1 - (grid.offset_y + (rows - 1) * grid.step_y)
        grid = dataclasses.replace(grid, offset_y=first)
    return grid
