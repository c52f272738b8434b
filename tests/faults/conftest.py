"""A job in a folder, what its result must be, and the book that is kept of every fault."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.forks import Ended, Forks, Plant, Run
from tests.media import make_clip, planes_of

LOG = "VSR_FAULTS_LOG"
FRAMES, CHUNK = 24, 4
WORDS = ("-m", "bicubic", "--codec", "ffv1", "--chunk-frames", CHUNK)


@dataclass(kw_only=True)
class Scene:
    """One job in a folder of its own: `clip` to `out`, by the same words each time; `wanted` is the right result."""

    forks: Forks
    folder: Path
    wanted: Path
    clip: Path
    out: Path
    words: tuple[object, ...] = WORDS
    extra: set[str] = field(default_factory=set)  # names in the folder that are nobody's leftovers
    runs: list[Ended] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.out.with_name(f".{self.out.name}.vsr-work")

    @property
    def command(self) -> tuple[object, ...]:
        return ("upscale", self.clip, "-o", self.out, *self.words)

    def start(self, *plants: Plant, more: tuple[object, ...] = (), env: dict[str, str] | None = None) -> Run:
        return self.forks.start((*self.command, *more), *plants, cwd=self.folder, env=env)

    def end(self, run: Run) -> Ended:
        ended = self.forks.end(run)
        self.runs.append(ended)
        return ended

    def run(self, *plants: Plant, more: tuple[object, ...] = (), env: dict[str, str] | None = None) -> Ended:
        return self.end(self.start(*plants, more=more, env=env))

    def leftovers(self) -> list[str]:
        expected = {self.clip.name, self.out.name, *self.extra}
        return sorted(entry.name for entry in self.folder.iterdir() if entry.name not in expected)

    def records(self) -> list[dict[str, object]]:
        """Give what the journal says, read without the program that wrote it."""
        path = self.work / "journal.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line[9:]) for line in lines]

    def done(self) -> int:
        """Give how many chunks are journalled."""
        return sum(record["kind"] == "chunk" for record in self.records())

    def lost(self) -> int:
        """Give how many frames of the right result are not in this one, each at its place."""
        if self.out.read_bytes() == self.wanted.read_bytes():
            return 0
        there = dict(self._frames(self.out))
        return max(1, sum(there.get(pts) != planes for pts, planes in self._frames(self.wanted)))

    def _frames(self, path: Path) -> list[tuple[int, list[bytes]]]:
        return [(pts, [plane.tobytes() for plane in planes]) for pts, planes in planes_of(path)]

    def is_right(self, ended: Ended) -> None:
        """Hold a run that says it went well against what must be there, byte for byte, and nothing else."""
        assert ended.code == 0, ended.err
        assert self.lost() == 0
        assert self.leftovers() == []
        assert ended.left == []

    def is_honest(self, ended: Ended, *, before: bytes | None = None) -> None:
        """Hold a run that met a fault against its word: success with the right bytes, or an error and no result."""
        if ended.code == 0:
            assert self.out.read_bytes() == self.wanted.read_bytes(), ended.err
            return
        assert ended.code in (2, 3, 4, 5, 6, 7, 8, 130, 143), ended.err
        assert ended.message, ended.err
        there = self.out.read_bytes() if self.out.exists() else None
        assert there in (before, self.wanted.read_bytes()), "half a result bears the final name"

    def fresh(self) -> None:
        """Begin anew: the source alone in the folder."""
        for name in (self.out.name, *self.leftovers()):
            entry = self.folder / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


Tell = Callable[..., None]


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    made = Forks(tmp_path_factory.mktemp("runs"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def stage(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source, and the result of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("stage")
    make_clip(folder / "in.mkv", frames=FRAMES, gop=6, audio=1, b_frames=0)
    ended = forks.run(("upscale", folder / "in.mkv", "-o", folder / "wanted.mkv", *WORDS))
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def scene(forks: Forks, stage: Path, tmp_path: Path) -> Scene:
    folder = tmp_path / "scene"
    folder.mkdir()
    clip = shutil.copy2(stage / "in.mkv", folder / "in.mkv")
    return Scene(forks=forks, folder=folder, wanted=stage / "wanted.mkv", clip=clip, out=folder / "out.mkv")


@pytest.fixture
def tell() -> Tell:
    """Note a fault that was tried, for `docs/reliability.md`: what it was, the frames it cost, what was said."""

    def note(fault: str, *, lost: int, message: str, times: int = 1) -> None:
        assert lost == 0, f"{fault}: {lost} frames"
        if path := os.environ.get(LOG):
            line = json.dumps({"fault": fault, "times": times, "lost": lost, "message": message})
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, line.encode() + b"\n")
            os.close(file)

    return note
