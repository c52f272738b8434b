"""`vsr bench`: where the time goes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import clock, json_line
from vsr.commands.options import SettingsCommand, given, json_flag, settings_flags, volume_flags

if TYPE_CHECKING:
    from vsr.jobs.bench import BenchResult


@click.command("bench", cls=SettingsCommand)
@click.argument("source", metavar="[INPUT]", required=False, type=click.Path(path_type=Path))
@json_flag("the result")
@volume_flags
@settings_flags(("engine", "temporal", "diffusion", "encode"))
def command(source: Path | None, as_json: bool, quiet: bool, verbose: int, **flags: object) -> None:
    """Measure how fast each stage runs alone, and all of them together; say what limits the whole.

    INPUT is a video (default: a generated clip of 640x360). The upscaled result is thrown away. Efficiency is
    CPU seconds / (cores x wall seconds).

    \b
    vsr bench
    vsr bench holiday.mp4 --model espcn --scale 2
    """
    from vsr.commands.screen import open_screen
    from vsr.core.events import Summary
    from vsr.jobs.bench import bench

    with open_screen(as_json=as_json, quiet=quiet, verbose=verbose) as report:
        # The upscaled file is gone when this ends: its own summary would name what is not there.
        result = bench(source, given(flags), lambda event: None if isinstance(event, Summary) else report(event))
    if as_json:
        click.echo(json_line(result, event="bench"))
    else:
        _show(result)


def _show(result: BenchResult) -> None:
    from vsr.commands.tables import show_facts, show_table

    rows = [
        (
            stage.name,
            f"{stage.wall_ms:.2f}",
            f"{stage.cpu_ms:.2f}",
            f"{stage.wall_ms / result.megapixels:.1f}",
            f"{stage.capacity_fps:.1f}",
        )
        for stage in result.stages
    ]
    show_table(("stage alone", "ms/frame", "CPU ms/frame", "ms/Mpx out", "capacity fps"), rows)
    summary = result.summary
    together = [
        ("job", result.description),
        ("end to end", f"{summary.fps:.2f} fps, {summary.frames_out} frames in {clock(summary.wall_s)}"),
        ("cost", f"{result.ms_per_megapixel:.0f} ms per megapixel of the result"),
        ("bottleneck", result.bottleneck),
        ("efficiency", f"{summary.efficiency:.2f} on {summary.cores} cores"),
    ]
    show_facts("all together", together)
