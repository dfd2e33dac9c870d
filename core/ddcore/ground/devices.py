"""Devices and numeric precision, chosen by name and never left switched on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from ddcore.errors import SettingsError, UnknownNameError
from ddcore.ground.memory import KEPT_ONCE, KEPT_TWICE, fitting, graph_bytes, within_limit

PRECISIONS = ("fp32", "tf32", "bf16", "fp64")
MOST_ON_DEVICE = 1024
"""Examples in one pass on an accelerator, if they fit its memory."""
MICRO_BATCHES_PER_PIECE = 4
"""Synthetic examples of one term that are differentiated twice at once, in micro-batches."""


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device; ``"auto"`` is a GPU where there is one, else the CPU."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise UnknownNameError("device", device, ("auto", "cpu", "cuda", "cuda:0")) from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device {str(device)!r} was asked for, but torch finds no GPU here: use 'auto' or 'cpu'")
    return resolved


def check_precision(precision: str, device: torch.device) -> None:
    """Raise unless ``precision`` is known and ``device`` has it."""
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if precision == "tf32" and device.type != "cuda":
        raise SettingsError("precision 'tf32' exists on a GPU only: use 'fp32' or 'bf16' on this device")


def dtype_of(precision: str | None) -> torch.dtype:
    """Return the type of the parameters: float64 for ``fp64``, float32 for all others."""
    return torch.float64 if precision == "fp64" else torch.float32


def autocast(precision: str | None, device: torch.device) -> AbstractContextManager[object]:
    """Return the block in which forward passes run.

    Its products are in bfloat16 for ``bf16``. Otherwise it does nothing.
    """
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def usual_precision(device: torch.device) -> str:
    """Return the precision where none is asked for.

    On a GPU it is ``tf32``, in which torch convolves there by default; else ``fp32``.
    """
    return "tf32" if device.type == "cuda" else "fp32"


def precision_facts(device: torch.device) -> dict[str, str]:
    """Return the usual precision as a fact to keep results under, where it is not ``fp32``."""
    usual = usual_precision(device)
    return {} if usual == "fp32" else {"precision": usual}


@contextmanager
def matmul_precision(precision: str | None, device: torch.device) -> Iterator[None]:
    """Hold a GPU's products at ``precision`` inside the block.

    All of torch's settings then agree, old and new, so that each of them can be read. The caller's
    choice is restored after. The settings are those of the process: its threads share them.

    Args:
        precision: one of `PRECISIONS`. None: that of the block around, else the usual one.
        device: what is computed on. Only on a GPU anything is done.
    """
    if device.type != "cuda":
        yield
        return
    wanted = "tf32" if (precision or usual_precision(device)) == "tf32" else "ieee"
    if _HELD and (precision is None or _HELD[-1] == wanted):
        yield
        return
    before = _Settings.read()
    _HELD.append(wanted)
    try:
        before.at(wanted).write()
        yield
    finally:
        _HELD.pop()
        before.write()


_HELD: list[str] = []
"""What the blocks that are open hold products at, the innermost last."""

_ALL, _GPU, _CPU = ("generic", "all"), ("cuda", "all"), ("mkldnn", "all")
_PRODUCTS = (("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn"), ("mkldnn", "matmul"))
_SWITCHES = (_ALL, _GPU, _CPU, *_PRODUCTS)
"""Torch's switches of products in single precision, by its own names. Those of all come first."""


@dataclass(frozen=True)
class _Settings:
    """Torch's settings of products in single precision.

    The old ones set the new ones too, and reading an old one raises where the two do not agree.

    Attributes:
        convolutions: the old ``torch.backends.cudnn.allow_tf32``.
        products: the old ``torch.get_float32_matmul_precision()``.
        switches: the new ``fp32_precision`` of each of `_SWITCHES`; ``none``: that of the one
            above.
    """

    convolutions: bool
    products: str
    switches: tuple[str, ...]

    @classmethod
    def read(cls) -> _Settings:
        """Return the present settings, also where the old and the new ones do not agree.

        They are changed by that: write some after.
        """
        now = {name: _switch(*name) for name in _SWITCHES}
        top, parents = now[_ALL], _own((_GPU, _CPU), (_ALL,))
        own = _own(_PRODUCTS, (_GPU, _CPU))
        for place, name in enumerate(_PRODUCTS):
            # Convolutions that nobody ever set are in tf32 while nothing above is set. No call of
            # torch brings that back, so they are taken to be set to it.
            if own[place] == "none" == now[(name[0], "all")]:
                own[place] = now[name]
        # An old setting can be read where the new ones are made to agree with it.
        for name in _PRODUCTS:
            _turn(*name, "tf32" if name[1] in ("conv", "rnn") else "ieee")
        products = torch.get_float32_matmul_precision()
        try:
            convolutions = torch.backends.cudnn.allow_tf32
        except RuntimeError:
            convolutions = False
        return cls(convolutions, products, (top, *parents, *own))

    def at(self, wanted: str) -> _Settings:
        """Return settings at which all products of a GPU are ``tf32`` or ``ieee``.

        A processor's are then ``ieee``. Else the old setting, which both share, cannot be read. No
        device follows what is set for all. Else ``cudnn.flags`` would turn that on.
        """
        tf32, cpu = wanted == "tf32", self.switches[2]
        return _Settings(tf32, "high" if tf32 else "highest", ("none", wanted, cpu, wanted, wanted, wanted, "ieee"))

    def write(self) -> None:
        """Set all of torch's settings. The old ones come first, since they change new ones."""
        torch.backends.cudnn.allow_tf32 = self.convolutions
        torch.set_float32_matmul_precision(self.products)
        for name, value in zip(_SWITCHES, self.switches, strict=True):
            _turn(*name, value)


# Torch's public names of these switches set another one for ``mkldnn``.
_switch: Callable[[str, str], str] = torch._C._get_fp32_precision_getter
_turn: Callable[[str, str, str], object] = torch._C._set_fp32_precision_setter


def _own(names: Sequence[tuple[str, str]], above: Sequence[tuple[str, str]]) -> list[str]:
    """Return what each switch is set to itself; ``none``: it follows those above, which change."""
    seen = []
    for value in ("ieee", "tf32"):
        for name in above:
            _turn(*name, value)
        seen.append([_switch(*name) for name in names])
    return [a if a == b else "none" for a, b in zip(*seen, strict=True)]


def fitting_micro_batch(shape: tuple[int, ...], device: torch.device, *, keeps_graph: bool = False) -> int:
    """Return how many examples of ``shape`` one forward pass takes: a power of two.

    On a CPU the activations of about 2^15 pixels at 128 channels stay in the cache. These are 32
    images of 28 or 32 px, or 256 of 8 px. Larger batches pay for fresh memory pages in every layer.
    A pass that keeps all activations for a backward pass gets half as many pixels. A GPU takes
    1024, or as many as keep their activations in half of its free memory. A block of
    `micro_batches_within` around sets a limit.
    """
    if device.type != "cpu":
        return within_limit(fitting(graph_bytes(shape, KEPT_ONCE), device, MOST_ON_DEVICE))
    examples = 2 ** (14 if keeps_graph else 15) // math.prod(shape[1:] or shape)
    return within_limit(min(256, 1 << max(0, examples.bit_length() - 1)))


def fitting_second_order_micro_batch(shape: tuple[int, ...], device: torch.device, micro_batch: int) -> int:
    """Return how many examples of ``shape`` are differentiated twice at once.

    They are `MICRO_BATCHES_PER_PIECE` micro-batches, or as many as keep their graph in half of an
    accelerator's free memory.
    """
    return fitting(graph_bytes(shape, KEPT_TWICE), device, MICRO_BATCHES_PER_PIECE * micro_batch)


def warm_allocator(device: torch.device) -> None:
    """Let the C library keep the memory that layers free.

    Otherwise it hands the memory back and faults it in again. A processor then spends about as long
    on fresh pages as on convolutions. glibc raises its own thresholds, for good, when a block of up
    to 32 MB is freed. The block's pages are never touched. On other devices this does nothing.
    """
    if device.type == "cpu":
        torch.empty(2**25 - 2**16, dtype=torch.uint8)


_SENT = WeakTensorKeyDictionary()
"""Copies on a device of tensors on the CPU, for as long as those live."""

_ALIGNED = 16


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a CPU tensor to ``device`` without making the host wait for work in flight there.

    What `send_ahead` has sent is not copied again. What is no CPU tensor is moved as torch does.
    """
    if device.type == "cpu" or tensor.device.type != "cpu":
        return tensor.to(device)
    sent: torch.Tensor | None = _SENT.get(tensor) if type(tensor) is torch.Tensor else None
    if sent is not None and sent.device.type == device.type and device.index in (None, sent.device.index):
        return sent
    return tensor.pin_memory().to(device, non_blocking=True)


def together_to_device(tensors: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """Copy CPU tensors to ``device`` in one transfer, of pinned memory. On a CPU they stay."""
    if device.type == "cpu" or not tensors:
        return list(tensors)
    rows = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in tensors]
    spans = [-(-len(row) // _ALIGNED) * _ALIGNED for row in rows]
    packed = torch.zeros(sum(spans), dtype=torch.uint8)
    for place, row in zip(packed.split(spans), rows, strict=True):
        place[: len(row)] = row
    there = packed.pin_memory().to(device, non_blocking=True)
    return [
        place[: len(row)].view(t.dtype).view(t.shape)
        for place, row, t in zip(there.split(spans), rows, tensors, strict=True)
    ]


def send_ahead(tensors: Iterable[torch.Tensor], device: torch.device) -> None:
    """Copy CPU tensors to ``device`` in one transfer. `to_device` will find them there.

    They must not be changed in place afterwards. On a CPU this does nothing.
    """
    if device.type == "cpu":
        return
    missing = [t for t in tensors if t.device.type == "cpu" and t not in _SENT]
    for tensor, there in zip(missing, together_to_device(missing, device), strict=True):
        _SENT[tensor] = there


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a vector of fixed numbers. It is made once, and must not be changed."""
    with torch.inference_mode(False):  # a later caller may need it for a gradient
        return to_device(torch.tensor(values, dtype=dtype), device)


def recurring(indices: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy CPU indices to ``device`` that mostly come again. Equal ones are sent once."""
    return indices if device.type == "cpu" else constant(tuple(indices.tolist()), indices.dtype, device)


def consecutive(indices: torch.Tensor, device: torch.device) -> torch.Tensor | slice:
    """Return what takes these entries of a tensor on ``device``: a slice where they are in order.

    A slice is no transfer and no copy.
    """
    if device.type != "cpu" and indices.device.type == "cpu" and len(indices) > 0:
        first = int(indices[0])
        if torch.equal(indices, torch.arange(first, first + len(indices))):
            return slice(first, first + len(indices))
    return to_device(indices, device)
