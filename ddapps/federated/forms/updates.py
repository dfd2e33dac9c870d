"""Updates of the global model, compressed into a synthetic batch whose training reproduces them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import ClassVar

import torch
from flwr.app import RecordDict

import ddcore as dd
from ddapps.federated.forms.base import Form
from ddapps.federated.forms.distilling import Work, answer
from ddapps.federated.global_model import Weights, with_weights
from ddapps.federated.local_training import train_locally
from ddapps.federated.roles import Client, Coordinator
from ddapps.federated.terms import Terms
from ddapps.federated.wire import Task
from ddapps.sizing import Compression
from ddcore.errors import SummaryFormatError, UnsupportedError
from ddcore.evaluation import TrainingSource
from ddcore.ground import generator, matmul_precision
from ddcore.images import Pixels
from ddcore.matching import StepSizes, TrajectoryMatching
from ddcore.parts import Network, Recipe, Steps
from ddcore.sources import GivenSegment
from ddcore.training import Training

CPU_STEPS, PAPER_STEPS = 100, 1000
GRADIENT_BATCH, LEAST_STEP, MOST_STEP = 256, 1e-4, 10.0
LONGEST = 5.0
"""Median lengths that one client's update may have."""


@dataclass(frozen=True)
class SyntheticUpdate(Form):
    r"""A batch on which :math:`N` steps from the global weights end where a client's training did.

    .. math:: \min_{x, y, \alpha} \frac{\|w_N - w^{(k)}\|^2}{\|w_0 - w^{(k)}\|^2},
        \qquad w_{i+1} = w_i - \alpha \nabla \ell(x, y; w_i)

    The client trains the global model, then optimises the batch, its soft labels and one step size.
    For each client the server takes the same steps from the same weights. It averages the ends with
    the clients' numbers of examples, capped. An update that is longer than `LONGEST` times the
    median of all is cut to that length.

    Attributes:
        inner_steps: :math:`N`, unless the settings say another.

    Source: Goetz & Tewari 2020 (arXiv:2008.04489) with one step, whose size carries the update's
    norm; Hu et al. 2022 (arXiv:2204.01273) with several.
    """

    inner_steps: int = field(default=1)
    method: ClassVar[str] = "update"
    sends_weights: ClassVar[bool] = True
    stays: ClassVar[bool] = False

    def check(self, settings: Terms) -> None:
        self.require_defaults(settings, "screening", "weighting", "bytes", "augmented")
        if settings.method != "":
            raise UnsupportedError(f"form {settings.form} has its own method: leave method out")
        if settings.private:
            raise UnsupportedError(
                "an update is made of the client's data by training that is not private: choose form 'one-shot' or 'feddm' with epsilon"
            )

    def compression(self, settings: Terms) -> Compression:
        method = dd.Method(
            name=settings.form,
            preset=settings.preset,
            cites=("goetz_tewari", "fedsynth"),
            factorization=Pixels(ipc=1, init="random", labels="softmax", storage=settings.storage),
            matching=TrajectoryMatching(
                inner_steps=settings.inner_steps or self.inner_steps,
                step_sizes=StepSizes(0.1, "shared", positive=True),
                augment=False,
            ),
            networks=GivenSegment(_NOWHERE, _NOWHERE),
            optimiser=dd.Optimiser(
                "adam", learning_rate=0.05, group_learning_rates={"labels": 0.05, "step_sizes": 0.2}, schedule="cosine"
            ),
            steps=settings.steps or (CPU_STEPS if settings.preset == "cpu" else PAPER_STEPS),
        )
        return Compression(method, settings.preset, settings.storage)

    def answer(self, client: Client, task: Task) -> RecordDict:
        return answer(client, task, lambda: self._work(client, task))

    def _work(self, client: Client, task: Task) -> Work:
        if task.weights is None:
            raise SummaryFormatError("the message has no weights: its server does not speak this form")
        start = client.network(task.weights)
        trained = train_locally(client, client.network(task.weights), task.round)
        steps = client.settings.inner_steps or self.inner_steps
        first = first_step(client, start, trained, steps)
        return Work(
            GivenSegment(start.module, trained.module),
            settle=lambda method: dd.override(method, "matching.step_sizes.initial", first),
        )

    def next_weights(self, server: Coordinator) -> Weights:
        updates = {}
        for contribution in server.answers():
            replayed = with_weights(server.settings, server.data.spec, server.weights)
            replay(replayed, contribution.summary, server.settings.inner_steps or self.inner_steps)
            ends = replayed.module.state_dict()
            update = {name: ends[name].cpu().double() - weight.double() for name, weight in server.weights.items()}
            if math.isfinite(norm(update)):
                updates[contribution.client] = (contribution.num_examples, update)
            else:
                server.drop(contribution, "its update is not finite")
        if not updates:
            return server.weights
        moved = averaged([update for _, update in updates.values()], server.shares([n for n, _ in updates.values()]))
        return {name: (weight.double() + moved[name]).to(weight.dtype) for name, weight in server.weights.items()}


_NOWHERE: torch.nn.Module = torch.nn.Linear(1, 1)
"""Stands where a client's own segment will."""


def first_step(client: Client, start: Network, end: Network, steps: int) -> float:
    r"""Return a first step size: ``steps`` gradients of that length are as long as the update.

    It is :math:`\

    w^{(k)} - w_0\

    / (N \

    g\

    )`, with the gradient :math:`g` on the client's data.
    """
    source = TrainingSource.of(client.target, next(start.parameters()).device, torch.float32)
    batch = source.batch_of(torch.arange(min(source.size, GRADIENT_BATCH)))
    with matmul_precision(None, batch.inputs.device):
        loss = torch.nn.functional.cross_entropy(start(batch.inputs), batch.targets)
        gradient = torch.autograd.grad(loss, list(start.module.parameters()))
    pairs = zip(end.module.parameters(), start.module.parameters(), strict=True)
    moved = math.sqrt(sum(float((a - b).detach().square().sum()) for a, b in pairs))
    slope = math.sqrt(sum(float(part.square().sum()) for part in gradient))
    return min(max(moved / (steps * max(slope, 1e-12)), LEAST_STEP), MOST_STEP)


def norm(update: Mapping[str, torch.Tensor]) -> float:
    """Return the Euclidean length of an update."""
    return math.sqrt(sum(float(part.square().sum()) for part in update.values()))


def averaged(updates: Sequence[Mapping[str, torch.Tensor]], shares: Sequence[float]) -> dict[str, torch.Tensor]:
    """Return the weighted sum of updates, none longer than `LONGEST` times their median."""
    lengths = [norm(update) for update in updates]
    limit = LONGEST * median_low([length for length in lengths if length] or [0.0])
    total: dict[str, torch.Tensor] = {}
    for update, length, share in zip(updates, lengths, shares, strict=True):
        factor = share * min(1.0, limit / length if length else 1.0)
        for name, part in update.items():
            total[name] = total[name] + factor * part if name in total else factor * part
    return total


def replay(network: Network, summary: dd.DataSummary, steps: int) -> None:
    """Take the steps that a synthetic batch stands for, in place.

    Each is on all examples at once, at the learned step size.
    """
    device = next(network.parameters()).device
    source = TrainingSource.of(summary, device, torch.float32)
    rate = summary.recipe.learning_rate
    if rate is None:
        raise SummaryFormatError("a synthetic update has a learned step size, this one has none")
    recipe = Recipe(summary.recipe.loss, None, Steps((rate,) * steps))
    dd.training.fit(
        network, source.batch_of, source.size, Training(), generator=generator(0), recipe=recipe, members=source.members
    )
