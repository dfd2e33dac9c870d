from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch

import ddcore as dd
from ddapps.cli.main import main
from ddcore.errors import (
    AddressError,
    DistillationError,
    MissingExtraError,
    OutputExistsError,
    SettingsError,
    SummaryFormatError,
)
from ddcore.ground import addresses
from ddcore.summary import travel

Trick = Callable[["Server", bytes], None]


class Server(SimpleHTTPRequestHandler):
    """Serves a folder, with a trick on the file whose name it is given for."""

    tricks: dict[str, Trick] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rpartition("/")[2]
        if name not in self.tricks:
            return super().do_GET()
        path = Path(self.translate_path(self.path))
        content = path.read_bytes() if path.is_file() else b""
        with contextlib.suppress(ConnectionError):
            self.tricks[name](self, content)
        self.close_connection = True
        return None

    def send(self, content: bytes, status: int = 200, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def summary(few_digits: dd.TargetData) -> dd.DataSummary:
    return dd.distill(few_digits, dd.methods.random(ipc=1))


@pytest.fixture(scope="module")
def served(summary: dd.DataSummary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    root = tmp_path_factory.mktemp("served")
    summary.save(root / "s")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(root)))
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.02), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "WAIT", 20.0)
    monkeypatch.setattr(Server, "tricks", {})


def play(**tricks: Trick) -> None:
    names = {"tensors": "summary.safetensors", "config": "config.json", "index": "index.json"}
    Server.tricks.update({names[name]: trick for name, trick in tricks.items()})


def stall(server: Server, content: bytes) -> None:
    server.send(content[:100], Content_Length=len(content))
    time.sleep(4)


def trickle(server: Server, content: bytes) -> None:
    server.send(b"", Content_Length=len(content))
    for byte in content[:30]:
        server.wfile.write(bytes([byte]))
        server.wfile.flush()
        time.sleep(0.1)


def endless(server: Server, content: bytes) -> None:
    server.send(b"")
    for _ in range(3000):
        server.wfile.write(bytes(2**14))


def test_a_summary_at_an_address_is_the_saved_one(summary: dd.DataSummary, served: tuple[str, Path]) -> None:
    memory = f"memory://{uuid4().hex}/a/summary"
    assert summary.save(memory) == memory
    for address in (memory, memory + "/", f"{served[0]}/s", f"{served[0]}/s?token=1"):
        loaded = dd.DataSummary.load(address)
        assert loaded.sha256() == summary.sha256() and loaded.record == json.loads(json.dumps(dict(summary.record)))


def test_a_whitening_travels_too(digits: dd.TargetData, tmp_path: Path) -> None:
    white = dd.distill(dd.load_data("digits", normalisation="zca"), dd.methods.random(ipc=1))
    address = f"file://{tmp_path}/deep/white"
    white.save(address)
    loaded = dd.DataSummary.load(address)
    assert torch.equal(loaded.tensors()[0], white.tensors()[0])
    assert loaded.spec.normalisation.same_as(white.spec.normalisation)


def test_another_summary_is_not_replaced_by_accident_and_the_configuration_comes_last(
    few_digits: dd.TargetData, summary: dd.DataSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, second = f"memory://{uuid4().hex}", dd.distill(few_digits, dd.methods.random(ipc=2))
    summary.save(address)
    with pytest.raises(OutputExistsError, match="holds a summary already: choose another address"):
        second.save(address)
    assert dd.DataSummary.load(address).sha256() == summary.sha256()
    files, root = addresses.filesystem(address)
    files.pipe(f"{root}/evaluations.json", b"{}")
    sent: list[str] = []
    put = type(files).put_file

    def noted(self: Any, local: str, remote: str, **settings: Any) -> None:
        sent.append(remote.rpartition("/")[2])
        assert not self.exists(f"{root}/config.json") and not self.exists(f"{root}/evaluations.json")
        put(self, local, remote, **settings)

    monkeypatch.setattr(type(files), "put_file", noted)
    second.save(address, overwrite=True)
    assert sorted(sent[:-1]) == ["README.md", "examples.png", "summary.safetensors"] and sent[-1] == "config.json"
    assert dd.DataSummary.load(address).sha256() == second.sha256()


def test_what_would_not_load_again_is_not_sent(summary: dd.DataSummary) -> None:
    (part,) = summary.parts
    torn = {**part.stored, "images": part.stored["images"] * float("nan")}
    address = f"memory://{uuid4().hex}"
    with pytest.raises(SummaryFormatError, match="NaN"):
        dd.DataSummary((type(part)(part.factorization, torn),), summary.spec).save(address)
    with pytest.raises(AddressError, match="there is no summary at memory://"):
        dd.DataSummary.load(address)


@pytest.mark.parametrize(
    ("trick", "error", "said"),
    [
        (lambda s, c: s.send(c[:100], Content_Length=len(c)), AddressError, "cannot be read"),
        (lambda s, c: s.send(c[:100]), SummaryFormatError, "does not have the hash"),
        (lambda s, c: s.send(c, Content_Length=100), DistillationError, "cannot be read|does not have the hash"),
        (lambda s, c: s.send(c, Content_Length=len(c) + 7), AddressError, "cannot be read"),
        (lambda s, c: s.send(c[:-1] + bytes([c[-1] ^ 1])), SummaryFormatError, "does not have the hash"),
        (lambda s, c: s.send(c, Content_Length=10**15), AddressError, "cannot be read"),
        (lambda s, c: s.send(b"", 404), AddressError, r"there is no summary at .*: summary\.safetensors is not there"),
        (lambda s, c: s.send(b"", 500), AddressError, "cannot be read: 500"),
        (lambda s, c: s.send(b"", 302, Location=s.path), AddressError, "cannot be read"),
        (lambda s, c: s.send(b"", 302, Location="file:///etc/hostname"), AddressError, "cannot be read"),
        (stall, AddressError, r"sent 100 bytes in \d s, which is too slow"),
        (trickle, AddressError, r"sent \d+ bytes in \d s, which is too slow"),
    ],
)
def test_a_bad_server_is_told_by_its_fault_and_in_time(
    served: tuple[str, Path], trick: Trick, error: type[DistillationError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trick in (stall, trickle):
        dd.DataSummary.load(f"{served[0]}/s")
        monkeypatch.setattr(addresses, "WAIT", 1.8)  # a busy machine takes a while to answer at all
    play(tensors=trick)
    started = time.monotonic()
    with pytest.raises(error, match=said):
        dd.DataSummary.load(f"{served[0]}/s")
    assert time.monotonic() - started < 10


def test_no_more_is_taken_than_the_limit_whatever_the_server_says(
    served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(travel.LIMITS, "summary.safetensors", 10**5)
    for trick in (endless, lambda s, c: s.send(bytes(10**6), Content_Length=10)):
        play(tensors=trick)
        with pytest.raises((AddressError, SummaryFormatError)):
            dd.DataSummary.load(f"{served[0]}/s")
    play(tensors=endless)
    with pytest.raises(AddressError, match="more than the 100000 bytes that are read of such a file"):
        addresses.fetch(f"{served[0]}/s/summary.safetensors", tmp_path / "f", 10**5)
    assert (tmp_path / "f").stat().st_size <= 10**5


def test_a_server_without_a_length_or_with_a_redirect_serves(served: tuple[str, Path], summary: dd.DataSummary) -> None:
    play(tensors=lambda s, c: s.send(c))
    assert dd.DataSummary.load(f"{served[0]}/s").sha256() == summary.sha256()
    (served[1] / "moved").mkdir(exist_ok=True)
    (served[1] / "moved" / "config.json").write_bytes((served[1] / "s" / "config.json").read_bytes())
    play(tensors=lambda s, c: s.send(c) if c else s.send(b"", 302, Location="/s/summary.safetensors"))
    assert dd.DataSummary.load(f"{served[0]}/moved").sha256() == summary.sha256()


def test_another_summarys_tensors_are_refused(
    served: tuple[str, Path], few_digits: dd.TargetData, tmp_path: Path
) -> None:
    other = dd.distill(few_digits, dd.methods.random(ipc=1), seed=5).save(tmp_path / "other")
    theirs = (other / "summary.safetensors").read_bytes()
    play(tensors=lambda s, c: s.send(theirs, Content_Length=len(theirs)))
    with pytest.raises(SummaryFormatError, match="does not have the hash"):
        dd.DataSummary.load(f"{served[0]}/s")


def test_addresses_that_nothing_reads_name_the_remedy(
    monkeypatch: pytest.MonkeyPatch, summary: dd.DataSummary, served: tuple[str, Path]
) -> None:
    with pytest.raises(SettingsError, match="s3:// needs s3fs: pip install s3fs"):
        dd.DataSummary.load("s3://bucket/summary")
    with pytest.raises(SettingsError, match=r"nowhere://x/.* cannot be read .*: give memory://, file://"):
        dd.DataSummary.load("nowhere://x")
    with pytest.raises(SettingsError, match="chains addresses"):
        dd.DataSummary.load("zip://a::http://127.0.0.1/b")
    with pytest.raises(AddressError, match="cannot be written"):
        summary.save(f"{served[0]}/new")
    monkeypatch.setattr(addresses, "_web_settings", lambda: (_ for _ in ()).throw(ImportError("aiohttp")))
    with pytest.raises(MissingExtraError, match=r"reading http:// needs aiohttp: pip install -e '\.\[remote\]'"):
        dd.DataSummary.load("http://127.0.0.1/s")


def test_a_plain_path_never_touches_fsspec(
    monkeypatch: pytest.MonkeyPatch, summary: dd.DataSummary, tmp_path: Path
) -> None:
    monkeypatch.setattr(addresses, "filesystem", lambda address: 1 / 0)
    summary.save(tmp_path / "s")
    summary.save(str(tmp_path / "t"))
    assert dd.DataSummary.load(str(tmp_path / "s")).sha256() == dd.DataSummary.load(tmp_path / "t").sha256()


def test_commands_take_addresses(served: tuple[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    dd.distill(dd.load_data("digits"), dd.methods.random(ipc=1)).save(served[1] / "d")
    address, words = f"{served[0]}/d", ["--data", "digits", "--quiet"]
    learner = ["--networks", "sklearn:k-neighbors(n_neighbors=1)", "--runs", "1"]
    assert main(["show", address]) == 0
    assert main(["evaluate", address, *words, *learner]) == 0
    assert f"is not kept in {address}" in capsys.readouterr().err
    assert main(["evaluate", str(served[1] / "d"), *words, *learner]) == 0
    assert main(["verify", address, *words]) == 0
    assert "accuracy of sklearn:k-neighbors(n_neighbors=1), protocol learners on digits" in capsys.readouterr().out
    assert main(["show", f"{served[0]}/nothing"]) == 1
    assert f"there is no summary at {served[0]}/nothing: config.json is not there" in capsys.readouterr().err
