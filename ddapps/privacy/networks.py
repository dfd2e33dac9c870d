"""Which networks a private signal takes: each example's gradient must be its own."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from ddapps.privacy.mechanism import ROWS, per_example_gradients
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.ground import matmul_precision
from ddcore.parts import Architecture, Batch, Network, NetworkSource, Spec, View

_CHECKED: WeakKeyDictionary[nn.Module, set[tuple[str, ...]]] = WeakKeyDictionary()


def require_private(network: Network, shape: tuple[int, ...], weights: Sequence[str]) -> None:
    """Raise `UnsupportedError` unless each example's gradient and features are its own.

    Opacus must also be able to tell them apart. Besides kinds of layers, behaviour is checked, once
    per module and set of weights, on public noise. Every example alone must give what it gives in
    company, its per-example gradients included, in the modes in which these are taken.

    Args:
        network: what will be asked.
        shape: of one example.
        weights: whose gradients will be asked for; none for features.
    """
    module, key = network.module, tuple(weights)
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
    if key in _CHECKED.setdefault(module, set()):
        return
    weight = next(network.parameters())
    noise = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    with matmul_precision("fp32", weight.device):  # sums are compared: their rounding must be small
        with torch.no_grad():
            _require_same(network(noise), [network(row) for row in noise.split(1)])
            _require_same(network.features(noise), [network.features(row) for row in noise.split(1)])
        if weights:
            with network.differentiated(weights) as parameters:
                errors = [e for e in ModuleValidator.validate(module) if "training mode" not in str(e)]
                if errors:
                    raise UnsupportedError(f"Opacus cannot bound the gradients of this network: {errors[0]}")
                with per_example_gradients(module):
                    together = _per_example(network, parameters, noise)
                    _require_same(together, [_per_example(network, parameters, row) for row in noise.split(1)])
                # And what the hooks say is what torch says of each example.
                _require_same(together, [_by_torch(network, parameters, row) for row in noise.split(1)])
    _CHECKED[module].add(key)


def require_private_view(view: View, shape: tuple[int, ...]) -> None:
    """Raise `UnsupportedError` unless a view changes each example by itself, and no label.

    It is tried on public noise, as networks are.
    """
    noise = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    together = view(Batch(noise, torch.arange(3)))
    alone = [view(Batch(row, torch.tensor([i]))) for i, row in enumerate(noise.split(1))]
    same = [torch.equal(together.targets, torch.cat([batch.targets for batch in alone]))]
    same += [together.inputs.shape == noise.shape and together.targets.shape == (3,)]
    apart = torch.cat([batch.inputs for batch in alone])
    same += [together.inputs.shape == apart.shape and torch.allclose(together.inputs, apart, rtol=1e-4, atol=1e-5)]
    if not all(same):
        raise UnsupportedError(
            f"{type(view).__name__} makes of one example what depends on the others, so one example's part cannot be "
            "bounded: use augmentations that change each example by itself"
        )


def _per_example(network: Network, parameters: Sequence[nn.Parameter], inputs: Tensor) -> Tensor:
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        torch.autograd.grad(network(inputs).square().sum(), inputs)
    rows = []
    for parameter in parameters:
        vectors = getattr(parameter, "grad_sample", None)
        if not isinstance(vectors, Tensor) or len(vectors) != len(inputs):
            raise UnsupportedError(ROWS)
        rows.append(vectors.flatten(1))
        parameter.grad_sample = None  # type: ignore[attr-defined]
    return torch.cat(rows, dim=1)


def _by_torch(network: Network, parameters: Sequence[nn.Parameter], inputs: Tensor) -> Tensor:
    with torch.enable_grad():
        parts = torch.autograd.grad(
            network(inputs).square().sum(), parameters, allow_unused=True, materialize_grads=True
        )
    return torch.cat([part.flatten() for part in parts]).unsqueeze(0)


def _require_same(together: Tensor, alone: Sequence[Tensor]) -> None:
    apart = torch.cat(list(alone))
    scale = float(apart.abs().max().clamp(min=1e-12))
    if len(together) != len(alone):
        raise UnsupportedError(ROWS)
    if together.shape != apart.shape or not torch.allclose(together / scale, apart / scale, rtol=1e-3, atol=1e-5):
        raise UnsupportedError(
            "what this network gives for one example depends on the others in the batch, or on the mode it is in, so one "
            "example's part cannot be bounded: use layers that treat each example alone, and no randomness"
        )


def feature_norm(source: NetworkSource, spec: Spec) -> float:
    """Return the median norm of features that public noise has on a network of ``source``.

    No example is looked at.
    """
    architecture = getattr(source, "architecture", None)
    if not isinstance(architecture, Architecture):
        raise SettingsError(
            f"{type(source).__name__} has no architecture to take a clipping norm from: give max_grad_norm"
        )
    network = architecture.build(spec.shape, spec.num_classes, seed=0).eval()
    noise = torch.randn(100, *spec.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float(network.features(noise).norm(dim=1).median())
