"""What results of a folder run are called, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vsr.core.errors import UsageError
from vsr.jobs.folder.listing import Found
from vsr.jobs.folder.naming import TEMPLATE, Entry, Naming, clashes, entries, refuse_clashes


def found(name: str) -> Found:
    return Found(path=Path("/src") / name, name=name, size=1, mtime_ns=1)


def naming(
    template: str = TEMPLATE, *, scale: float | None = 2.0, container: str | None = None, model: str = "espcn"
) -> Naming:
    return Naming(template=template, model=model, scale=scale, container=container)


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("a.mp4", "a.mp4"),
        ("sub/deep/a.mkv", "sub/deep/a.mkv"),
        ("a.MOV", "a.mov"),
        ("a.avi", "a.mkv"),
        ("a.wmv", "a.mkv"),
        ("a.3gp", "a.mp4"),
        ("a.gif", "a.mp4"),
        ("photo.png", "photo.png"),
        ("photo.JPEG", "photo.jpeg"),
        ("photo.bmp", "photo.png"),
        ("a.b.c.mp4", "a.b.c.mp4"),
        ("{stem}.mp4", "{stem}.mp4"),
    ],
)
def test_the_tree_is_mirrored_and_the_suffix_is_what_is_written(source: str, result: str) -> None:
    assert naming().name(found(source)) == result


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("{stem}_{model}_x{scale}{suffix}", "sub/film_espcn_x2.mkv"),
        ("{stem}_{ext}{suffix}", "sub/film_mkv.mkv"),
        ("x{scale}/{stem}{suffix}", "sub/x2/film.mkv"),
        ("{stem}{{1}}{suffix}", "sub/film{1}.mkv"),
        ("{stem}.mp4", "sub/film.mp4"),
    ],
)
def test_templates(template: str, result: str) -> None:
    assert naming(template).name(found("sub/film.mkv")) == result


def test_a_container_that_was_asked_for_names_videos_or_images_alone() -> None:
    assert naming(container="mov").name(found("a.mkv")) == "a.mov"
    assert naming(container="mov").name(found("a.png")) == "a.png"
    assert naming(container="jpeg").name(found("a.png")) == "a.jpg"


def test_half_scales() -> None:
    assert naming("{stem}_x{scale}{suffix}", scale=1.5).name(found("a.mp4")) == "a_x1.5.mp4"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{stm}{suffix}", "there is no field {stm}"),
        ("{stem:>10}{suffix}", "takes no format"),
        ("{stem!r}{suffix}", "takes no format"),
        ("{stem.__class__}{suffix}", "there is no field"),
        ("{stem", "cannot be read"),
        ("../{stem}{suffix}", "leads out"),
        ("/tmp/{stem}{suffix}", "leads out"),
        ("a/../../{stem}{suffix}", "leads out"),
        ("{stem}", "names no container"),
        ("{stem}.png", "makes an image of"),
    ],
)
def test_what_cannot_be_a_template(template: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        naming(template).name(found("a.mp4"))


def test_a_close_match_is_offered() -> None:
    with pytest.raises(UsageError) as caught:
        naming("{modle}{suffix}")
    assert "Did you mean {model}?" in (caught.value.hint or "")


def test_no_scale_where_it_differs_from_file_to_file() -> None:
    with pytest.raises(UsageError, match="differs from file to file"):
        naming("{stem}_x{scale}{suffix}", scale=None)


def test_an_image_is_not_named_as_a_video() -> None:
    with pytest.raises(UsageError, match="makes no image"):
        naming("{stem}.mkv").name(found("a.png"))


def test_a_name_that_grows_too_long_is_cut_in_its_stem() -> None:
    long = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 125 + ".mp4"
    made = naming("{stem}_{model}_x{scale}{suffix}").name(found(long))
    assert len(os.fsencode(made)) <= 255
    assert made.endswith("_espcn_x2.mp4")
    assert naming().name(found("a" * 251 + ".mp4")) == "a" * 251 + ".mp4"


def made(*names: str, template: str = TEMPLATE, folder: str = "/dst") -> tuple[Entry, ...]:
    return entries([found(name) for name in names], Path(folder), naming(template))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a.mp4", "a.gif"), "a.mp4 and a.gif -> a.mp4"),
        (("a.avi", "a.mkv", "a.wmv"), "a.avi and a.mkv and a.wmv -> a.mkv"),
        (("A.mp4", "a.mp4"), "A.mp4 and a.mp4 -> A.mp4 and a.mp4"),
        (("caf\u00e9.mp4", "cafe\u0301.mp4"), "caf"),
        (("a.avi", "a.mkv/b.mp4"), "a.mkv is a file"),
    ],
)
def test_two_results_of_one_name_are_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_clashes(made("other.mp4", *names))
    assert said in caught.value.message
    assert "other.mp4" not in caught.value.message


def test_every_clash_is_told_once() -> None:
    with pytest.raises(UsageError) as caught:
        refuse_clashes(made("a.avi", "a.mkv", "b.avi", "b.mkv", "c.mkv"))
    assert caught.value.message.count("->") == 2


def test_the_same_name_in_two_folders_is_no_clash() -> None:
    assert clashes(made("x/a.mp4", "y/a.mp4", "a.png")) == {}


def test_a_template_may_make_one_of_two() -> None:
    both = ("a.mp4", "b.mp4")
    assert clashes(made(*both, template="{stem}_{ext}{suffix}")) == {}
    assert len(clashes(made(*both, template="film{suffix}"))) == 2


def test_no_source_is_replaced() -> None:
    with pytest.raises(UsageError, match="which is a source"):
        refuse_clashes(made("a.mp4", folder="/src"))
    with pytest.raises(UsageError, match="which is a source"):
        refuse_clashes(made("a.mp4", "a_mp4.mp4", template="{stem}_{ext}{suffix}", folder="/src"))
    refuse_clashes(made("a.mp4", template="{stem}_{ext}{suffix}", folder="/src"))


def test_a_percent_d_in_an_images_name_is_no_sequence() -> None:
    (image, video) = made("100%d.png", "100%d.mp4")
    given = image.given()
    assert not isinstance(given, Path)
    assert (given.kind, given.container, given.pattern) == ("image", "png", "")
    assert video.given() == Path("/dst/100%d.mp4")
