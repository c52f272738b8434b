"""Every call to the system, failing once, failing for ever, or being the last: no false success, and it goes on."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Scene, Tell

LONG = pytest.mark.slow
FAULTS = {
    "fails once": {"how": "EIO"},
    "fails, and all after it": {"how": "ENOSPC", "forever": True},
    "is torn in the middle": {"how": "ENOSPC", "torn": True},
    "is the process's last (killed there)": {"how": "die"},
    "is the process's last, torn in the middle": {"how": "die", "torn": True},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", [pytest.param(23, id="some"), pytest.param(1, id="every", marks=LONG)])
def test_nth_call_fails(fault: str, step: int, scene: Scene, tell: Tell) -> None:
    how = dict(FAULTS[fault], folder=str(scene.folder))
    if "torn" in how:
        how["kinds"] = ("write",)
        step = -(-step // 4)
    total = sum(scene.run(("calls", how)).calls.values())
    assert total > 25
    for at in range(1 + list(FAULTS).index(fault) % step, total + 1, step):
        scene.fresh()
        ended = scene.run(("calls", {**how, "at": at}))
        if how["how"] == "die":
            assert ended.code in (-9, 0), ended.err
        else:
            scene.is_honest(ended)
            assert ended.left == [], f"call {at}"
        again = scene.run() if ended.code else ended
        if not (ended.code == 0 and scene.leftovers()):  # what could not be removed, the user is told of
            scene.is_right(again)
        tell(f"the N-th call to the system {fault}", lost=scene.lost(), message=ended.message)
