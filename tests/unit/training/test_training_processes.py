from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

from tests.pictures import draw_folder

_SCRIPT = """
import sys
from pathlib import Path
import torch
from vsr.training import loop
from vsr.training.recipe import find, read_recipe

folder = Path(sys.argv[1])
finish = loop.finish

def kept(run, data):
    nets = {name: run.accelerator.unwrap_model(net).state_dict() for name, net in run.nets.items()}
    torch.save({"nets": nets, "updates": run.updates}, folder / f"process-{run.accelerator.process_index}.pt")
    return finish(run, data)

loop.finish = kept
changes = ["net.init=", "net.features=8", "net.depth=1", "loss.discriminator=4", "data.crop=16", "data.batch=2"]
changes += ["net.scale=2", "run.pictures=1", "run.precision=fp32", "run.threads=1"]
changes += ["schedule.updates=0", "schedule.minutes=0.0001"]
loop.train(read_recipe(find("srgan-per-pix"), changes), [folder / "photos"], folder / "run", device="cpu")
"""


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    """As `accelerate launch` and torchrun start them: the same weights in both, by gradients of other crops."""
    draw_folder(tmp_path / "photos", 3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(tmp_path)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    first, second = (torch.load(tmp_path / f"process-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["updates"] == second["updates"]
    for name in ("generator", "discriminator"):
        for key, value in first["nets"][name].items():
            assert torch.equal(value, second["nets"][name][key]), f"{name} {key}"
    assert len(list((tmp_path / "run" / "board").iterdir())) == 1
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 3  # bicubic, the last update, held out
