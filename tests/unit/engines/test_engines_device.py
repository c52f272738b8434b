from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engines import IdentityEngine, card
from vsr.core.card import Precision
from vsr.core.errors import DeviceError, IncompatibleModel, NoDevice
from vsr.engines import device, trial
from vsr.engines.base import Batch, Engine

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


class Off(IdentityEngine):
    """Gives the centre picture, off by `error` everywhere."""

    def __init__(self, error: float = 0.0) -> None:
        super().__init__("y")
        self.error = error

    def restore(self, batch: Batch) -> Tensor:
        return super().restore(batch) + self.error


def right(engines: dict[Precision, Engine], quick: tuple[Precision, ...] = ("bf16",)) -> Precision:
    facts = card("t", domain="y", dtypes=("fp32", "bf16", "fp16"))
    return trial.right_precision(engines.__getitem__, facts, "cpu", quick)


def test_the_quick_precision_is_taken_when_it_is_right() -> None:
    assert right({"fp32": Off(), "bf16": Off(error=0.003)}) == "bf16"  # 50.5 dB


def test_a_quick_precision_below_50_db_is_not_taken() -> None:
    assert right({"fp32": Off(), "bf16": Off(error=0.0033)}) == "fp32"  # 49.6 dB


def test_an_infinite_result_is_not_taken() -> None:
    assert right({"fp32": Off(), "bf16": Off(error=float("nan"))}) == "fp32"


def test_the_next_one_is_tried() -> None:
    assert right({"fp32": Off(), "fp16": Off(error=0.1), "bf16": Off()}, ("fp16", "bf16")) == "bf16"


def test_without_instructions_it_stays_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    assert right({"fp32": Off()}, ()) == "fp32"
    monkeypatch.setattr(device, "has_native_bf16", lambda: False)
    assert device.quick_precisions("cpu") == ()
    monkeypatch.setattr(device, "has_native_bf16", lambda: True)
    assert device.quick_precisions("cpu") == ("bf16",)


def test_fp16_is_not_even_opened_on_a_cpu() -> None:
    with pytest.raises(DeviceError, match="fp16"):
        device.check_precision(card("t", dtypes=("fp32", "fp16")), "cpu", "fp16")
    assert "fp16" not in device.quick_precisions("cpu")


def test_a_wanted_precision_is_taken_as_it_is_or_refused() -> None:
    facts = card("t", dtypes=("fp32", "bf16"))
    assert trial.choose_precision(facts, "t", 2, "cpu", "bf16") == "bf16"
    with pytest.raises(IncompatibleModel, match="does not run in bf16"):
        trial.choose_precision(card("t"), "t", 2, "cpu", "bf16")


def test_auto_runs_the_self_test_of_a_real_model() -> None:
    from vsr.engines import registry

    choice = registry.choose("lanczos", 2)
    assert trial.choose_precision(choice.card, choice.reference, 2, "cpu") == "fp32"


def test_cpu_is_always_there() -> None:
    assert device.pick_device("cpu") == "cpu"


@without_cuda
def test_without_cuda_auto_is_the_cpu_and_cuda_is_refused() -> None:
    assert device.pick_device("auto") == "cpu"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(NoDevice, match=name) as caught:
            device.pick_device(name)
        assert "--device cpu" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU"])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(NoDevice, match="no device is called"):
        device.pick_device(name)


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("auto", ("cuda:1",)),
        ("cpu", ("cpu",)),
        ("cuda", ("cuda:0",)),
        ("cuda:2", ("cuda:2",)),
        ("cpu,cpu", ("cpu", "cpu")),
        ("cuda:2,cuda:0", ("cuda:2", "cuda:0")),
        ("cuda, cuda:1", ("cuda:0", "cuda:1")),
        ("all", ("cuda:0", "cuda:1", "cuda:2")),
    ],
)
@pytest.mark.usefixtures("three_gpus")
def test_devices_are_named_one_by_one_or_all(text: str, devices: tuple[str, ...]) -> None:
    assert device.pick_devices(text) == devices


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("cpu,cuda:0", DeviceError, "which of them took which chunk"),
        ("cuda:1,cuda:1", DeviceError, "cuda:1 twice"),
        ("cuda,cuda:0", DeviceError, "cuda:0 twice"),
        ("auto,cpu", DeviceError, "stand alone"),
        ("cuda:0,all", DeviceError, "stand alone"),
        ("cuda:0,cuda:3", NoDevice, "there are 3"),
        ("cpu,", NoDevice, "no device is called ''"),
        ("cpu;cpu", NoDevice, "no device is called"),
        ("", NoDevice, "no device is called ''"),
    ],
)
@pytest.mark.usefixtures("three_gpus")
def test_devices_that_do_not_go_together_are_refused(text: str, error: type[DeviceError], words: str) -> None:
    with pytest.raises(error, match=words):
        device.pick_devices(text)


@without_cuda
def test_all_needs_a_gpu() -> None:
    with pytest.raises(NoDevice, match="--device all"):
        device.pick_devices("all")


def test_cores_follow_affinity_and_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert device.cores() == 8
    for quota, expected in (("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(quota)
        assert device.cores() == expected


def test_free_memory_follows_the_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    without = device.free_bytes("cpu")
    assert without > 0
    (tmp_path / "memory.max").write_text(str(64 << 20))
    (tmp_path / "memory.current").write_text(str(40 << 20))
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {8 << 20}\n")
    assert device.free_bytes("cpu") == 32 << 20


def test_the_report_names_processor_cores_and_cuda() -> None:
    facts = {fact.name: fact for fact in device.describe()}
    assert {"processor", "cores", "bf16", "free memory"} <= set(facts)
    assert str(device.cores()) in facts["cores"].value
    assert any(name.lower().startswith("cuda") for name in facts)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_the_tuned_allocator_maps_large_activations_only_once() -> None:
    code = (
        "import resource, sys\nfrom vsr.engines.device import tune_allocator, use_threads\n"
        "if sys.argv[1] == 'tuned':\n    assert tune_allocator()\n"
        "import torch\nuse_threads(1)\n"
        "def run():\n    return torch.ones(12 << 20).mul(2).sum().item()\n"
        "for _ in range(12): run()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(8): run()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = [
        int(subprocess.run([sys.executable, "-c", code, mode], capture_output=True, text=True, check=True).stdout)
        for mode in ("plain", "tuned")
    ]
    assert faults[1] < faults[0] / 10, faults


def test_threads_are_set_for_torch() -> None:
    before = torch.get_num_threads()
    try:
        device.use_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        device.use_threads(before)
