"""Processes that begin with everything imported: a server has done so, and forks them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
PLACES = {"PYTHONPATH": os.pathsep.join([str(ROOT / "core"), str(ROOT)])}

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["tests.preloaded"])


def fork(function: Callable[..., object], *arguments: Any, said: Path, **environment: str) -> BaseProcess:
    """Start a call in a process of its own, on one thread. What it says goes to a file.

    Its environment is that of this process and what is given.
    """
    process = SERVER.Process(target=_call, args=(function, arguments, said, {**os.environ, **environment}))
    with mock.patch.dict(os.environ, PLACES):
        process.start()
    return process


def ended(process: BaseProcess, seconds: float | None = None) -> int | None:
    """Wait for a process to end, so long at most; return its exit code."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def run(function: Callable[..., object], *arguments: Any, said: Path) -> str:
    """Return what a call in a process of its own said, which must have gone well."""
    code = ended(fork(function, *arguments, said=said))
    assert code == 0, said.read_text()[-2000:]
    return said.read_text()


def _call(
    function: Callable[..., object], arguments: tuple[Any, ...], said: Path, environment: Mapping[str, str]
) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.update(environment)
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*arguments)
