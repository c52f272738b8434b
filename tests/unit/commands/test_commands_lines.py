"""Events and facts as text: what people and programs read is a function of the event alone."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.commands import lines
from vsr.core.events import Noted, Planned, Progress, StageLoad, Summary, Warned, WorkerLoad
from vsr.core.media import PacketIndex

INFER = StageLoad(name="infer", workers=2, items=72, busy_s=5.7, cpu_s=5.6, wall_s=3.0)
ENCODE = StageLoad(name="encode", workers=1, items=72, busy_s=1.2, cpu_s=1.1, wall_s=3.0)
SUMMARY = Summary(
    source="in.mp4",
    destination="out.mp4",
    frames_in=72,
    frames_out=72,
    wall_s=3.0,
    cpu_s=5.7,
    cores=2,
    fps=24.0,
    bottleneck="infer",
    stages=(INFER, ENCODE),
    width=1280,
    height=720,
    size_bytes=3_100_000,
    warnings=("2 frames concealed",),
)


def test_progress_tells_count_share_speed_time_left_and_loads() -> None:
    event = Progress(done=42, total=250, fps=24.81, eta_s=8.38, stages=(INFER, ENCODE))
    assert lines.progress_line(event) == "42/250 frames (16 %), 24.8 fps, 8.4 s left; infer 95 %, encode 40 %"


def test_progress_tells_how_fast_each_of_several_workers_is() -> None:
    workers = tuple(WorkerLoad(worker=f"cuda:{k}", done=10 * k, fps=4.0 * k) for k in (1, 0))
    event = Progress(done=42, total=250, fps=4.0, eta_s=52, stages=(INFER,), workers=workers)
    told = "42/250 frames (16 %), 4.0 fps, 0:52 left; cuda:0 0.0 fps, cuda:1 4.0 fps; infer 95 %"
    assert lines.progress_line(event) == told
    assert json.loads(lines.event_line(event))["workers"][0] == {"worker": "cuda:1", "done": 10, "fps": 4.0}


def test_one_worker_is_not_told_apart_and_of_many_only_the_ends() -> None:
    many = tuple(WorkerLoad(worker=f"node-{k}", done=0, fps=1.5 + k * 7 % 5) for k in range(5))
    assert lines.worker_loads(many[:1]) == ""
    assert lines.worker_loads(many[:4]).count("fps") == 4
    assert lines.worker_loads(many) == "5 workers: node-0 1.5 fps, node-2 5.5 fps"


def test_progress_without_rate_or_total_promises_no_time() -> None:
    assert lines.progress_line(Progress(done=0, total=0, fps=0.0, eta_s=None)) == "0/0 frames, 0.0 fps"


def test_summary_tells_frames_time_speed_bottleneck_efficiency_path_size_and_warnings() -> None:
    assert lines.summary_lines(SUMMARY, is_warned=False) == (
        "out.mp4",
        "  1280x720, 72 frames in = 72 frames out, 3.1 MB",
        "  3.0 s (24.00 fps); bottleneck: infer (95 % busy); efficiency 95 % of 2 cores",
        "  warning: 2 frames concealed",
    )


def test_summary_only_counts_warnings_that_were_read_already() -> None:
    assert lines.summary_lines(SUMMARY, is_warned=True)[-1] == "  1 warning, see above"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (59.6, "1:00"), (187, "3:07"), (3599.7, "1:00:00"), (7387, "2:03:07")],
)
def test_clock(seconds: float, said: str) -> None:
    assert lines.clock(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (3_100_000, "3.1 MB")]
)
def test_amount(count: int, said: str) -> None:
    assert lines.amount(count) == said


def test_control_characters_of_a_file_name_never_reach_the_terminal() -> None:
    assert lines.visible("a\x1b[2Jb\nc\udcff é 🎬 [x]") == "a\\x1b[2Jb\\nc\\udcff é 🎬 [x]"


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_visible_text_is_one_line_and_can_be_encoded(text: str) -> None:
    shown = lines.visible(text)
    assert len(shown.splitlines()) <= 1 or any(c in text for c in "\u2028\u2029")
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (Planned(source="a", destination="b", frames=3, description="x"), "planned"),
        (Progress(done=1, total=3, fps=math.inf, eta_s=None, stages=(INFER,)), "progress"),
        (Noted(message="670 updates"), "noted"),
        (Warned(message="zwei\nZeilen"), "warning"),
        (SUMMARY, "summary"),
    ],
)
def test_an_event_is_one_line_of_json_with_its_name_first(
    event: Planned | Progress | Noted | Warned | Summary, name: str
) -> None:
    line = lines.event_line(event)
    assert "\n" not in line and line.startswith(f'{{"event": "{name}"')
    json.loads(line, parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_json_holds_what_is_derived_beside_what_is_stored() -> None:
    data = json.loads(lines.event_line(SUMMARY))
    assert data["efficiency"] == pytest.approx(0.95)
    assert data["stages"][1]["busy"] == pytest.approx(0.4)
    assert data["stages"][1]["capacity"] == pytest.approx(60.0)


def test_ratios_paths_and_unbounded_numbers_have_a_form_in_json() -> None:
    data = {"rate": Fraction(30000, 1001), "path": Path("a/b"), "capacity": math.inf, "list": (1, None)}
    assert lines.jsonable(data) == {"rate": "30000/1001", "path": "a/b", "capacity": None, "list": [1, None]}


def test_a_packet_index_is_told_by_its_counts() -> None:
    index = PacketIndex(pts=(0, 40, 90), durations=(40, 50, 40), keyframes=(0,), bytes=900)
    assert lines.jsonable(index) == {
        "frames": 3,
        "first_pts": 0,
        "last_pts": 90,
        "keyframes": 1,
        "is_variable": True,
        "bytes": 900,
        "corrupt": 0,
        "without_pts": 0,
    }
