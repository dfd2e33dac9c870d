"""Which networks a private signal takes: those whose per-example gradients and features are each example's own."""

from __future__ import annotations

from weakref import WeakSet

import torch
from opacus.grad_sample import GradSampleHooks
from opacus.validators import ModuleValidator
from torch import nn

from ddcore import Spec
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.networks import Architecture, Network, NetworkSource

_CHECKED: WeakSet[nn.Module] = WeakSet()


def require_private(network: Network, shape: tuple[int, ...]) -> None:
    """Raise `UnsupportedError` if one example can change another's gradient or features, or Opacus cannot tell them apart.

    Besides the kinds of layers, behaviour is checked once per module, on public noise: an example alone must give what it gives
    in company.
    """
    module = network.module
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            raise UnsupportedError(
                f"{name!r} is a BatchNorm, with or without weights: it mixes examples or keeps their statistics, so one "
                "example's part cannot be bounded. Use norm='instance', 'group' or 'none'"
            )
        if getattr(part, "inplace", False):
            raise UnsupportedError(
                f"{name!r} works in place, which per-example gradients do not survive: use inplace=False"
            )
    if module in _CHECKED:
        return
    errors = [str(e) for e in ModuleValidator.validate(module) if "training mode" not in str(e)]
    errors += [str(e) for e in GradSampleHooks.validate(module)]
    if errors:
        raise UnsupportedError(f"Opacus cannot bound the gradients of this network: {errors[0]}")
    _require_independence(network, shape)
    _CHECKED.add(module)


def _require_independence(network: Network, shape: tuple[int, ...]) -> None:
    weight = next(network.parameters())
    noise = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    with torch.no_grad():
        together, alone = network(noise)[:1], network(noise[:1])
    if not torch.allclose(together, alone, rtol=1e-3, atol=1e-4):
        raise UnsupportedError(
            "this network's output for one example depends on the others in the batch, so one example's part cannot be "
            "bounded: use layers that treat each example alone, and no randomness in evaluation mode"
        )


def feature_norm(source: NetworkSource, spec: Spec) -> float:
    """Return the median norm of the features that public noise has on a network of ``source``: no example is looked at."""
    architecture = getattr(source, "architecture", None)
    if not isinstance(architecture, Architecture):
        raise SettingsError(
            f"{type(source).__name__} has no architecture to take a clipping norm from: give max_grad_norm"
        )
    network = architecture.build(spec.shape, spec.num_classes, seed=0).eval()
    noise = torch.randn(100, *spec.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float(network.features(noise).norm(dim=1).median())
