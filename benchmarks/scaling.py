"""How many hours of film go through how many machines: the pull queue of `--cluster ray`, simulated.

    python benchmarks/scaling.py [--hours 10000]

Discrete events: a machine has slots, a slot does one chunk at a time, the machine that runs the jobs (the head) does
everything else one thing after the other: it takes a finished chunk (hash, journal), joins a film when its last chunk
is there, and gives out the next chunk; as many are in hand as `RayCluster` has in hand. Chunks differ in cost, some
machines are slow, spot machines vanish and come back. What a frame costs is measured (docs/models.md); what the head
does to a chunk is measured here; the rest are assumptions, named in ASSUMED. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import math
import os
import platform
import random
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

CORE_MS = {"espcn": 2 * 48, "compact": 2 * 118, "compact-mf": 2 * 266}
"""Core milliseconds a frame, 360p to 720p, x264: docs/models.md, `vsr bench` on two cores of an AMD EPYC."""

RATE = 25  # frames a second of film
FRAME_KB = 15  # of the result at 720p, x264 veryfast crf 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What nobody has measured."""

    cores: int = 32  # of a machine, each as fast as the measured ones when all are busy
    threads: int = 2  # of a chunk: two cores
    film_minutes: int = 60
    spread: float = 0.25  # of a chunk's cost around the mean (lognormal): content differs
    slow_share: float = 0.05  # of the machines are slow,
    slow_factor: float = 1.5  # by so much
    spot_hours: float = 20.0  # mean life of a spot machine
    notice_s: float = 30.0  # until Ray takes a silent machine for dead
    back_s: float = 300.0  # until another has taken its place
    disk_mb_s: float = 300.0  # reading or writing, when the head joins a film


ASSUMED = Assumed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table. heads: machines that run jobs, each with its part of the films and of the machines."""

    model: str
    machines: int
    chunk_frames: int = 1500
    heads: int = 1
    is_spot: bool = False
    is_split: bool = False  # every machine has its share from the beginning, and no queue


@dataclass(slots=True, kw_only=True)
class Outcome:
    hours: float  # until the last film is there
    useful: float  # share of the slots' time that went into results
    lost_hours: float = 0.0  # of slots, in chunks that died with their machine
    again: int = 0  # chunks done anew
    head_busy: float = 0.0
    tail_hours: float = 0.0  # from the first slot without work to the end
    machine_hours: float = 0.0


@dataclass(slots=True)
class Farm:
    """The state of one simulation. Times in seconds."""

    case: Case
    chunks: int
    film_chunks: int
    chunk_s: float
    take_s: float
    join_s: float
    seed: int
    now: float = 0.0
    given: int = 0
    taken: int = 0
    done: int = 0
    in_hand: int = 0
    lost_s: float = 0.0
    useful_s: float = 0.0
    head_s: float = 0.0
    again: int = 0
    first_idle: float = math.inf
    is_head_busy: bool = False
    waiting: deque[int] = field(default_factory=deque)
    finished: deque[int] = field(default_factory=deque)
    idle: deque[tuple[int, int]] = field(default_factory=deque)  # (machine, which life of it)
    lives: list[int] = field(default_factory=list)
    running: list[dict[int, tuple[int, float]]] = field(default_factory=list)  # by machine: run -> (chunk, begun)
    film_left: dict[int, int] = field(default_factory=dict)
    events: list[tuple[float, int, str, tuple[int, ...]]] = field(default_factory=list)
    number: int = 0

    def run(self) -> Outcome:
        rng = random.Random(self.seed)
        slots = ASSUMED.cores // ASSUMED.threads
        count = self.case.machines
        speed = [ASSUMED.slow_factor if rng.random() < ASSUMED.slow_share else 1.0 for _ in range(count)]
        self.lives, self.running = [0] * count, [{} for _ in range(count)]
        for machine in range(count):
            self.idle.extend([(machine, 0)] * slots)
            self._plan_loss(machine, rng)
        room = count * slots
        wanted = room + 1 + room // 8
        sigma = math.sqrt(math.log(1 + ASSUMED.spread**2))
        while self.done < self.chunks:
            while self.in_hand < wanted and self.given < self.chunks and not self.is_head_busy:
                self.waiting.append(self.given)
                self.given, self.in_hand = self.given + 1, self.in_hand + 1
            while self.idle and self.waiting:
                machine, life = self.idle.popleft()
                if life == self.lives[machine]:
                    cost = self.chunk_s * speed[machine] * rng.lognormvariate(-sigma * sigma / 2, sigma)
                    self._at(self.now + cost, "done", machine, life, self.waiting.popleft())
            if self.idle and self.given >= self.chunks:
                self.first_idle = min(self.first_idle, self.now)
            if self.finished and not self.is_head_busy:
                self._take()
            self.now, number, kind, what = heapq.heappop(self.events)
            getattr(self, f"_{kind}")(number, rng, slots, *what)
        return Outcome(
            hours=self.now / 3600,
            useful=self.useful_s / (self.now * room),
            lost_hours=self.lost_s / 3600,
            again=self.again,
            head_busy=self.head_s / self.now,
            tail_hours=max(0.0, self.now - self.first_idle) / 3600,
            machine_hours=self.now * count / 3600,
        )

    def _at(self, when: float, kind: str, *what: int) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, self.number, kind, what))
        if kind == "done":
            self.running[what[0]][self.number] = (what[2], self.now)

    def _plan_loss(self, machine: int, rng: random.Random) -> None:
        if self.case.is_spot:
            life = rng.expovariate(1 / (ASSUMED.spot_hours * 3600))
            self._at(self.now + life, "lost", machine)

    def _done(self, number: int, _rng: random.Random, _slots: int, machine: int, life: int, chunk: int) -> None:
        if life != self.lives[machine]:
            return
        _, begun = self.running[machine].pop(number)
        self.useful_s += self.now - begun
        self.finished.append(chunk)
        self.idle.append((machine, life))

    def _take(self) -> None:
        """The head takes a finished chunk; with a film's last one it joins the film."""
        film = self.finished.popleft() // self.film_chunks
        left = self.film_left.get(film, min(self.film_chunks, self.chunks - film * self.film_chunks)) - 1
        self.film_left[film] = left
        took = self.take_s + (0.0 if left else self.join_s)
        self.head_s += took
        self.is_head_busy = True
        self._at(self.now + took, "free")

    def _free(self, _number: int, _rng: random.Random, _slots: int) -> None:
        self.is_head_busy = False
        self.in_hand -= 1
        self.done += 1

    def _lost(self, _number: int, _rng: random.Random, _slots: int, machine: int) -> None:
        for chunk, begun in self.running[machine].values():
            self.lost_s += self.now - begun
            self.again += 1
            self._at(self.now + ASSUMED.notice_s, "noticed", chunk)
        self.running[machine] = {}
        self.lives[machine] += 1
        self._at(self.now + ASSUMED.back_s, "back", machine)

    def _noticed(self, _number: int, _rng: random.Random, _slots: int, chunk: int) -> None:
        self.waiting.appendleft(chunk)

    def _back(self, _number: int, rng: random.Random, slots: int, machine: int) -> None:
        self.idle.extend([(machine, self.lives[machine])] * slots)
        self._plan_loss(machine, rng)


def simulate(case: Case, *, hours: float, take_ms_per_mb: float, take_ms: float, seed: int = 1) -> Outcome:
    """Run one case; of several heads, or of machines that share no queue, the slowest says when all is done."""
    parts = case.machines if case.is_split else case.heads
    if parts > 1:
        one = replace(case, machines=case.machines // parts, heads=1, is_split=False)
        given = {"hours": hours / parts, "take_ms_per_mb": take_ms_per_mb, "take_ms": take_ms}
        runs = [simulate(one, seed=seed * 1000 + part, **given) for part in range(parts)]
        end = max(run.hours for run in runs)
        return Outcome(
            hours=end,
            useful=sum(run.useful * run.hours for run in runs) / (end * parts),
            lost_hours=sum(run.lost_hours for run in runs),
            again=sum(run.again for run in runs),
            head_busy=max(run.head_busy for run in runs),
            tail_hours=end - min(run.hours - run.tail_hours for run in runs),
            machine_hours=end * case.machines,
        )
    megabytes = case.chunk_frames * FRAME_KB / 1000
    film_mb = ASSUMED.film_minutes * 60 * RATE * FRAME_KB / 1000
    return Farm(
        case=case,
        chunks=math.ceil(hours * 3600 * RATE / case.chunk_frames),
        film_chunks=math.ceil(ASSUMED.film_minutes * 60 * RATE / case.chunk_frames),
        chunk_s=case.chunk_frames * CORE_MS[case.model] / 1000 / ASSUMED.threads,
        take_s=(take_ms + take_ms_per_mb * megabytes) / 1000,
        join_s=2 * film_mb / ASSUMED.disk_mb_s,
        seed=seed,
    ).run()


def measure() -> tuple[float, float]:
    """Give what the head does to a chunk: milliseconds a megabyte (sha256) and a chunk (two syncs, a journal line)."""
    data = os.urandom(32 << 20)
    began = time.process_time()
    hashlib.sha256(data).hexdigest()
    a_megabyte = 1000 * (time.process_time() - began) / (len(data) / 1e6)
    with tempfile.NamedTemporaryFile() as file:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(2):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return a_megabyte, 1000 * sorted(took)[len(took) // 2]


CASES = (
    *(Case(model="compact-mf", machines=n) for n in (1, 8, 100)),
    *(Case(model="compact-mf", machines=n, is_spot=True) for n in (8, 100)),
    Case(model="compact-mf", machines=100, is_spot=True, is_split=True),
    Case(model="compact-mf", machines=100, chunk_frames=250, is_spot=True),
    Case(model="espcn", machines=100, is_spot=True),
    Case(model="espcn", machines=100, is_spot=True, heads=4),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, default=10_000.0, help="of film, 360p, 25 frames a second")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scaling.json")
    options = parser.parse_args()
    take_ms_per_mb, take_ms = measure()
    rows = []
    heads = "model", "machines", "frames a chunk", "how", "time", "slots at work", "chunks anew", "head busy"
    print(f"| {' | '.join((*heads, 'machine hours'))} |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for case in CASES:
        outcome = simulate(case, hours=options.hours, take_ms_per_mb=take_ms_per_mb, take_ms=take_ms)
        rows.append({**asdict(case), **asdict(outcome)})
        print(_row(case, outcome), flush=True)
    options.out.write_text(
        json.dumps(
            {
                "table": "scaling",
                "machine": f"{platform.machine()}, {platform.system()}",
                "hours_of_film": options.hours,
                "core_ms_a_frame": CORE_MS,
                "result_kb_a_frame": FRAME_KB,
                "head_ms_a_megabyte": round(take_ms_per_mb, 3),
                "head_ms_a_chunk": round(take_ms, 3),
                "assumed": asdict(ASSUMED),
                "rows": rows,
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )


def _row(case: Case, outcome: Outcome) -> str:
    how = [
        "spot" if case.is_spot else "steady",
        *(["split beforehand"] if case.is_split else []),
        *([f"{case.heads} heads"] if case.heads > 1 else []),
    ]
    days = outcome.hours / 24
    when = f"{days:.1f} days" if days >= 3 else f"{outcome.hours:.1f} h"
    return (
        f"| {case.model} | {case.machines} | {case.chunk_frames} | {', '.join(how)} | {when} | {outcome.useful:.1%} "
        f"| {outcome.again:,} | {outcome.head_busy:.1%} | {outcome.machine_hours:,.0f} |"
    )


if __name__ == "__main__":
    main()
