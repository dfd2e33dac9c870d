"""A device that behaves as a GPU does in everything but time, and counts what a GPU would do."""

from __future__ import annotations

import importlib
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "pretend"
HERE = Path(__file__).parent
BUILT = Path(tempfile.gettempdir()) / f"ddapps-pretend-{torch.__version__}"

WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "equal",
    "is_nonzero",
    "bincount",
}
"""Operators whose result the host waits for."""
# fmt: off
VIEWS = frozenset({
    "view", "_unsafe_view", "expand", "permute", "transpose", "t", "slice", "select", "unsqueeze", "squeeze",
    "detach", "alias", "as_strided", "split", "split_with_sizes", "unbind", "_reshape_alias", "lift_fresh",
    "empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "diagonal", "unfold",
    "is_same_size", "_has_compatible_shallow_copy_type", "set_", "chunk", "narrow", "movedim",
})
# fmt: on
"""Operators that launch nothing."""
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")


def set_up() -> torch.device:
    """Build the device if this version of torch has none yet, make it known, and return it."""
    if not (BUILT / "pretend_device.so").exists():
        from torch.utils.cpp_extension import load

        BUILT.mkdir(exist_ok=True)
        load("pretend_device", [str(HERE / "pretend.cpp")], build_directory=str(BUILT), extra_cflags=["-O1", "-w"])
    sys.path.insert(0, str(BUILT))
    importlib.invalidate_caches()
    importlib.import_module("pretend_device")
    torch.utils.rename_privateuse1_backend(NAME)
    module: Any = types.ModuleType(f"torch.{NAME}")
    module.is_available = module.is_initialized = lambda: True
    module.current_device, module.device_count = (lambda: 0), (lambda: 1)
    module._is_in_bad_fork, module.manual_seed_all = (lambda: False), (lambda seed: None)
    module.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    torch._register_device_module(NAME, module)
    torch.utils.generate_methods_for_privateuse1_backend()
    native = torch.Tensor.pin_memory

    def pin_memory(self: Any, *arguments: Any, **settings: Any) -> Any:
        if self.device.type != "cpu":
            return native(self, *arguments, **settings)  # it raises, as on CUDA
        pinned = self.clone()
        pinned.is_pinned_here = True
        return pinned

    torch.Tensor.pin_memory = pin_memory  # type: ignore[method-assign]
    return torch.device(NAME)


class Watch(TorchDispatchMode):
    """Counts ``waits``, ``transfers`` to the device, and ``kernels``, about one for an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def taken(self) -> Counter[str]:
        """Return what was counted since the last call."""
        counts, self.counts = self.counts, Counter()
        return counts

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = list(_tensors([*args, *kwargs.values()]))
        wanted = kwargs.get("device")
        there = wanted is not None and torch.device(wanted).type == NAME
        if there or any(t.device.type == NAME for t in tensors):
            self._count(func.__name__.split(".")[0], args, kwargs, there)
        return func(*args, **kwargs)

    def _count(self, name: str, args: Any, kwargs: Any, there: bool) -> None:
        if name in ("_to_copy", "copy_"):
            source = args[name == "copy_"]
            into = there or (args[0].device.type == NAME and (name == "copy_" or kwargs.get("device") is None))
            if (source.device.type == NAME) != into:
                fast = getattr(source, "is_pinned_here", False)
                self.counts["transfers" if into and fast else "waits"] += 1
                return
        waiting = [i for i in _tensors([args[1]]) if i.device.type == "cpu" and i.dim() > 0] if name in INDEXED else []
        self.counts["waits"] += (name in WAITS) + len(waiting)
        self.counts["kernels"] += name not in VIEWS


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
