"""Every call to the system, failing once, failing for ever, or being the last: no false success, and it goes on."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Scene, Tell

FAULTS: dict[str, dict[str, object]] = {
    "fails once": {"how": "EIO"},
    "fails, and so do all after it": {"how": "ENOSPC", "forever": True},
    "writes half of its bytes, then the disk is full": {"how": "ENOSPC", "torn": True, "kinds": ("write",)},
    "is the last before the process is killed": {"how": "die"},
    "writes half of its bytes, then the process is killed": {"how": "die", "torn": True, "kinds": ("write",)},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", [pytest.param(29, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)])
def test_nth_call_to_the_system(fault: str, step: int, scene: Scene, tell: Tell) -> None:
    how = {**FAULTS[fault], "folder": str(scene.folder)}
    step = -(-step // 4) if "kinds" in how else step
    total = sum(scene.run(("calls", how)).calls.values())
    assert total > 25
    for at in range(1 + 5 * list(FAULTS).index(fault) % step, total + 1, step):
        scene.fresh()
        ended = scene.run(("calls", {**how, "at": at}))
        if how["how"] == "die":
            assert ended.code == -9
        else:
            scene.is_honest(ended)
            assert ended.left == [], f"call {at}"
        if ended.code == 0:  # what could not be removed is told of, and nothing of the result is missing
            assert not scene.leftovers() or "cannot be removed" in ended.err
        elif scene.out.exists() and not (scene.work / "journal.jsonl").exists():
            assert how["how"] == "die", "the result was whole, and what it was made from as good as gone"
        else:
            scene.is_right(scene.run())
        tell(f"the N-th open, write, fsync, rename, link, unlink, mkdir, ... {fault}", lost=scene.lost(),
             message=ended.message)  # fmt: skip


@pytest.mark.parametrize("step", [pytest.param(17, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)])
def test_power_is_lost(step: int, scene: Scene, tell: Tell) -> None:
    """What was not synced is gone. What the journal had taken is not."""
    log = ("attempts", {"log": str(scene.folder.with_name("begun"))})
    plant = {"folder": str(scene.folder), "how": "power"}
    total = sum(scene.run(("calls", plant)).calls.values())
    for at in range(1, total + 1, step):
        scene.fresh()
        scene.folder.with_name("begun").unlink(missing_ok=True)
        assert scene.run(("calls", {**plant, "at": at}), log).code == -9
        begun = scene.folder.with_name("begun")
        recorded = len(begun.read_text().split()) - 1 if begun.exists() else 0
        if scene.out.exists():
            assert scene.lost() == 0, "a result that bears its name is whole"
        else:
            assert scene.done() >= recorded, f"call {at}: what was done is lost"
        if not scene.out.exists() or (scene.work / "journal.jsonl").exists():
            scene.is_right(scene.run())
        tell("the power is lost at any moment (all that is not synced is gone)", lost=scene.lost(), message="")


@pytest.mark.parametrize("step", [pytest.param(31, id="some"), pytest.param(1, id="every", marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["EIO", "die", "power"])
def test_nth_call_with_images(how: str, step: int, pictures: Scene, tell: Tell) -> None:
    plant = {"how": how, "folder": str(pictures.folder)}
    total = sum(pictures.run(("calls", plant)).calls.values())
    for at in range(1 + 7 * len(how) % step, total + 1, step):
        pictures.fresh()
        ended = pictures.run(("calls", {**plant, "at": at}))
        assert ended.code == -9 if how != "EIO" else ended.code in (0, 3, 6, 7), (at, ended.err)
        is_whole = pictures.lost() == 0
        assert ended.code != 0 or is_whole
        if not (is_whole and not (pictures.work / "journal.jsonl").exists()):
            again = pictures.run()
            assert again.code == 0, (at, ended.err, again.err)
            assert pictures.leftovers() == []
        assert ended.left == []
        kinds = {"EIO": "fails once", "die": "is the last before the process is killed", "power": "is the power's last"}
        tell(
            f"the N-th call {kinds[how]}, a folder of images being written", lost=pictures.lost(), message=ended.message
        )


def test_killed_while_pictures_move_into_a_folder_that_others_use(pictures: Scene, tell: Tell) -> None:
    """Those that are there already are known again: the same command moves in the rest."""
    there = pictures.folder / "there"
    there.mkdir()
    (there / "notes.txt").write_text("somebody else's")
    command = ("upscale", pictures.clip, "-o", there / "shot_%04d.png", *pictures.words)
    plant = {"folder": str(pictures.folder), "kinds": ["replace"], "how": "die"}
    for at in (1, 2, 12, 24):
        assert pictures.forks.run(command, ("calls", {**plant, "at": 24 + at})).code == -9  # each was written first
        assert len(list(there.glob("*.png"))) == at - 1
        ended = pictures.forks.run(command)
        assert ended.code == 0, ended.err
        made = sorted(there.glob("shot_*.png"))
        assert [file.read_bytes() for file in made] == [file.read_bytes() for file in sorted(pictures.wanted.iterdir())]
        assert sorted(entry.name for entry in there.iterdir() if entry not in made) == ["notes.txt"]
        assert pictures.forks.run(command).code == 6, "a finished result is not replaced"
        tell("the process is killed while it moves pictures into a folder that others use", lost=0, message="")
        for file in made:
            file.unlink()
