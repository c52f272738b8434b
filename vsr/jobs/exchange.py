"""Models written to files and taken from files: checked first, published whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vsr.core.card import ModelCard
from vsr.core.errors import OutputExists, UsageError
from vsr.engines import cards, exchange, registry, weights
from vsr.engines.exchange import Format
from vsr.io import atomic

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A model that was written to `path`; the fields are those of `engines.exchange.Exported`."""

    path: Path
    format: Format
    model: str
    scale: int | None
    bytes: int
    digest: str
    inputs: tuple[str, ...]
    output: str
    opset: int | None
    largest_error: float
    tried: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """A model that can be named from now on: its card, and where its weights lie."""

    card: ModelCard
    source: Path
    path: Path


def export_model(
    model: str, path: Path | None = None, *, format: Format = "onnx", scale: int | None = None, overwrite: bool = False
) -> ExportResult:
    """Write a model (a name, or a weight file) in another format; None as path: by its name, in the current folder.

    The written model is run beside the network first, and refused if it differs: see `engines.exchange.export`.

    Raises:
        ModelError: it cannot be opened, or not be brought into this format.
        OutputError: the file exists, or cannot be written.
    """
    card = registry.choose(model, scale).card
    name = card.id if card.scale is not None or scale is None else f"{card.id}-x{scale}"
    out = path or Path(f"{name}{exchange.SUFFIX[format]}")
    atomic.check_writable(out)
    if out.exists() and not overwrite:
        raise OutputExists(f"{out} exists", hint="Use --overwrite, or name another file with --out.")
    made = exchange.export(model, format=format, scale=scale)
    with atomic.staged(out, overwrite=overwrite) as part:
        part.write_bytes(made.content)
    return ExportResult(
        path=out,
        format=format,
        model=made.card.id,
        scale=made.card.scale,
        bytes=len(made.content),
        digest=weights.digest_of(made.content),
        inputs=made.inputs,
        output=made.output,
        opset=made.opset,
        largest_error=made.largest_error,
        tried=made.tried,
    )


def import_model(
    path: Path, name: str | None = None, *, config: Path | None = None, overwrite: bool = False
) -> ImportResult:
    """Take a weight file into the user's models, under `name` (None: the file's); then `--model NAME` runs it.

    config: the JSON file that an SR3 checkpoint (`…_gen.pth`) was trained with.

    Raises:
        UsageError: a name that cannot be one, or a shipped model's.
        ModelError: the file is not there, damaged, wants to run code, or is of no network that vsr runs; or the config
            cannot be read, or does not fit.
        OutputError: the name is taken, or the folder cannot be written.
    """
    chosen = name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")
    folder = registry.user_folder()
    _check_name(chosen, folder, overwrite=overwrite)
    made = exchange.adopt(path, chosen, config=config)
    _check_scales(made.cards, chosen, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.translate(error, folder) from error
    file = folder / f"{chosen}{made.suffix}"
    with atomic.staged(file, overwrite=overwrite) as part:
        part.write_bytes(made.content)
    for suffix in (".safetensors", *weights.GRAPHS):  # the model that this one replaces may have been of another kind
        if suffix != made.suffix:
            (folder / f"{chosen}{suffix}").unlink(missing_ok=True)
    written = [folder / f"{card.id}.toml" for card in made.cards]
    for old in folder.glob("*.toml"):  # of a model that had other scales
        if old not in written and old.stem.startswith(chosen) and cards.read_card(old).family == chosen:
            old.unlink(missing_ok=True)
    for card, at in zip(made.cards, written, strict=True):
        with atomic.staged(at, overwrite=overwrite) as part:  # last: with it the model exists
            part.write_text(cards.dump(card), encoding="utf-8")
    return ImportResult(card=made.card, source=path, path=file)


def _check_name(name: str, folder: Path, *, overwrite: bool) -> None:
    if not _NAME.fullmatch(name) or Path(name).suffix.lower() in weights.SUFFIXES:
        raise UsageError(
            f"a model cannot be named {name!r}",
            hint="Letters, digits, '-', '_' and '.', without a file's suffix: --name.",
        )
    shipped = {file.stem for file in weights.shipped_folder().glob("*.toml")}
    if any(name in (card.id, card.family) for card in registry.models() if card.id in shipped):
        raise UsageError(f"{name} is a model that comes with vsr", hint="Choose another name with --name.")
    taken = [file for file in folder.glob(f"{name}.*") if file.stem == name]
    if taken and not overwrite:
        raise OutputExists(f"{taken[0]} exists", hint="Use --overwrite, or another --name.")


def _check_scales(every: tuple[ModelCard, ...], name: str, folder: Path) -> None:
    """Refuse, before anything is written, to take the names of the scales from a model that is not this one."""
    for card in every:
        at = folder / f"{card.id}.toml"
        if card.id != name and at.is_file() and cards.read_card(at).family != name:
            raise OutputExists(f"{at} exists, of another model than {name}", hint="Choose another --name.")
