"""Spaces of architectures by name."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ddapps.nas.grid import Choices, Values
from ddapps.nas.nni_package import require_nni
from ddapps.nas.search_space import SearchSpace
from ddapps.nas.user_space import UserSpace
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.images import ConvNet
from ddcore.settings import require, require_counts, settings_from_text

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

NARROW, RESIZED = 16, 32


@dataclass(frozen=True)
class ConvNetSpace(SearchSpace):
    """The 720 ConvNets of Zhao et al. 2021.

    There are four depths, four widths, five norms, three activations, three poolings. Images of
    less than 16 px are resized to 32 first, so that every depth is valid.

    Attributes:
        width_divisor: the widths are 32, 64, 128 and 256, divided by this: 1 as published, 8 for a
            processor.

    Source: arXiv:2006.05929.
    """

    width_divisor: int = 8
    name: ClassVar[str] = "convnet"

    def __post_init__(self) -> None:
        require(
            self.width_divisor in (1, 2, 4, 8),
            f"width_divisor must be 1, 2, 4 or 8 (the norm 'group' has 4 groups), not {self.width_divisor}",
        )

    def values(self) -> Values:
        return {
            "depth": (1, 2, 3, 4),
            "width": tuple(width // self.width_divisor for width in (32, 64, 128, 256)),
            "norm": ("none", "batch", "layer", "instance", "group"),
            "activation": ("sigmoid", "relu", "leaky_relu"),
            "pooling": ("none", "max", "avg"),
        }

    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        network = ConvNet(**choices)
        if len(shape) != 3:
            raise UnsupportedError(f"{self.name} takes images, not examples of shape {shape}")
        if min(shape[1:]) >= NARROW:
            return network.module(shape, num_classes)
        return nn.Sequential(Resized(RESIZED), network.module((shape[0], RESIZED, RESIZED), num_classes))


@dataclass(frozen=True)
class NasBench201(SearchSpace):
    """The 15 625 cells of NAS-Bench-201, as NNI's hub builds them.

    Attributes:
        channels: of the stem; published: 16.
        cells: in each of the three stacks; published: 5.

    Source: arXiv:2001.00326.
    """

    channels: int = 16
    cells: int = 5
    name: ClassVar[str] = "nasbench201"

    def __post_init__(self) -> None:
        require_counts(channels=self.channels, cells=self.cells)

    def values(self) -> Values:
        operations = ("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3")
        return {f"cell/{start}_{end}": operations for end in (1, 2, 3) for start in range(end)}

    def build(self, choices: Choices, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module: nn.Module = self.model_space(shape, num_classes).freeze(dict(choices))
        return module

    def model_space(self, shape: tuple[int, ...], num_classes: int) -> ModelSpace:
        require_nni()
        from nni.nas.hub.pytorch import NasBench201 as Hub

        if len(shape) != 3 or shape[0] != 3:
            raise UnsupportedError(f"{self.name} takes colour images, not examples of shape {shape}")
        return Hub(self.channels, self.cells, num_classes)


class Resized(nn.Module):
    """Bilinear resizing of images to a side.

    Args:
        side: in pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        """Map ``n x c x h x w`` to ``n x c x side x side``."""
        return F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)


SPACES: dict[str, SearchSpace] = {space.name: space for space in (ConvNetSpace(), NasBench201())}


def as_space(given: object) -> SearchSpace:
    """Return a space from a space, a name, or an NNI ``ModelSpace``.

    Args:
        given: a name is such as ``convnet(width_divisor=4)``. It may also be
            ``package.module:Name``, where ``Name`` is a class or function that makes a
            ``ModelSpace``.
    """
    if isinstance(given, SearchSpace):
        return given
    if isinstance(given, str):
        if ":" in given:
            return UserSpace(_imported(given))
        return settings_from_text(given, SPACES, "space")
    if isinstance(given, nn.Module):
        if not hasattr(given, "trace_kwargs"):
            raise UnsupportedError(f"a {type(given).__name__} is one network: give an NNI ModelSpace")
        return UserSpace(partial(type(given), *given.trace_args, **given.trace_kwargs))  # type: ignore[misc, arg-type]
    if callable(given):
        return UserSpace(given)
    raise UnsupportedError(f"{type(given).__name__} is not a space: give a name, a SearchSpace or an NNI ModelSpace")


def space_label(space: SearchSpace) -> str:
    """Return a space's name with its settings."""
    if isinstance(space, UserSpace):
        return space.title
    settings = ",".join(f"{field.name}={getattr(space, field.name)}" for field in fields(space))  # type: ignore[arg-type]
    return f"{space.name}({settings})" if settings else space.name


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:  # whatever the user's module raises
        raise SettingsError(f"the space {path!r} cannot be imported: {error}") from error
    finally:
        if added:
            sys.path.remove(here)
    if not callable(found):
        raise SettingsError(f"{module} has no class or function {name!r} that makes a ModelSpace")
    return found
