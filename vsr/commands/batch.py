"""`vsr batch`: a folder of videos and images, one after the other or many at a time."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import amount, clock, json_line
from vsr.commands.options import SettingsCommand, given, json_flag, settings_flags, volume_flags
from vsr.commands.signals import asking
from vsr.core.errors import Interrupted, PartialFailure, UsageError
from vsr.core.presets import find, resolve

if TYPE_CHECKING:
    from vsr.core.events import FolderSummary
    from vsr.core.settings import Resolved
    from vsr.core.stop import Stop
    from vsr.jobs.folder.plan import FilePlan, FolderPlan
    from vsr.jobs.folder.wish import Wish


@click.command("batch", cls=SettingsCommand)
@click.argument("source", metavar="SRC", type=click.Path())
@click.argument("destination", metavar="DST", type=click.Path())
@click.option(
    "--name",
    default="{stem}{suffix}",
    metavar="TEMPLATE",
    help="Name of each result: {stem}, {suffix}, {ext}, {model}, {scale} (default: {stem}{suffix}).",
)
@click.option("--include", multiple=True, metavar="GLOB", help="Only these: *.mkv, or film/* of the tree; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not these, files or folders; repeatable.")
@click.option("--recursive/--no-recursive", default=True, help="Folders in SRC too (default: on).")
@click.option("-p", "--preset", metavar="NAME", help="A preset's name, or a TOML file; flags beat it.")
@click.option("--rules", metavar="FILE", type=click.Path(path_type=Path), help="Rules for single files: a TOML file.")
@click.option("--skip-height", type=click.IntRange(min=1), metavar="N", help="Pass over what is N lines high or more.")
@click.option(
    "--usual-rules/--no-usual-rules",
    default=True,
    help="Keep 10 bits of HDR (default: on).",
)
@click.option(
    "--retry", type=click.IntRange(0, 100), default=0, metavar="N", help="Try what failed N times more, in the end."
)
@click.option("--watch", is_flag=True, help="Go on with files that arrive, until you stop it.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=5.0,
    metavar="S",
    help="With --watch: take a file that has not changed for S seconds (default: 5).",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, its time and size; write nothing.")
@json_flag("progress, each file, the summary and errors")
@volume_flags
@settings_flags()
def command(
    source: str,
    destination: str,
    name: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    recursive: bool,
    preset: str | None,
    rules: Path | None,
    skip_height: int | None,
    usual_rules: bool,
    retry: int,
    watch: bool,
    settle: float,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **flags: object,
) -> None:
    """Upscale every video and image in SRC into DST, a tree like SRC's.

    What is done is passed over: DST/results.jsonl tells what was made from which source with which settings. A result
    whose source or settings have changed is made anew with --overwrite. A file that fails stops no other; what was
    stopped goes on when the same command is given again, and several may work on one folder at a time.

    SRC and DST may be URLs (s3://, gs://, ...): a source is fetched when its turn comes, a result is stored when it is
    whole.

    \b
    vsr batch holidays/ holidays-x2/
    vsr batch films/ out/ --include "*.mkv" --height 1080 --skip-height 1080 --retry 1
    vsr batch s3://in/films s3://out/films --cluster ray
    vsr batch inbox/ outbox/ --watch --name "{stem}_{model}_x{scale}{suffix}"
    """
    resolved = resolve(given(flags), find(preset) if preset else None)
    if watch and dry_run:
        raise UsageError("--watch and --dry-run exclude each other")

    from vsr.jobs.folder.rules import read_rules
    from vsr.jobs.folder.wish import Wish, where

    wish = Wish(
        source=where(source),
        destination=where(destination),
        name=name,
        include=include,
        exclude=exclude,
        is_recursive=recursive,
        rules=read_rules(rules) if rules is not None else (),
        skip_height=skip_height,
        is_usual=usual_rules,
        retry=retry,
    )
    if dry_run:
        _show_plan(wish, resolved, as_json=as_json)
        return
    from vsr.commands.screen import open_screen
    from vsr.jobs.folder.entry import run_folder, watch_folder

    said = shlex.join(sys.argv)
    with open_screen(as_json=as_json, quiet=quiet, verbose=verbose) as report, asking() as stop:
        if watch:
            summary = watch_folder(wish, resolved, report, stop=stop, settle_s=settle, command=said)
        else:
            summary = run_folder(wish, resolved, report, stop=stop, command=said)
    _raise_what_is_wrong(summary, stop, is_anew=resolved.settings.run.restart)


def _raise_what_is_wrong(summary: FolderSummary, stop: Stop, *, is_anew: bool) -> None:
    """Give the exit code its reason: stopped before the end, or some files failed. is_anew: --restart was given."""
    same = "the same command" + (" without --restart" if is_anew else "")
    if stop.asked and summary.left:
        files = "1 file is" if summary.done == 1 else f"{summary.done} files are"
        error = Interrupted(
            f"stopped: {files} done, {summary.left} are left",
            hint=f"Run {same} again to go on.",
        )
        error.exit_code = stop.code
        raise error
    if summary.failed:
        files = "1 file" if summary.failed == 1 else f"{summary.failed} files"
        is_there = any(file.error == "OutputExists" for file in summary.files)
        more = " Add --overwrite to make anew what exists." if is_there else ""
        raise PartialFailure(
            f"{files} failed, {summary.done + summary.earlier} are done",
            hint=f"{summary.results} tells why. {same.capitalize()} tries again what is not done.{more}",
        )


def _show_plan(wish: Wish, resolved: Resolved, *, as_json: bool) -> None:
    from vsr.commands.tables import show_table
    from vsr.jobs.folder.plan import plan_folder

    plan = plan_folder(wish, resolved)
    if as_json:
        click.echo(json_line(plan, event="dry_run"))
        return
    if plan.files:
        show_table(("", "file", "size", "frames", "time", "result", "", ""), [_row(file) for file in plan.files])
    click.echo(_sum(plan))


def _row(file: FilePlan) -> tuple[str, ...]:
    is_made = file.action in ("make", "go on")
    is_reckoned = is_made and not file.is_unknown
    return (
        file.action,
        str(file.source),
        f"{file.width}x{file.height}" if file.width else "",
        str(file.frames or ""),
        clock(file.seconds) if is_reckoned else "",
        str(file.destination) if is_made else "",
        amount(file.bytes) if is_reckoned else "",
        file.reason,
    )


def _sum(plan: FolderPlan) -> str:
    actions = [file.action for file in plan.files]
    counts = ", ".join(f"{actions.count(action)} to {action}" for action in ("make", "go on", "skip", "refuse"))
    unknown = f"; {plan.unknown} by URL are not in these figures: they were not looked at" if plan.unknown else ""
    return (
        f"{counts}, {actions.count('done')} done; {plan.others} other files; about {clock(plan.seconds)}, "
        f"{amount(plan.bytes)} ({amount(plan.free_bytes)} are free){unknown}"
    )
