"""`verify`: a result held against its source, by a reading of both that shares nothing with the making of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from vsr.core.errors import OutputExists, UsageError
from vsr.core.media import StreamPlan
from vsr.io.muxing.containers import ContainerRule, container_of, plan_streams, rule_of
from vsr.io.probe import probe
from vsr.io.witness.reading import FileFacts, read
from vsr.jobs.verify.comparison import Comparison, bounds, broken, lift_of, same
from vsr.jobs.verify.expected import Expected, Finding, Verdict
from vsr.jobs.verify.labels import check_chapters, check_metadata
from vsr.jobs.verify.pictures import compare
from vsr.jobs.verify.properties import check_format, check_shape, check_side_data, check_tags
from vsr.jobs.verify.streams import check_streams
from vsr.jobs.verify.times import Diary, check_count, check_ends, check_times

_AS_IS = Expected()


def verify(
    source: Path | str,
    result: Path | str,
    *,
    expected: Expected = _AS_IS,
    worst: Path | None = None,
    sample: int | None = None,
    threads: int = 1,
) -> Verdict:
    """Hold `result` against `source`: frames, times, streams, tags, shape, side data, and every picture.

    Both are read and decoded from their first byte to their last. expected: what was asked for beside a resolution.
    worst: a PNG of the frame that fits worst (source | result | difference, four times as strong). sample: look at the
    pictures of so many frames alone; their times are compared all the same. threads: of each decoder.

    A result that does not hold is told in the verdict, not raised: see `Verdict.raise_if_broken`.

    Raises:
        InputError: one of them cannot be read. UsageError: the picture of the worst frame cannot be a PNG.
        OutputError: it cannot be written.
    """
    source, result = Path(source), Path(result)
    _check_worst(worst, (source, result))
    before = read(source)
    rule, plans = _rules(before, result, expected)
    after = read(result, rank=_rank(before, plans) if before.images is None else None)
    held = _comparison(before, after, expected, rule, plans)
    diary = Diary()
    seen, look = compare(held, diary, worst=worst, sample=sample, threads=threads)
    findings = [check_count(held, diary), check_times(held, diary), *check_ends(held, diary), *seen]
    findings += [check_format(held), check_tags(held), *check_shape(held), *check_side_data(held, diary)]
    findings += [*check_streams(held), *check_chapters(held), *check_metadata(held), *_damage(held)]
    return Verdict(source=source, result=result, findings=tuple(findings), look=look)


def _check_worst(worst: Path | None, files: tuple[Path, ...]) -> None:
    if worst is None:
        return
    if worst.suffix.lower() != ".png":
        raise UsageError(f"{worst} is no name of a PNG file", hint="The worst frame is written as .png.")
    if any(worst.absolute() == file.absolute() for file in files):
        raise OutputExists(f"{worst} is one of the files to be compared", hint="Choose another name for the picture.")


def _rules(before: FileFacts, result: Path, expected: Expected) -> tuple[ContainerRule | None, tuple[StreamPlan, ...]]:
    """Give the rule of the result's container (None: images) and what becomes of each stream by it."""
    if _is_images(result):
        reason = "images hold the pictures alone"
        drop = [StreamPlan(index=s.index, action="drop", codec=s.codec, reason=reason, is_whole=False)
                for s in before.streams]  # fmt: skip
        return None, tuple(drop)
    rule = rule_of(container_of(expected.container or result))
    if expected.streams is not None:
        return rule, expected.streams
    if before.images is not None:
        return rule, ()
    info = probe(before.path, scan=rule.name == "avi")
    return rule, plan_streams(info, rule.name, audio=expected.audio, selection=expected.selection)


def _is_images(path: Path) -> bool:
    return (
        path.is_dir() or "%" in path.name or path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
    )


def _rank(before: FileFacts, plans: tuple[StreamPlan, ...]) -> int:
    """Give the place of the made video among the result's videos: others that are copied keep theirs."""
    kept = {plan.index for plan in plans if plan.action != "drop"}
    others = [stream for stream in before.streams if stream.kind == "video" and not stream.is_cover]
    return sum(stream.index in kept and stream.index < before.video.index for stream in others)


def _comparison(
    before: FileFacts,
    after: FileFacts,
    expected: Expected,
    rule: ContainerRule | None,
    plans: tuple[StreamPlan, ...],
) -> Comparison:
    begin, stop = bounds(before, expected)
    lift = expected.lift if expected.lift is not None else lift_of(before, plans, rule, begin)
    return Comparison(
        source=before,
        result=after,
        expected=expected,
        rule=rule,
        plans=plans,
        begin=begin,
        stop=stop,
        shift=lift - (begin or Fraction(0)),
        lift=lift,
    )


def _damage(held: Comparison) -> list[Finding]:
    if held.result.damage:
        return [broken("file", f"the result breaks off: {held.result.damage}")]
    return [same("file", f"the source breaks off: {held.source.damage}")] if held.source.damage else []
