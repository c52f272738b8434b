"""`vsr jobs`: what interrupted runs left, how far they came, and away with what nobody will go on with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import amount, clock, json_line, visible
from vsr.commands.options import json_flag
from vsr.core.errors import InputMissing, JobLocked, UsageError, VsrError

if TYPE_CHECKING:
    from vsr.jobs.status import JobStatus

DAY_S = 86_400


@click.group("jobs")
def command() -> None:
    """List, show and clean what interrupted jobs left behind.

    A job keeps its finished chunks in a hidden folder beside its destination; the command that began it goes on from
    there, and removes the folder when the result is whole.

    \b
    vsr jobs list
    vsr jobs show holiday_x2.mp4
    vsr jobs clean --older-than 30
    """


_folders = click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))


@command.command("list")
@_folders
@json_flag("each job")
def list_(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the jobs in FOLDER and all folders in it (default: the current one).

    Links are not followed; folders that cannot be read are passed over.
    """
    from vsr.commands.tables import show_table

    found = list(_found(folders))
    if as_json:
        for job in found:
            click.echo(json_line(job))
    elif found:
        headers = ("destination", "frames", "chunks", "on disk", "last change", "in use by")
        show_table(headers, [_row(job) for job in found])
    else:
        click.echo("no interrupted jobs")


@command.command("show")
@click.argument("path", metavar="JOB", type=click.Path(path_type=Path))
@json_flag("the job")
def show(path: Path, as_json: bool) -> None:
    """Tell everything about JOB: a destination, or the work folder beside it."""
    from vsr.commands.tables import show_facts
    from vsr.jobs.status import is_work_folder, of_destination, read

    folders = (path,) if is_work_folder(path) else of_destination(path)
    if not folders:
        raise InputMissing(f"no interrupted job makes {path}", hint="`vsr jobs list` names those there are.")
    for job in map(read, folders):
        if as_json:
            click.echo(json_line(job))
        else:
            show_facts(str(job.folder), _facts(job))


@command.command("clean")
@_folders
@click.option("--older-than", "days", type=click.FloatRange(min=0), metavar="DAYS", help="Only those idle for longer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_flag("each job that was removed")
def clean(folders: tuple[Path, ...], days: float | None, yes: bool, as_json: bool) -> None:
    """Remove the jobs in FOLDER and all folders in it (default: the current one): their finished chunks are lost.

    Never one that is in use. Sources and finished results are not touched.
    """
    from vsr.commands.tables import show_table

    idle = [job for job in _found(folders) if job.in_use_by is None and job.idle_s >= (days or 0) * DAY_S]
    if not idle:
        if not as_json:
            click.echo("nothing to clean")
        return
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError(f"{_number(idle)} would be removed, and nobody can be asked", hint="Add --yes.")
        show_table(("destination", "frames", "chunks", "on disk", "last change"), [_row(job)[:-1] for job in idle])
        if not click.confirm(f"Remove {_number(idle)}?"):
            return
    removed = _remove(idle, as_json=as_json)
    if not as_json:
        click.echo(f"{_number(removed)} removed, {amount(sum(job.size_bytes for job in removed))} freed")


def _found(folders: Sequence[Path]) -> Iterator[JobStatus]:
    """Yield the jobs there are; one that cannot be read is told of and passed over."""
    from vsr.jobs.status import find, read

    for folder in find(folders or (Path(),)):
        try:
            yield read(folder)
        except VsrError as error:
            click.echo(visible(f"passed over: {error.message}"), err=True)


def _remove(jobs: Sequence[JobStatus], *, as_json: bool) -> list[JobStatus]:
    """Remove each that is still idle; the first that cannot be removed is raised when the others are gone."""
    from vsr.jobs import status

    removed: list[JobStatus] = []
    first: VsrError | None = None
    for job in jobs:
        try:
            status.clean(job.folder)
        except JobLocked as error:
            click.echo(visible(f"kept: {error.message}"), err=True)
        except VsrError as error:
            first = first or error
        else:
            removed.append(job)
            if as_json:
                click.echo(json_line(job))
    if first is not None:
        raise first
    return removed


def _number(jobs: Sequence[JobStatus]) -> str:
    return "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"


def _row(job: JobStatus) -> tuple[str, ...]:
    return (
        str(job.destination or job.folder),
        _progress(job.frames_done, job.frames),
        f"{job.chunks_done}/{job.chunks}",
        amount(job.size_bytes),
        _ago(job.idle_s),
        str(job.in_use_by or ""),
    )


def _facts(job: JobStatus) -> list[tuple[str, str]]:
    facts = [
        ("source", str(job.source or "")),
        ("destination", str(job.destination or "")),
        ("model", job.model),
        ("device", job.device),
        ("frames", _progress(job.frames_done, job.frames)),
        ("chunks", f"{job.chunks_done}/{job.chunks}"),
        ("began", job.began),
        ("last record", job.last),
        ("last change", _ago(job.idle_s)),
        ("in use by", str(job.in_use_by or "nobody")),
        ("on disk", amount(job.size_bytes)),
        ("goes on with", job.command),
    ]
    return [(name, value) for name, value in facts if value]


def _progress(done: int, total: int) -> str:
    return f"{done}/{total} ({100 * done // total} %)" if total else str(done)


def _ago(seconds: float) -> str:
    return f"{seconds / DAY_S:.0f} days ago" if seconds >= 2 * DAY_S else f"{clock(seconds)} ago"
