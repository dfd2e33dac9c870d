"""Summaries that a stranger changed, with hashes that fit: what only the content gives away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import ddcore as dd
from ddcore.errors import SummaryFormatError

Tensors = dict[str, torch.Tensor]


def rewritten(
    path: Path, place: Path, tensors: Tensors | None = None, change: Callable[[Any], object] | None = None
) -> Path:
    for file in path.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    config = json.loads((path / "config.json").read_text())
    if tensors is not None:
        save_file(tensors, place / "summary.safetensors")
        config["tensors_sha256"] = hashlib.sha256((place / "summary.safetensors").read_bytes()).hexdigest()
    if change is not None:
        change(config)
    (place / "config.json").write_text(json.dumps(config))
    return place


def put(tensors: Tensors, name: str, value: torch.Tensor) -> Tensors:
    return {**tensors, f"part0.{name}": value}


def load_with_changed_bytes(path: Path, place: Path, times: int = 60) -> None:
    """Change bytes of the tensors, one at a time. It loads or says why not, and that is all."""
    random, whole = np.random.default_rng(0), (path / "summary.safetensors").read_bytes()
    for _ in range(times):
        torn = bytearray(whole)
        torn[random.integers(len(torn))] = random.integers(256)
        rewritten(path, place)
        (place / "summary.safetensors").write_bytes(bytes(torn))
        config = json.loads((place / "config.json").read_text())
        config["tensors_sha256"] = hashlib.sha256(bytes(torn)).hexdigest()
        (place / "config.json").write_text(json.dumps(config))
        try:
            dd.DataSummary.load(place)
        except SummaryFormatError:
            continue
