"""What a training run leaves for people: `log.jsonl`, and TensorBoard's curves and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor, nn

from vsr.core.errors import SettingsError
from vsr.core.frame import Domain
from vsr.data.examples import Example
from vsr.evaluation import protocol
from vsr.filters import NEAREST, resize
from vsr.io.atomic import translate
from vsr.io.images.files import write_whole
from vsr.training.setup import codes, restored

SHOWN = 4  # pictures


class Board:
    """Writes to OUT/log.jsonl and OUT/board; what they hold of updates later than `after` is forgotten (-1: all).

    Raises:
        SettingsError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, after: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SettingsError("training needs TensorBoard", hint='pip install "vsr[train]"') from error
        self._log, self._board = folder / "log.jsonl", folder / "board"
        _forget(self._log, after)
        with _told(self._board):
            self._writer = SummaryWriter(str(self._board), purge_step=after + 1)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _told(self._board):
            self._writer.close()

    def scalars(self, update: int, values: Mapping[str, float]) -> None:
        """Add figures of one update, by `group/name`; what is not finite is null in the log."""
        with _told(self._board):
            for name, value in values.items():
                self._writer.add_scalar(name, value, update)
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with _told(self._log), self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"update": update, **finite}) + "\n")

    def pictures(self, update: int, net: nn.Module, held: Sequence[Example], domain: Domain) -> None:
        """Add, for a few held-out examples, LR, bicubic, the network's picture and HR side by side."""
        for number, example in enumerate(held[:SHOWN]):
            row = side_by_side(net, example, domain)
            name = example.name.encode("utf-8", "replace").decode()  # a file name need not be valid in any encoding
            with _told(self._board):
                self._writer.add_image(f"held out/{number} {name}", row, update)


def side_by_side(net: nn.Module, example: Example, domain: Domain) -> Tensor:
    """Give LR (enlarged by repetition), bicubic, the network's picture and HR in a row, uint8 (3, s*h, 4*s*w)."""
    height, width = example.hr.shape[-2:]
    lr = example.lr.cpu().double()
    shown = [
        resize(lr, height, width, NEAREST),
        protocol.enlarged(lr, height, width),
        codes(restored(net, example, domain), domain),
        example.hr.cpu().double(),
    ]
    row = torch.cat([protocol.rounded(picture) for picture in shown], dim=-1)
    if domain == "y":
        row = protocol.rounded((row - 16) * 255 / 219)
    return row.to(torch.uint8).expand(3, -1, -1)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise translate(error, path) from error


def _forget(log: Path, after: int) -> None:
    """Drop what an interrupted run wrote after the checkpoint from which it goes on."""
    with _told(log):
        lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    kept = [line for line in lines if _stands(line, after)]
    if kept != lines:
        write_whole(log, b"".join(kept))


def _stands(line: bytes, after: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["update"]) <= after
    except (ValueError, KeyError, TypeError):
        return False
