"""What docs/security.md promises, through the command line: names are names, nothing strange is opened or written."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import zipfile

import pytest
import torch

from tests import bombs
from tests.architecture.sources import imported, modules
from tests.media import make_clip, make_images
from vsr.core.errors import ModelError, UnsafeWeights, WeightsCorrupt, WeightsMissing
from vsr.engines import registry, weights

# Who may speak to the network: nobody here; files by URL go through fsspec, clusters through ray.
OWNERS = {"socket": ["vsr/jobs/executors/ray_cluster.py"]}  # to see whether a cluster is there
NETWORK = ("socket", "ssl", "http", "urllib", "urllib3", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "xmlrpc")


def refused(ended, *words):
    assert ended.code == 3, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err


def test_a_picture_above_the_limit_is_refused_and_the_way_out_is_named(tmp_path, vsr, leftovers):
    (image,) = make_images(tmp_path / "pic", "%d.png", count=1, width=40, height=30)
    out = tmp_path / "out.png"
    refused(vsr("upscale", image, "-o", out, "-m", "nearest", "--max-pixels", 1199), "40x30", "--max-pixels 1200")
    assert leftovers("pic") == []


def test_an_output_above_the_limit_is_refused_before_any_work(tmp_path, vsr, leftovers):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    ended = vsr("upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "-s", 4, "--max-pixels", 64 * 48 * 16 - 1)
    refused(ended, "256x192", "--max-pixels 49152")
    assert leftovers("in.mp4") == []
    again = vsr(
        "upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "-s", 4, "--max-pixels", 64 * 48 * 16, "-q"
    )
    assert again.code == 0, again.err


@pytest.mark.parametrize("decoder", ["pyav", "ffmpeg"])
def test_pictures_above_the_limit_are_refused_in_either_decoder(tmp_path, vsr, leftovers, decoder):
    film = tmp_path / "film.mkv"
    film.write_bytes(bombs.mkv(codec="V_MPEG4/ISO/AVC", frames=[bombs.h264(8192, 8192)] * 4))
    limit = ("--max-pixels", 1_000_000, "--decoder", decoder)
    refused(vsr("upscale", film, "-o", tmp_path / "out.mkv", "-m", "nearest", *limit), "8192x8192")
    assert leftovers("film.mkv") == []


@pytest.mark.parametrize("decoder", ["pyav", "ffmpeg"])
@pytest.mark.parametrize(
    "name",
    [
        "$(touch pwned).mp4",
        "`touch pwned`.mp4",
        ";touch pwned;.mp4",
        "|touch pwned.mp4",
        "'; touch pwned; '.mp4",
        "a\ntouch pwned\n.mp4",
        "-y.mp4",
        "--help.mp4",
        "concat:a|b.mp4",
        "http:a.mp4",
        "%n%s%x.mp4",
    ],
)
def test_names_never_reach_a_shell_or_become_options(tmp_path, vsr, leftovers, monkeypatch, name, decoder):
    clip = make_clip(tmp_path / name, frames=2)
    monkeypatch.chdir(tmp_path)
    out = f"out {name}"
    ended = vsr("upscale", "-m", "nearest", "-q", "--decoder", decoder, "-o", out, "--", name)
    assert ended.code == 0, ended.err
    assert leftovers(clip.name) == [out]


def test_the_name_of_an_attachment_is_never_a_path(tmp_path, vsr):
    """FFmpeg's own `-dump_attachment` writes where the file says; vsr copies attachments, names and all, unopened."""
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    clip = make_clip(home / "plain.mkv", frames=2, attachment=b"a font, or so", subtitles=["subrip"])
    data = clip.read_bytes()
    good = _attachment_name(data)
    evil = b"../../" + b"x" * (len(good) - 6)
    clip.write_bytes(data.replace(good, evil))
    assert vsr("upscale", clip, "-o", home / "out.mkv", "-m", "nearest", "-q").code == 0
    assert vsr("extract", clip, home / "pictures").code == 0
    assert _attachment_name((home / "out.mkv").read_bytes()) == evil
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert sorted(path.name for path in home.parent.iterdir()) == ["b"]
    assert sorted(path.name for path in home.iterdir()) == ["out.mkv", "pictures", "plain.mkv"]


def _attachment_name(data):
    """Give what an element FileName (46 6E, RFC 9559 sec. 5.1.6.1.2) of a Matroska file holds."""
    at = data.index(b"\x46\x6e", data.index(b"\x19\x41\xa4\x69"))
    return data[at + 3 : at + 3 + (data[at + 2] & 0x7F)]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_results_bear_the_rights_that_the_user_wants(tmp_path, vsr, mask, mode):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    (image,) = make_images(tmp_path / "pic", "%d.png", count=1)
    before = os.umask(mask)
    try:
        assert vsr("upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "-q").code == 0
        assert vsr("upscale", image, "-o", tmp_path / "out.png", "-m", "nearest", "-q").code == 0
        assert vsr("upscale", clip, "-o", tmp_path / "frames" / "%03d.png", "-m", "nearest", "-q").code == 0
    finally:
        os.umask(before)
    for path in (tmp_path / "out.mp4", tmp_path / "out.png", *(tmp_path / "frames").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


def test_what_is_half_done_is_for_its_owner_only(tmp_path, vsr, monkeypatch):
    """A film may be private; its parts lie beside the result while the job runs, whatever the umask says."""
    from vsr.pipeline import chunk

    clip = make_clip(tmp_path / "in.mp4", frames=2)
    seen = []
    run = chunk.run_chunk

    def look(job, piece, path, *rest, **named):
        seen.append((path.parent.name, stat.S_IMODE(path.parent.stat().st_mode)))
        return run(job, piece, path, *rest, **named)

    for module in list(sys.modules.values()):  # by whichever executor it was imported
        if getattr(module, "run_chunk", None) is run and module.__name__.startswith("vsr."):
            monkeypatch.setattr(module, "run_chunk", look)
    before = os.umask(0)
    try:
        assert vsr("upscale", clip, "-o", tmp_path / "out.mp4", "-m", "nearest", "-q").code == 0
    finally:
        os.umask(before)
    assert seen == [(".out.mp4.vsr-work", 0o700)]


AUDITED = """
import sys
calls = []
sys.addaudithook(lambda name, args: calls.append(name) if name in %r else None)
import socket
from vsr.cli import main
source, out = sys.argv[1:]
for words in (["probe", source], ["upscale", source, "-o", out, "-m", "espcn", "-q"], ["models"], ["doctor"]):
    main(words)
before = list(calls)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))  # it would have been seen
print("calls:", before, calls, file=sys.stderr)
"""
WATCHED = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


def test_nothing_reaches_the_network_unasked(tmp_path):
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    command = [sys.executable, "-c", AUDITED % (WATCHED,), clip, tmp_path / "out.mp4"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "calls: [] ['socket.connect']" in ended.stderr, ended.stderr
    assert (tmp_path / "out.mp4").exists()


def test_a_url_is_no_file_and_is_not_called(tmp_path, vsr):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for scheme in ("http", "tcp", "rtmp"):
            ended = vsr("probe", f"{scheme}://127.0.0.1:{port}/film.mp4")
            assert ended.code in (2, 3), ended.err
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("package", NETWORK)
def test_nobody_imports_what_speaks_to_the_network(package):
    assert [path for path, tree in modules() if package in imported(tree)] == OWNERS.get(package, [])


def checkpoint(**grown):
    """Give a compressed checkpoint of three numbers, some of its members longer by that many zeros."""
    stored, packed = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(3)}, stored)
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name) + bytes(grown.get(name.rpartition("/")[2].partition(".")[0], 0)))
    return packed.getvalue()


@pytest.mark.parametrize("member", ["data", "version"])
def test_a_checkpoint_that_unpacks_to_gigabytes_is_refused(tmp_path, member):
    path = tmp_path / "bomb.pth"
    path.write_bytes(checkpoint(**{member: 1 << 27}))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UnsafeWeights, match="unpacks from"):
        weights.load(path)
    path.write_bytes(checkpoint())
    assert torch.equal(weights.load(path).state["a"], torch.zeros(3))


@pytest.mark.parametrize("claim", [2**60, 2**63 - 1, 2**64 - 1, 200 << 20])
def test_a_header_of_safetensors_that_claims_to_be_huge_is_refused(tmp_path, claim):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(claim.to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' + bytes(4))
    with pytest.raises(WeightsCorrupt, match=r"bomb\.safetensors"):
        weights.load(path)


def test_tensors_that_claim_to_be_huge_are_refused(tmp_path):
    path = tmp_path / "bomb.safetensors"
    header = b'{"a":{"dtype":"F32","shape":[1099511627776,16],"data_offsets":[0,70368744177664]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(WeightsCorrupt):
        weights.load(path)


def test_a_pipe_is_no_weight_file_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(WeightsMissing, match="no regular file"):
        weights.load(tmp_path / "w.pth")


@pytest.mark.parametrize("is_inside", [False, True], ids=["initial", "in a node"])
@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "a/../../w.data", "link.data"])
def test_weights_of_a_graph_lie_in_its_own_folder_or_are_not_read(tmp_path, location, is_inside):
    path = _graph_with_weights_in(tmp_path / "home", location, is_inside=is_inside)
    (tmp_path / "w.data").write_bytes(bytes(4096))
    (path.parent / "link.data").symlink_to(tmp_path / "w.data")
    with pytest.raises(ModelError, match=r"outside its own folder|symbolic link"):
        registry.choose(str(path))


def test_weights_of_a_graph_are_not_looked_for_where_the_user_happens_to_be(tmp_path, monkeypatch):
    path = _graph_with_weights_in(tmp_path / "home", "w.data", is_inside=True)
    (tmp_path / "w.data").write_bytes(bytes(4096))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsMissing, match=r"w\.data"):
        registry.choose(str(path))


def _graph_with_weights_in(home, location, *, is_inside):
    """Give an ONNX network of x2 whose one tensor lies in another file; inside: as the value of a node."""
    onnx = pytest.importorskip("onnx")
    home.mkdir()
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, (12, 3, 3, 3), bytes(12 * 27 * 4), raw=True)
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    small, large = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 3, f"{name}h", f"{name}w"))
        for name in ("x", "y")
    )
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=2),
    ]
    nodes = [onnx.helper.make_node("Constant", [], ["w"], value=tensor), *nodes] if is_inside else nodes
    graph = onnx.helper.make_graph(nodes, "g", [small], [large], [] if is_inside else [tensor])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    (home / "net.onnx").write_bytes(model.SerializeToString())
    return home / "net.onnx"
