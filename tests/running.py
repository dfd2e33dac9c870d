"""A run with live parts, outside of the engine's loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import ddcore as dd
from ddcore.data import ExactSignal
from ddcore.images import ConvNet, Pixels
from ddcore.parts import Augmentation, Examples, Factorization, NetworkSource, NoAugmentation, NoNetworks
from ddcore.sources import ExpertSegments, FreshNetworks, Teachers

OF_IMAGES = [
    name
    for name, m in dd.methods.METHODS.items()
    if m.build(ipc=1, preset="paper").factorization.modality in (None, "images")
]
"""Methods that images can be distilled by."""


FOLLOWING = [name for name, m in dd.methods.METHODS.items() if m.build(ipc=1, preset="paper").follows_teachers()]
"""Methods that follow a teacher."""
STEPPING = [name for name in OF_IMAGES if dd.methods.METHODS[name].build(ipc=1, preset="paper").matching is not None]
"""Those of them that take steps."""
FEW: dict[str, dict[str, int]] = {
    "it_gan": {"factorization.generator.steps": 5, "factorization.inversion_steps": 5},
    "kfs": {"factorization.fitting_steps": 5, "factorization.width": 3},
    "gtn": {"factorization.generator.width": 3},
    "haba": {"factorization.hallucinators": 2, "factorization.width": 1},
}
"""Sizes of single methods that a test can do without."""


def few_of(digits: dd.TargetData) -> dd.TargetData:
    """Return three classes of digits, 40 training examples each."""
    three = digits.of_classes([0, 1, 7])
    chosen = torch.cat([(three.train.targets == c).nonzero().flatten()[:40] for c in (0, 1, 7)])
    return three.with_train(chosen, "few digits")


def shrunk(name: str, network: str = "convnet(width=4)", *, ipc: int = 2, steps: int = 3) -> dd.Method:
    """Return a published method, its preset for processors made small for a few examples."""
    published = dd.methods.METHODS[name]
    method = published.at(None if published.counts_numbers else ipc, "cpu", "digits")
    method = dd.override(method, "factorization.ipc", ipc)
    if name in FOLLOWING:
        method = method.with_teachers(untrained_teacher(spec_of_digits()))
    if method.matching is None:
        return method
    method = method.with_steps(steps)
    if hasattr(method.matching, "inner_steps"):
        method = dd.override(method, "matching.inner_steps", 4)
    if isinstance(method.networks, ExpertSegments):
        training = replace(method.networks.training, epochs=3)
        short = replace(method.networks, last_start=2, early_last_start=None, length=1, count=2, training=training)
        method = replace(method, networks=short)
    for path, few in FEW.get(name, {}).items():
        method = dd.override(method, path, few)
    return method if isinstance(method.networks, NoNetworks | Teachers) else method.on_networks(network)


@cache
def spec_of_digits() -> dd.Spec:
    return dd.load_data("digits").spec


def untrained_teacher(spec: dd.Spec, norm: str = "batch") -> dd.Teacher:
    """Return a teacher for such images whose statistics are not those of a new network."""
    module = ConvNet(width=4, norm=norm).build(spec.shape, spec.num_classes, seed=0).module
    random = torch.Generator().manual_seed(0)
    for name, buffer in module.named_buffers():
        if buffer.dtype.is_floating_point:
            drawn = torch.randn(buffer.shape, generator=random)
            buffer.copy_(drawn.abs() + 0.5 if name.endswith("var") else drawn)
    return dd.Teacher.of(module.eval(), spec)


def started(
    target: dd.TargetData,
    *,
    factorization: Factorization | None = None,
    networks: NetworkSource | None = None,
    augmentation: Augmentation | None = None,
    micro_batch: int = 5,
    precision: str = "fp64",
    seed: int = 0,
) -> dd.Run:
    signal = ExactSignal(target)
    run = dd.Run(
        spec=target.spec,
        real=signal,
        augmentation=augmentation or NoAugmentation(),
        seed=seed,
        device=torch.device("cpu"),
        precision=precision,
        micro_batch=micro_batch,
    )
    signal.begin(run)
    run.examples = (factorization or Pixels(ipc=3, init="noise")).start(run)
    run.networks = (networks or FreshNetworks(ConvNet(width=6))).start(run)
    return run


def parameter_gradient(run: dd.Run, matching: dd.matching.Matching) -> torch.Tensor:
    """Return the gradient of a step's terms with respect to the stored parameters, as a vector."""
    parameters = [p for group in run.examples.groups().values() for p in group]
    for parameter in parameters:
        parameter.grad = None
    for term in matching.terms(run, matching.start(run)):
        term.loss.backward(inputs=parameters)
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


def with_experts(method: dd.Method, target: dd.TargetData, directory: Path) -> dd.Method:
    """Return the method on experts that a CPU has trained, where it follows experts.

    Experts are in single precision: two devices that each train their own do not start alike.
    """
    source = method.networks
    if not isinstance(source, ExpertSegments):
        return method
    experts = dd.train_experts(
        target,
        directory / "experts",
        network=source.architecture,
        training=source.training,
        count=source.count or 1,
        device="cpu",
    )
    return replace(method, networks=replace(source, directory=str(experts.directory)))


def doubles(target: dd.TargetData, method: dd.Method, **settings: Any) -> torch.Tensor:
    """Return the stored parameters of a run in double precision as a vector, on the CPU."""
    with in_float64() as examples:
        dd.distill(target, method, precision="fp64", **settings)
    return torch.cat([p.detach().cpu().flatten() for group in examples[0].groups().values() for p in group])


@contextmanager
def in_float64() -> Iterator[list[Examples]]:
    """Collect the live examples of the runs inside the block.

    With ``precision="fp64"`` they are doubles. A summary stores them in single precision.
    """
    module, seen = sys.modules["ddcore.engine.distill"], list[Examples]()
    original = vars(module)["_starting_examples"]

    def starting(*arguments: Any) -> Examples:
        seen.append(original(*arguments))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_starting_examples", starting)
        yield seen
