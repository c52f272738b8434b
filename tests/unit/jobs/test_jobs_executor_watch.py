from vsr.core.events import Progress
from vsr.jobs.executors.here import _Watch


def test_rate_and_time_left_follow_a_constant_speed(monkeypatch):
    """Peers E4: at a constant speed the ETA is right to 10 % once 5 % are done."""
    clock = [100.0]
    monkeypatch.setattr("vsr.jobs.executors.here.time.monotonic", lambda: clock[0])
    seen: list[Progress] = []
    watch = _Watch(total=1000, report=seen.append)
    for done in range(5, 1001, 5):
        clock[0] += 0.5  # ten frames a second
        watch.tick(done, ())
    for progress in seen:
        if progress.done >= 50:
            left = (1000 - progress.done) / 10
            assert abs(progress.fps - 10) < 0.5
            assert progress.eta_s is not None
            assert abs(progress.eta_s - left) <= max(0.1 * left, 0.01)


def test_frames_of_finished_chunks_stay_counted(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("vsr.jobs.executors.here.time.monotonic", lambda: clock[0])
    seen: list[Progress] = []
    watch = _Watch(total=20, report=seen.append)
    clock[0] = 1.0
    watch.tick(10, ())
    watch.finish(10)
    clock[0] = 2.0
    watch.tick(4, ())
    assert [progress.done for progress in seen] == [10, 14]
    assert seen[-1].eta_s is not None
