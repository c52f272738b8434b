"""URLs without a network: what is one, what is refused, stores that have no atomic put."""

from __future__ import annotations

import sys

import pytest

from vsr.core.errors import InputMissing, OutputError, UsageError
from vsr.io import remote

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.mark.parametrize("text", ["s3://b/a.mp4", "gs://b/a", "http://x/y", "S3://b/a", "memory://a"])
def test_these_are_urls(text):
    assert remote.is_url(text)


@pytest.mark.parametrize("text", ["a.mp4", "/a/b:c", "C:/film.mp4", "-i", "concat:a|b", "./s3://b", "a b://c", "://x"])
def test_these_are_paths(text):
    assert not remote.is_url(text)


@pytest.mark.parametrize(
    "url", ["http://x/a.mp4", "https://x/a", "ftp://x/a", "file:///etc/passwd", "zip://a::s3://b", "data://a", "github://a"]
)  # fmt: skip
def test_other_schemes_are_refused_before_anything_is_opened(url, tmp_path):
    with pytest.raises(UsageError, match="not something vsr reads from or writes to"):
        remote.fetch(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_chain_in_a_url_is_part_of_a_name(memory, tmp_path):
    with pytest.raises(InputMissing):
        remote.fetch("memory://a::file:///etc/passwd", tmp_path)


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/a/", "s3://bucket/.."])
def test_a_url_that_names_no_file_says_so(url):
    with pytest.raises(UsageError, match="names no file"):
        remote.file_name(url)


@pytest.mark.parametrize(("url", "extra"), [("s3://b/a", "s3"), ("gs://b/a", "gcs"), ("sftp://h/a", "remote")])
def test_a_missing_package_is_named_with_its_extra(url, extra, monkeypatch, tmp_path):
    for package in ("s3fs", "gcsfs", "paramiko", "fsspec.implementations.sftp"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition("://")[0], raising=False)
    with pytest.raises(UsageError) as caught:
        remote.fetch(url, tmp_path)
    assert caught.value.hint == f'pip install "vsr[{extra}]"'


def test_without_fsspec_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError) as caught:
        remote.fetch("s3://b/a", tmp_path)
    assert caught.value.hint == 'pip install "vsr[s3]"'


def test_a_store_without_atomic_put_gets_a_temporary_name_first(memory, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"whole")
    seen = []
    move = type(memory).mv
    monkeypatch.setattr(type(memory), "mv", lambda self, a, b, **more: (seen.append(a), move(self, a, b, **more))[1])
    remote.store(tmp_path / "a.bin", "memory://out/a.bin")
    assert memory.cat("/out/a.bin") == b"whole"
    assert len(seen) == 1
    assert ".a.bin.vsr-part-" in seen[0]
    assert memory.find("/out") == ["/out/a.bin"]


def test_a_failed_upload_leaves_no_part(memory, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"whole")

    def broken(self, source, target, **more):
        self.pipe_file(target, b"ha")
        raise OSError("the line is cut")

    monkeypatch.setattr(type(memory), "put_file", broken)
    with pytest.raises(OutputError, match="the line is cut"):
        remote.store(tmp_path / "a.bin", "memory://out/a.bin")
    assert memory.find("/") == []
