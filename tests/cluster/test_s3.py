"""Files by URL, against a real S3 server on this machine; boto3, which vsr does not use, tells what lies there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import put
from tests.media import make_clip, numbers_of
from vsr.core.errors import DiskFull, InputError, InputMissing, OutputError, OutputExists, UsageError
from vsr.core.events import silent
from vsr.core.presets import resolve
from vsr.io import remote
from vsr.jobs.plan import plan
from vsr.jobs.remote import staged_remote
from vsr.jobs.run import run

boto3 = pytest.importorskip("boto3")
SETTINGS = {"model": "bicubic", "scale": 2.0}


@pytest.fixture
def keys(bucket: str) -> Iterator[object]:
    """Give a function that lists what the bucket holds: {key: bytes}."""
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    name = bucket.removeprefix("s3://")

    def held() -> dict[str, bytes]:
        listed = client.list_objects_v2(Bucket=name).get("Contents", [])
        return {item["Key"]: client.get_object(Bucket=name, Key=item["Key"])["Body"].read() for item in listed}

    return held


def test_store_and_fetch_carry_every_byte(bucket, keys, tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "a.bin").write_bytes(data)
    remote.store(tmp_path / "a.bin", f"{bucket}/deep/er/ü %d [1]*?.bin")
    assert keys() == {"deep/er/ü %d [1]*?.bin": data}
    got = remote.fetch(f"{bucket}/deep/er/ü %d [1]*?.bin", tmp_path / "got")
    assert got.name == "ü %d [1]*?.bin"
    assert got.read_bytes() == data


def test_large_files_go_in_parts_and_arrive_whole(bucket, keys, tmp_path, monkeypatch):
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize=None: 5 << 20)
    data = os.urandom(11 << 20)
    (tmp_path / "a.bin").write_bytes(data)
    remote.store(tmp_path / "a.bin", f"{bucket}/a.bin")
    assert keys() == {"a.bin": data}


def test_a_file_is_fetched_once_for_each_version(bucket, tmp_path, monkeypatch):
    url, fetched = put(bucket, "a.bin", b"one"), []
    download = remote._download
    monkeypatch.setattr(remote, "_download", lambda *given: (fetched.append(1), download(*given))[1])
    first = remote.fetch(url, tmp_path / "got")
    assert remote.fetch(url, tmp_path / "got") == first
    assert len(fetched) == 1
    put(bucket, "a.bin", b"two")  # as long as before
    second = remote.fetch(url, tmp_path / "got")
    assert (first.read_bytes(), second.read_bytes(), len(fetched)) == (b"one", b"two", 2)


def test_several_that_ask_at_once_fetch_once(bucket, tmp_path, monkeypatch):
    url, fetched, got = put(bucket, "a.bin", os.urandom(100_000)), [], []
    download = remote._download
    monkeypatch.setattr(remote, "_download", lambda *given: (fetched.append(1), download(*given))[1])
    threads = [threading.Thread(target=lambda: got.append(remote.fetch(url, tmp_path / "got"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1
    assert len(fetched) == 1


def test_where_a_file_came_from_is_known(bucket, tmp_path):
    url = put(bucket, "a.bin", b"one")
    found = remote.origin(remote.fetch(url, tmp_path / "got"))
    assert found == remote.look(url)
    assert (found.url, found.size) == (url, 3)
    (tmp_path / "b.bin").write_bytes(b"one")
    assert remote.origin(tmp_path / "b.bin") is None


def test_a_file_that_changes_while_it_is_fetched_is_refused(bucket, tmp_path, monkeypatch):
    url = put(bucket, "a.bin", b"one")
    look = remote._look
    calls = []

    def changing(system, path, asked):
        calls.append(1)
        if len(calls) == 2:
            put(bucket, "a.bin", b"other")
        return look(system, path, asked)

    monkeypatch.setattr(remote, "_look", changing)
    with pytest.raises(InputError, match="changed while it was fetched"):
        remote.fetch(url, tmp_path / "got")
    assert [path for path in (tmp_path / "got").rglob("*") if path.name == "a.bin"] == []


def test_what_is_not_there_is_named(bucket, tmp_path):
    for url in (f"{bucket}/gone.mp4", "s3://no-such-bucket-here/a.mp4"):
        with pytest.raises(InputMissing) as caught:
            remote.fetch(url, tmp_path / "got")
        assert url in caught.value.message
    assert not remote.exists(f"{bucket}/gone.mp4")
    assert remote.listing(f"{bucket}/nothing") == ()


def test_a_store_that_cannot_be_reached_is_named(bucket, tmp_path, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=r"s3://b/a.mp4 cannot be read: .*127.0.0.1:9"):
        remote.fetch("s3://b/a.mp4", tmp_path / "got")
    (tmp_path / "a.bin").write_bytes(b"one")
    with pytest.raises(OutputError, match=r"s3://b/a.mp4 cannot be written: .*127.0.0.1:9"):
        remote.store(tmp_path / "a.bin", "s3://b/a.mp4", overwrite=True)


def test_nothing_is_replaced_unasked(bucket, keys, tmp_path):
    url = put(bucket, "a.bin", b"one")
    (tmp_path / "a.bin").write_bytes(b"two")
    with pytest.raises(OutputExists):
        remote.store(tmp_path / "a.bin", url)
    assert keys() == {"a.bin": b"one"}
    remote.store(tmp_path / "a.bin", url, overwrite=True)
    assert keys() == {"a.bin": b"two"}


def test_a_store_that_keeps_something_else_is_found_out(bucket, tmp_path, monkeypatch):
    """The upload says it is done; what lies there has a byte turned, at its end."""
    import s3fs

    put = s3fs.S3FileSystem._put_file

    async def torn(self, source, key, **given):
        data = Path(source).read_bytes()
        (tmp_path / "torn").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        return await put(self, str(tmp_path / "torn"), key, **given)

    (tmp_path / "a.bin").write_bytes(os.urandom(200_000))
    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", torn)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(OutputError, match="holds 200000 bytes that are not the 200000 of"):
        remote.store(tmp_path / "a.bin", f"{bucket}/a.bin")


def test_listing_gives_every_file_below(bucket):
    for key in ("in/b.mp4", "in/deep/a.mp4", "in/deep/er/c.mkv", "inside.mp4"):
        put(bucket, key, key.encode())
    entries = remote.listing(f"{bucket}/in")
    assert [entry.relative for entry in entries] == ["b.mp4", "deep/a.mp4", "deep/er/c.mkv"]
    assert [entry.origin for entry in entries] == [remote.look(f"{bucket}/in/{e.relative}") for e in entries]


def test_a_key_that_would_climb_is_left_out(bucket):
    put(bucket, "in/../../etc/passwd", b"x")
    put(bucket, "in/a.mp4", b"x")
    assert [entry.relative for entry in remote.listing(f"{bucket}/in")] == ["a.mp4"]


def test_a_full_disk_throws_out_what_is_old_and_not_in_use(bucket, tmp_path, monkeypatch):
    old, held, new = (put(bucket, f"{name}.bin", name.encode()) for name in ("old", "held", "new"))
    got = tmp_path / "got"
    files = {url: remote.fetch(url, got) for url in (old, held)}
    for file in files.values():
        os.utime(file.parent.parent / "origin.json", (1, 1))
    room = iter([0, 0, *[10**15] * 9])
    monkeypatch.setattr(remote.atomic, "free_bytes", lambda path: next(room))
    with remote.kept(files[held]):
        remote.fetch(new, got)
    assert not files[old].exists()
    assert files[held].read_bytes() == b"held"
    monkeypatch.setattr(remote.atomic, "free_bytes", lambda path: 0)
    with pytest.raises(DiskFull):
        remote.fetch(old, got)


def test_upscale_from_s3_to_s3(bucket, keys, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=9, audio=1)
    source = put(bucket, "in/clip.mkv", clip.read_bytes())
    _upscale(source, f"{bucket}/out/clip_x2.mkv")
    run(plan(clip, tmp_path / "here.mkv", resolve(SETTINGS)))
    assert set(keys()) == {"in/clip.mkv", "out/clip_x2.mkv"}
    (tmp_path / "came.mkv").write_bytes(keys()["out/clip_x2.mkv"])
    assert numbers_of(tmp_path / "came.mkv") == list(range(9))
    assert (tmp_path / "came.mkv").stat().st_size == (tmp_path / "here.mkv").stat().st_size
    assert list((tmp_path / "cache" / "vsr" / "results").iterdir()) == []
    with pytest.raises(OutputExists, match=r"out/clip_x2\.mkv exists"):
        _upscale(source, f"{bucket}/out/clip_x2.mkv")


def test_a_folder_of_images_goes_to_s3(bucket, keys, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", frames=3)
    _upscale(str(clip), f"{bucket}/frames")
    assert sorted(keys()) == ["frames/000001.png", "frames/000002.png", "frames/000003.png"]


def test_a_result_that_could_not_be_stored_is_not_made_again(bucket, keys, tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "in.mkv", frames=5)
    url, runs = f"{bucket}/out.mkv", []
    store = remote.store

    def refused(path, url, *, overwrite):
        raise OutputError(f"{url} cannot be written", hint="Check.")

    monkeypatch.setattr(remote, "store", refused)
    with pytest.raises(OutputError) as caught:
        _upscale(str(clip), url, runs=runs)
    assert "is kept in" in caught.value.hint
    monkeypatch.setattr(remote, "store", store)
    _upscale(str(clip), url, runs=runs)
    assert len(runs) == 1
    assert list(keys()) == ["out.mkv"]


def test_a_kept_result_of_other_settings_is_made_again(bucket, keys, tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "in.mkv", frames=5)
    url, runs = f"{bucket}/out.mkv", []
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(remote, "store", lambda *given, **more: 1 / 0)
        _upscale(str(clip), url, runs=runs)
    _upscale(str(clip), url, runs=runs, scale=3.0)
    assert len(runs) == 2


def test_a_url_without_a_destination_is_refused(bucket):
    with pytest.raises(UsageError, match="where shall the result go"), staged_remote(f"{bucket}/a.mkv", None):
        pass


def test_local_paths_pass_through(tmp_path):
    with staged_remote("in.mkv", None) as staged:
        assert (staged.source, staged.destination, staged.url) == (Path("in.mkv"), None, None)
        assert staged.is_to_be_made("any")


def _upscale(source: str, destination: str, *, runs: list[int] | None = None, **settings: object) -> None:
    with staged_remote(source, destination, report=silent) as staged:
        job = plan(staged.source, staged.destination, resolve({**SETTINGS, **settings}))
        if staged.is_to_be_made(job.fingerprint):
            if runs is not None:
                runs.append(1)
            run(job)
