"""Checkpoints: everything that the next update depends on, written whole or not at all."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

from vsr.core.errors import InputError
from vsr.io.images.files import sync_folder, write_whole


def save(path: Path, content: Mapping[str, object]) -> None:
    """Write a checkpoint in place of the one before, synced to disk.

    Raises:
        DiskFull, OutputError: it cannot be written; the one before is as it was.
    """
    whole = io.BytesIO()  # torch says of a full disk no more than that writing failed
    torch.save(dict(content), whole)
    write_whole(path, whole.getvalue())
    sync_folder(path.parent)


def load(path: Path) -> dict[str, object]:
    """Read a checkpoint: tensors, numbers, strings and lists of them, never code.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is no whole checkpoint: {error}", hint="Remove it to begin anew (--restart)."
        ) from error
    if not isinstance(content, dict) or "update" not in content:
        raise InputError(f"{path} is no checkpoint of vsr train", hint="Name another output folder.")
    return content
