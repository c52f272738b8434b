"""The training loop: recipe and folders in, a weight file out; interrupted at any moment, it goes on exactly there.

One update depends on the recipe, the pictures, its own number and the state in the checkpoint, and on nothing else:
what is drawn for update n is drawn from a generator seeded by n. So a run that was killed and resumed ends with the
same weights as one that was not (on a CPU, with the same number of threads).
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from vsr.core.errors import NonFiniteLoss, SettingsError, VsrError
from vsr.core.events import Noted, Report, Worked, silent
from vsr.io.images.files import write_whole
from vsr.training.board import Board
from vsr.training.interruption import Interruption
from vsr.training.nets import write_weights
from vsr.training.pictures import read_pictures
from vsr.training.recipe import Recipe
from vsr.training.result import Trained, finish
from vsr.training.schedule import decay_at, follow, rate_at
from vsr.training.setup import bicubic_score, make_setup
from vsr.training.shares import Shares, measure
from vsr.training.state import Run, forget, header, restore, save, saved_in
from vsr.training.task import TrainBatch

if TYPE_CHECKING:
    from accelerate import Accelerator

BAD_BATCH = "non-finite-batch.safetensors"
_LOG_EVERY = 50  # updates
_MEASURED = 20  # updates whose rate sets the length of a run that is given in minutes
_MEASURED_LATE = 6  # more of them, where there is a second stage


def train(
    recipe: Recipe,
    data: Sequence[Path],
    out: Path,
    *,
    val: Sequence[Path] = (),
    resume: bool = False,
    restart: bool = False,
    device: str = "auto",
    vgg_weights: Path | None = None,
    report: Report = silent,
) -> Trained:
    """Train a recipe's network on folders of pictures, videos or prepared windows; the result is in `out`.

    out: gets `NAME.safetensors` (the averaged weights at the end), `NAME.toml` (its card), `best.safetensors` (the
    averaged weights that validated best), `recipe.toml`, `log.jsonl`, `board/` (TensorBoard) and `checkpoint.pt`.
    resume: go on from the checkpoint there, if there is one. restart: remove it first. val: folders of validation,
    instead of what the recipe holds out. device: `auto` (what accelerate finds) or `cpu`.

    Raises:
        OutputExists: there is a checkpoint, and neither `resume` nor `restart` is set.
        ChangedSinceStart: the checkpoint is of another recipe or other pictures.
        NonFiniteLoss: a loss is no finite number; the batch is saved in `out`.
        SettingsError, InputError, ModelError, OutputError: see `core/errors.py`.
    """
    if not recipe.schedule.updates and not recipe.schedule.minutes:
        raise SettingsError("the recipe does not say how long", hint="Give schedule.updates=N or --minutes M.")
    accelerator = _accelerator(recipe, device)
    try:
        is_main = accelerator.is_main_process
        report = report if is_main else silent
        saved = saved_in(out, resume=resume, restart=restart)
        run = _prepare(recipe, data, val, out, accelerator, vgg_weights, report)
        if saved is not None:
            restore(run, saved)
            report(Noted(message=f"going on at update {run.update} of {run.updates}"))
        elif is_main:
            forget(out)
        with Board(out, after=-1 if saved is None else run.update) if is_main else nullcontext() as board:
            _loop(run, board, report)
        return finish(run, [str(path) for path in data])
    except VsrError:
        with suppress(OSError):
            out.rmdir()  # where nothing came to be
        raise
    finally:
        _release(accelerator)


def _prepare(
    recipe: Recipe,
    data: Sequence[Path],
    val: Sequence[Path],
    out: Path,
    accelerator: Accelerator,
    vgg_weights: Path | None,
    report: Report,
) -> Run:
    """Make the networks and read the pictures."""
    if recipe.run.threads and accelerator.device.type == "cpu":
        torch.set_num_threads(recipe.run.threads)
    setup = make_setup(recipe, device=str(accelerator.device), vgg_weights=vgg_weights)
    crops, held, material = read_pictures(recipe, data, val, device=str(accelerator.device), report=report)
    optimisers = {name: _optimiser(net, recipe) for name, net in setup.task.nets.items()}
    first = next(iter(setup.task.nets.values()))
    average = copy.deepcopy(first).to(accelerator.device).eval().requires_grad_(False)
    nets: dict[str, nn.Module] = {}
    with warnings.catch_warnings():  # torch has a new name for the option, accelerate passes the old one
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        for name, module in setup.task.nets.items():  # each with its own optimiser
            if recipe.net.arch != "sr3_classic":  # group norm's way back is a third slower there
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            nets[name], optimisers[name] = accelerator.prepare(module, optimisers[name])
    setup.task.nets.update(nets)
    return Run(
        recipe=recipe,
        setup=setup,
        accelerator=accelerator,
        nets=nets,
        optimisers=optimisers,
        average=average,
        crops=crops,
        held=held,
        material=material,
        folder=out,
    )


def _loop(run: Run, board: Board | None, report: Report) -> None:
    recipe = run.recipe
    if not run.updates:
        _begin(run, board, report)
    began = saved_at = time.monotonic()
    began -= run.seconds
    with Interruption() as interruption:
        while run.update < run.updates:
            values = _update(run)
            is_last = run.update == run.updates
            if run.update % _LOG_EVERY == 0 or is_last:
                figures = {f"train/{name}": float(value) for name, value in values.items()}
                _tell(run, board, {**figures, "train/rate": _rate(run, run.update - 1)})
            if run.update % recipe.run.validate == 0 or is_last:
                _validate(run, board)
            if run.update % 10 == 0 or is_last:
                report(Worked(done=run.update, total=run.updates, unit="updates", note=_note(run, values)))
            run.seconds = time.monotonic() - began
            if time.monotonic() - saved_at >= recipe.run.save_s or is_last or interruption.is_asked:
                save(run)
                saved_at = time.monotonic()
            if interruption.is_asked and not is_last:
                report(Noted(message=f"stopped after update {run.update} of {run.updates}; --resume goes on there"))
                break


def _begin(run: Run, board: Board | None, report: Report) -> None:
    """Set the length of the run, and say where its time goes."""
    plan = run.recipe.schedule
    is_timed = not plan.updates
    seconds, shares = _try(run, _MEASURED if is_timed else 2)
    if is_timed:
        late = 1 - run.recipe.diffusion.unroll_from if run.recipe.net.arch == "sr3" else 0.0
        if late > 0:  # each of the second stage's updates takes several times as long
            seconds = (1 - late) * seconds + late * _try(run, _MEASURED_LATE, progress=1.0)[0]
        began = time.monotonic()
        run.setup.validate(run.average, run.held)
        validating = (time.monotonic() - began) / run.recipe.run.validate
        run.updates = _agreed(max(_MEASURED, round(plan.minutes * 60 / (seconds + validating))))
    else:
        run.updates = plan.updates
    if run.recipe.net.arch != "selffeat":
        bicubic = bicubic_score(run.held, run.recipe.net.scale, run.recipe.net.domain)
        _tell(run, board, {f"bicubic/{key}": value for key, value in bicubic.items()})
    where = f"{shares.data:.0%} of the time in making batches"
    if run.accelerator.device.type == "cpu":
        where = f"{shares.convolution:.0%} of the time in convolutions, {shares.data:.0%} in making batches"
    sizes = f"{len(run.crops)} pictures, {len(run.held)} held out"
    report(Noted(message=f"{run.updates} updates of {seconds * 1e3:.0f} ms ({where}); {sizes}"))
    save(run)


def _agreed(number: int) -> int:
    """Give the main process's number to all of them: each must do as many updates."""
    from accelerate.utils import broadcast_object_list

    return int(broadcast_object_list([number])[0])


def _try(run: Run, times: int, *, progress: float = 0.0) -> tuple[float, Shares]:
    """Do a few updates and take them back; gives the median time of one, and where it goes.

    progress: share of the training that seems to lie before the first of them.
    """
    before = copy.deepcopy([net.state_dict() for net in run.nets.values()])
    steps = copy.deepcopy([optimiser.state_dict() for optimiser in run.optimisers.values()])
    averaged = copy.deepcopy(run.average.state_dict())
    run.updates, spent = times + 10, []
    run.update = round(progress * run.updates)
    for _ in range(times):
        began = time.monotonic()
        _update(run)
        spent.append(time.monotonic() - began)
    shares = measure(lambda: _draw(run, 0), lambda: _update(run))
    for net, state in zip(run.nets.values(), before, strict=True):
        net.load_state_dict(state)
    for optimiser, step in zip(run.optimisers.values(), steps, strict=True):
        optimiser.load_state_dict(step)
    run.average.load_state_dict(averaged)
    run.update = 0
    return float(np.median(spent[len(spent) // 4 :])), shares


def _update(run: Run) -> dict[str, Tensor]:
    """Do update number `run.update`, and count it."""
    number = run.update
    rate = _rate(run, number)
    for optimiser in run.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = rate
    torch.manual_seed(_seed(run, number))
    run.batch = _draw(run, number)
    values = run.setup.task.update(run.batch, lambda name, loss: _apply(run, name, loss))
    first = run.accelerator.unwrap_model(run.nets[run.first])
    follow(run.average, first, decay_at(number, run.recipe.schedule.ema))
    run.update = number + 1
    return values


def _apply(run: Run, name: str, loss: Tensor) -> None:
    """See `task.Apply`."""
    parameters = [p for p in run.nets[name].parameters() if p.requires_grad]
    for other in run.optimisers.values():
        other.zero_grad(set_to_none=True)
    if bool(torch.isfinite(loss)):
        run.accelerator.backward(loss)
        norm = run.accelerator.clip_grad_norm_(parameters, run.recipe.schedule.clip)
        if norm is None or bool(torch.isfinite(norm)):
            run.optimisers[name].step()
            run.optimisers[name].zero_grad(set_to_none=True)
            return
    where = _keep_batch(run)
    raise NonFiniteLoss(
        f"the loss of {name} is no finite number at update {run.update}; the batch is in {where}",
        hint="Try a smaller schedule.rate, or look at the batch. --resume goes on from the last checkpoint.",
    )


def _draw(run: Run, number: int) -> TrainBatch:
    crop = run.crops.draw(run.recipe.data.batch, np.random.default_rng(_seed(run, number)))
    return TrainBatch(frames=crop.frames, hr=crop.hr, aligned=crop.aligned, index=number, progress=number / run.updates)


def _seed(run: Run, number: int) -> int:
    """Give the seed of an update: another on each process, the same whenever it is done again."""
    words = np.random.SeedSequence([run.recipe.run.seed, run.accelerator.process_index, number]).generate_state(2)
    return int(words[0]) << 31 | int(words[1]) >> 1


def _rate(run: Run, number: int) -> float:
    plan = run.recipe.schedule
    return rate_at(number, run.updates, rate=plan.rate, final_rate=plan.final_rate, warm_up=plan.warm_up)


def _validate(run: Run, board: Board | None) -> None:
    if board is None:
        return
    figures = run.setup.validate(run.average, run.held)
    run.figures = figures
    _tell(run, board, {f"held out/{key}": value for key, value in figures.items()})
    if run.recipe.net.arch != "selffeat":
        board.pictures(run.update, run.setup.shipped(run.average), run.held, run.recipe.net.domain)
    if figures[run.setup.key] > run.best:
        run.best = figures[run.setup.key]
        write_weights(run.folder / "best.safetensors", run.setup.shipped(run.average), header(run))


def _tell(run: Run, board: Board | None, values: dict[str, float]) -> None:
    if board is not None and values:
        board.scalars(run.update, values)


def _note(run: Run, values: dict[str, Tensor]) -> str:
    loss = next(iter(values.values()))
    shown = f", held out {run.figures[run.setup.key]:.3f}" if run.figures else ""
    return f"loss {float(loss):.5f}{shown}"


def _keep_batch(run: Run) -> Path:
    assert run.batch is not None
    tensors = {"frames": run.batch.frames, "hr": run.batch.hr}
    if run.batch.aligned is not None:
        tensors["aligned"] = run.batch.aligned
    path = run.folder / BAD_BATCH
    kept = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_whole(path, save_tensors(kept, metadata={"update": str(run.update)}))
    return path


def _optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101); a second moment that forgets in 100 updates."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=recipe.schedule.rate, betas=(0.9, 0.99), weight_decay=recipe.schedule.decay)


def _accelerator(recipe: Recipe, device: str) -> Accelerator:
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError as error:
        raise SettingsError("training needs accelerate", hint='pip install "vsr[train]"') from error
    if device not in ("auto", "cpu"):
        raise SettingsError(
            f"device {device!r}: training runs on `cpu` or on what accelerate finds (auto)",
            hint="CUDA_VISIBLE_DEVICES chooses among several GPUs; `accelerate launch -m vsr train ...` uses several.",
        )
    return Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if recipe.run.precision == "bf16" else "no",
        # Buffers are fixed kernels, and spectral norm's vectors, which follow from the weights alone.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


def _release(accelerator: Accelerator) -> None:
    """Let the next run in this process choose its own device and precision."""
    from accelerate.state import AcceleratorState

    accelerator.free_memory()
    accelerator.end_training()
    AcceleratorState._reset_state(reset_partial_state=True)
