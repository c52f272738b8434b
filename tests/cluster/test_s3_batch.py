"""`vsr batch` from S3 to S3, against a real S3 server on this machine; boto3 tells what lies there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import put
from tests.media import make_clip, numbers_of
from vsr.core.events import FolderSummary
from vsr.core.presets import resolve
from vsr.io import remote
from vsr.jobs.folder.entry import run_folder
from vsr.jobs.folder.wish import Wish

boto3 = pytest.importorskip("boto3")
FRAMES = 120


def _held(bucket: str) -> dict[str, bytes]:
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    name = bucket.removeprefix("s3://")
    listed = client.list_objects_v2(Bucket=name, Prefix="out/").get("Contents", [])
    keys = [item["Key"] for item in listed]
    return {key.removeprefix("out/"): client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}


def _run(bucket: str, **settings: object) -> FolderSummary:
    wish = Wish(source=f"{bucket}/in", destination=f"{bucket}/out")
    return run_folder(wish, resolve({"model": "nearest", "scale": 2.0, **settings}))


def test_a_folder_goes_from_s3_to_s3_once(bucket, tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "a.mkv", frames=4, width=48, height=32)
    put(bucket, "in/a.mkv", clip.read_bytes())
    put(bucket, "in/sub/ü %d [1].mkv", clip.read_bytes())
    put(bucket, "in/sub/bad.mkv", b"nothing")
    put(bucket, "in/sub/read.me", b"nothing")
    summary = _run(bucket)
    assert (summary.done, summary.failed, summary.others) == (2, 1, 1)
    held = _held(bucket)
    assert set(held) == {"a.mkv", "sub/ü %d [1].mkv", "results.jsonl"}
    (tmp_path / "came.mkv").write_bytes(held["sub/ü %d [1].mkv"])
    assert numbers_of(tmp_path / "came.mkv") == [0, 1, 2, 3]
    (home,) = (tmp_path / "cache" / "vsr" / "folders").iterdir()
    assert [path.name for path in home.rglob("*") if path.is_file()] == ["results.jsonl"]
    fetched = []
    download = remote._download
    monkeypatch.setattr(remote, "_download", lambda *given: (fetched.append(given[2].url), download(*given))[1])
    put(bucket, "in/b.mkv", clip.read_bytes())
    (tmp_path / "cache" / "vsr" / "fetched").rename(tmp_path / "thrown out")
    again = _run(bucket)
    assert (again.done, again.earlier, again.failed) == (1, 2, 1)
    assert sorted(set(fetched)) == [f"{bucket}/in/b.mkv", f"{bucket}/in/sub/bad.mkv", f"{bucket}/out/results.jsonl"]
    assert set(_held(bucket)) == {*held, "b.mkv"}
    statuses = [json.loads(line)["status"] for line in _held(bucket)["results.jsonl"].splitlines()]
    assert statuses.count("done") == 3


@pytest.mark.slow
def test_killed_the_same_command_goes_on(bucket, tmp_path):
    clip = make_clip(tmp_path / "a.mkv", width=96, height=64, frames=FRAMES)
    put(bucket, "in/a.mkv", clip.read_bytes())
    put(bucket, "in/b.mkv", clip.read_bytes())
    command = [sys.executable, "-m", "vsr", "batch", f"{bucket}/in", f"{bucket}/out", "-m", "nearest", "-s", "2"]
    command += ["--chunk-frames", "12", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folders = tmp_path / "cache" / "vsr" / "folders"
    until = time.monotonic() + 60
    while len(list(folders.glob("*/.a.mkv.vsr-work/*.nut"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert set(_held(bucket)) <= {"results.jsonl"}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    ended = {Path(event["source"]).name: event for event in told if event["event"] == "file"}
    assert ended["a.mkv"]["summary"]["resumed_frames"] > 0
    assert ended["b.mkv"]["summary"]["resumed_frames"] == 0
    held = _held(bucket)
    assert set(held) == {"a.mkv", "b.mkv", "results.jsonl"}
    assert held["a.mkv"] == held["b.mkv"]
    assert [path.name for path in folders.glob("*/*")] == ["results.jsonl"]
