"""A job in a folder, what its result must be, and the book that is kept of every fault."""

from __future__ import annotations

import hashlib
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
        if self.wanted.is_dir():
            made = {file.name: file.read_bytes() for file in self.out.glob("*")}
            return sum(made.get(file.name) != file.read_bytes() for file in self.wanted.iterdir())
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

    def said(self, ended: Ended) -> str:
        """Give what a run said went wrong, without the test's folder in it."""
        return ended.message.replace(f"{self.folder}/", "").replace(str(self.folder), "the folder")

    def partly(self, chunks: int = 3) -> None:
        """Have the job done as far as `chunks` chunks, by a run that is killed then."""
        script = "import os; os.kill(os.getpid(), 9)"
        ended = self.run(("once_at", {"frame": chunks * CHUNK, "script": script}))
        assert ended.code == -9, ended.err
        assert self.done() == chunks

    def fresh(self) -> None:
        """Begin anew: the source alone in the folder."""
        for name in (self.out.name, *self.leftovers()):
            entry = self.folder / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


Tell = Callable[..., None]
MakeScene = Callable[..., Scene]


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    made = Forks(tmp_path_factory.mktemp("runs"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, and the results of runs that nothing disturbed."""
    return tmp_path_factory.mktemp("stage")


@pytest.fixture
def make_scene(forks: Forks, stage: Path, tmp_path: Path) -> MakeScene:
    """Make a scene of its own: `frames` and `clip` of its source, the words, where and as what the result goes."""

    def make(
        *,
        frames: int = FRAMES,
        words: tuple[object, ...] = WORDS,
        out: str = "out.mkv",
        name: str = "scene",
        **clip: object,
    ) -> Scene:
        key = hashlib.sha256(repr((frames, words, Path(out).suffix, clip)).encode()).hexdigest()[:16]
        source, wanted = stage / f"{key}.mkv", stage / f"{key}-wanted{Path(out).suffix}"
        if not wanted.exists():
            make_clip(source, frames=frames, **{"gop": 6, "audio": 1, "b_frames": 0, **clip})  # type: ignore[arg-type]
            ended = forks.run(("upscale", source, "-o", wanted, *words))
            assert ended.code == 0, ended.err
        folder = tmp_path / name
        folder.mkdir()
        copy = Path(shutil.copy2(source, folder / "in.mkv"))
        return Scene(forks=forks, folder=folder, wanted=wanted, clip=copy, out=folder / out, words=words)

    return make


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene()


@pytest.fixture
def pictures(make_scene: MakeScene) -> Scene:
    """A scene whose result is a folder of images."""
    return make_scene(words=("-m", "bicubic", "--chunk-frames", CHUNK), out="out")


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
