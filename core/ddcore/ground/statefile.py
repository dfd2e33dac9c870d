"""Nested state (dicts, lists, numbers, texts, tensors) in one file, without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ddcore.errors import CheckpointError
from ddcore.ground.tensorfile import write_atomically


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``, readable by its owner alone. The file appears whole or not at all."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_split(state, tensors))
    write_atomically(path, save(tensors, metadata={"state": skeleton}), mode=0o600)


def read_state(path: Path) -> dict[str, Any]:
    """Return what `write_state` wrote, tensors on the CPU.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            skeleton = json.loads((file.metadata() or {})["state"])
        restored: dict[str, Any] = _join(skeleton, tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path.name} is damaged ({error}): delete it to start over") from error
    return restored


def _split(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_key(k), _split(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_split(v, tensors) for v in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise CheckpointError(f"{type(value).__name__} cannot be part of a checkpoint")


def _key(key: object) -> int | str:
    if not isinstance(key, int | str):
        raise CheckpointError(f"a checkpoint's names are numbers or texts, not {type(key).__name__}")
    return key


def _join(node: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "dict" in node:
        return {key: _join(value, tensors) for key, value in node["dict"]}
    if "list" in node:
        return [_join(value, tensors) for value in node["list"]]
    return node["value"]
