"""What a training run leaves for people: `log.jsonl`, and TensorBoard's curves and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from vsr.training.setup import codes, restored

SHOWN = 4  # pictures


class Board:
    """Writes to OUT/log.jsonl and OUT/board; a resumed run goes on where its checkpoint stood.

    Raises:
        SettingsError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, update: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SettingsError("training needs TensorBoard", hint='pip install "vsr[train]"') from error
        self._log = folder / "log.jsonl"
        _forget_from(self._log, update)
        self._writer = SummaryWriter(str(folder / "board"), purge_step=update)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()

    def scalars(self, update: int, values: Mapping[str, float]) -> None:
        """Add figures of one update, by `group/name`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, update)
        try:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"update": update, **values}) + "\n")
        except OSError as error:
            raise translate(error, self._log) from error

    def pictures(self, update: int, net: nn.Module, held: Sequence[Example], domain: Domain) -> None:
        """Add, for a few held-out examples, LR, bicubic, the network's picture and HR side by side."""
        for number, example in enumerate(held[:SHOWN]):
            row = side_by_side(net, example, domain)
            self._writer.add_image(f"held out/{number} {example.name}", row, update)


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


def _forget_from(log: Path, update: int) -> None:
    """Drop what an interrupted run wrote after the checkpoint from which it goes on."""
    if not log.exists():
        return
    kept = []
    for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["update"] < update:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    log.write_text("".join(kept), encoding="utf-8")
