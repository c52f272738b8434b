"""`vsr models export` and `vsr models import`: models out to other programs, and in from them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from vsr.commands.card_lines import facts
from vsr.commands.lines import json_line
from vsr.commands.options import json_flag


@click.command("export")
@click.argument("model")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "safetensors", "torchscript"]),
    default="onnx",
    show_default=True,
    help="ONNX for phones, browsers and servers; safetensors: the weights alone; TorchScript for C++ with libtorch.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write. Default: the model's name."
)
@click.option("--scale", type=click.IntRange(1, 16), help="Which scale of a model that has several.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@json_flag("what was written")
def export(model: str, format_: str, out: Path | None, scale: int | None, overwrite: bool, as_json: bool) -> None:
    """Write MODEL (a name, or a weight file) in another format, for other programs.

    Batch, height and width stay open. The file is run beside the network on random pictures before it is written, and
    refused if they differ by more than 0.0001. The model's card travels inside. Needs the extra vsr[onnx] for ONNX.

    \b
    vsr models export espcn --scale 2 --out espcn-x2.onnx
    """
    from vsr.commands.tables import show_facts
    from vsr.engines.exchange import Format
    from vsr.jobs.exchange import export_model

    done = export_model(model, out, format=cast(Format, format_), scale=scale, overwrite=overwrite)
    if as_json:
        click.echo(json_line(done))
        return
    told = [
        ("format", done.format if done.opset is None else f"{done.format}, opset {done.opset}"),
        ("input", "; ".join(done.inputs)),
        ("output", done.output),
        ("size", f"{done.bytes:,} bytes"),
        ("largest error", f"{done.largest_error:.1e} against the network, on pictures of {' and '.join(done.tried)}"),
        ("digest", done.digest),
    ]
    show_facts(str(done.path), [(name, value) for name, value in told if value])


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it. Default: the file's name.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The JSON file that an SR3 checkpoint (..._gen.pth) was trained with: it does not say all of itself.",
)
@click.option("--overwrite", is_flag=True, help="Replace your model of this name.")
@json_flag("the card")
def import_(file: Path, name: str | None, config: Path | None, overwrite: bool, as_json: bool) -> None:
    """Find out what FILE is, and keep it among your models: `--model NAME` runs it from then on.

    Checkpoints (.pth, .pt, .ckpt, .bin, .safetensors) of vsr's own networks and of the architectures that spandrel
    knows become safetensors; ONNX models and OpenCV's .pb graphs stay what they are. A file that wants to run code is
    refused. The licence of someone's model is theirs: vsr cannot tell it.

    \b
    vsr models import RealESRGAN_x4plus.pth --name realesrgan
    vsr models import I200000_E110_gen.pth --config sr3_frames_16_128.json --name sr3-upstream
    """
    from vsr.commands.tables import show_facts
    from vsr.jobs.exchange import import_model

    done = import_model(file, name, config=config, overwrite=overwrite)
    if as_json:
        click.echo(json_line(done.card))
        return
    show_facts(done.card.id, [*facts(done.card), ("file", str(done.path))])
