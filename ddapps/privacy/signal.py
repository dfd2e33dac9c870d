"""The private signal: answers about real data are clipped, noised, and paid for first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import opacus
import torch
from opacus.accountants import IAccountant
from torch import Tensor, nn

from ddapps.privacy.accounting import Query, epsilon_of, history_of
from ddapps.privacy.certificate import Certificate
from ddapps.privacy.entropy import Entropy
from ddapps.privacy.ledger import Ledger, digest_of
from ddapps.privacy.mechanism import NoisySum, give, gradients_at_once, per_example_gradients, poisson_draw
from ddapps.privacy.networks import require_private, require_private_view
from ddcore.errors import BudgetError, CheckpointError, InputDataError, LedgerError, UnsupportedError
from ddcore.ground import examples_at, placed
from ddcore.parts import LOSSES, Batch, Context, Counts, Features, Gradients, RealSignal, TargetData

if TYPE_CHECKING:
    from ddcore.parts import CoresetRule, Network, View


@dataclass(frozen=True)
class Mechanism:
    r"""Public constants of a private signal.

    Attributes:
        noise_multiplier: :math:`\sigma`; noise has the standard deviation :math:`\sigma C`.
        max_grad_norm: :math:`C`, to which each example's vector is clipped.
        sample_rate: chance of every example to take part in an answer.
        steps: most questions that are answered.
        epsilon, delta, accountant: the budget that the above were chosen for.
        counts: examples per class.
        initialisation: of the synthetic examples.
        assumed_public: what else is taken for public.
    """

    noise_multiplier: float
    max_grad_norm: float
    sample_rate: float
    steps: int
    epsilon: float
    delta: float
    accountant: str
    counts: Mapping[int, int]
    initialisation: str
    assumed_public: tuple[str, ...]


class PrivateSignal(RealSignal):
    r"""Answers for real data by the Poisson-subsampled Gaussian mechanism.

    A question about all classes is one question: an example is of one class, so it has a part in
    one of the answers alone. An answer for a group :math:`g` of classes is

    .. math:: \frac{1}{q\,|g|\,m} \Big( \sum_{c \in g} \sum_{i \in B_c}
        \mathrm{clip}_C\big(\tfrac{m}{n_c} v_i\big) + \mathcal N(0, \sigma^2 C^2 I) \Big),
        \qquad m = \min_{c \in g} n_c,

    with the Poisson draw :math:`B` at rate :math:`q`, public class sizes :math:`n_c`, and
    :math:`v_i` an example's gradient or features. Without clipping and noise it is an unbiased
    estimate of the exact signal's answer: classes of a group weigh the same.

    Args:
        target: the private data.
        mechanism: public constants.
        ledger: where every answer is charged.
        words: what tells this run from others, for the ledger.
        entropy: of draws and noise.
        watched: a caller's own accountant, told of every answer. When an interrupted run goes on,
            it is told of that run's answers once more.
    """

    repeats: ClassVar[bool] = False
    """Whether an answer may serve several steps."""

    def __init__(
        self,
        target: TargetData,
        mechanism: Mechanism,
        ledger: Ledger,
        words: Mapping[str, Any],
        entropy: Entropy,
        watched: IAccountant | None = None,
    ) -> None:
        self.name, self.spec, self.counts = target.name, target.spec, dict(mechanism.counts)
        self._target, self._mechanism, self._ledger, self._entropy = target, mechanism, ledger, entropy
        self._watched = watched
        self._before: list[Query] = [] if watched is None else history_of(watched)
        query = (mechanism.noise_multiplier, mechanism.sample_rate)
        self._words = json.dumps(words, sort_keys=True)
        self._paid = ledger.open_run(self._words, query, mechanism.steps, self._before)
        self._planned: float | None = None
        for _ in range(self._paid if watched is not None else 0):
            self._tell_watched()
        self._run: Context | None = None

    def begin(self, run: Context) -> None:
        self._run = run
        train = self._target.train
        self._inputs, self._targets = placed(train.inputs, run.device), train.targets.to(run.device)

    def fingerprint(self) -> str:
        return self._ledger.data_digest

    def exhausted(self) -> bool:
        return self._paid >= self._mechanism.steps

    def finish(self) -> None:
        """Close the run in the ledger: the same words begin, and pay, anew."""
        self._ledger.close_run()

    def history(self) -> list[Query]:
        """Return what has been paid for: by the caller's accountant earlier, and by this run."""
        mechanism = self._mechanism
        return [*self._before, (mechanism.noise_multiplier, mechanism.sample_rate, self._paid)]

    def certificate(self) -> Certificate:
        """Return the claim: the cost of all planned answers. A run that ends early is covered."""
        mechanism = self._mechanism
        if self._planned is None:
            planned = (mechanism.noise_multiplier, mechanism.sample_rate, mechanism.steps)
            self._planned = epsilon_of([*self._before, planned], mechanism.delta, mechanism.accountant)
        return Certificate(
            epsilon=self._planned,
            delta=mechanism.delta,
            target_epsilon=mechanism.epsilon,
            queries=tuple(self.history()),
            max_grad_norm=mechanism.max_grad_norm,
            steps=self._paid,
            examples=sum(self.counts.values()),
            accountant=mechanism.accountant,
            opacus=opacus.__version__,
            randomness=self._entropy.description,
            assumed_public=mechanism.assumed_public,
            initialisation=mechanism.initialisation,
            repeated=self.repeats,
        )

    def record(self) -> dict[str, Any]:
        """Return the certificate, without data hash, time and micro-batches.

        All of them may depend on the examples, or on which were drawn.
        """
        return {"data_sha256": None, "seconds": None, "micro_batch": None, "privacy": self.certificate().to_json()}

    def state_dict(self) -> dict[str, Any]:
        return {"paid": self._paid, "run": digest_of(self._words)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["run"] != digest_of(self._words):
            raise CheckpointError(
                "the checkpoint is of a run with other privacy settings, whose answers this certificate would not count: repeat "
                "that run, or overwrite"
            )
        if state["paid"] > self._paid:
            raise LedgerError(
                f"the checkpoint has paid for {state['paid']} answers, the ledger knows of {self._paid}: it was replaced. "
                "Restore it, or delete the checkpoint and count its answers as spent"
            )

    def select(self, rule: CoresetRule, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Batch]:
        raise UnsupportedError(
            f"initialisation by {type(rule).__name__} would publish real examples: use init='noise', or start= with a public summary"
        )

    def batch(self, classes: Sequence[int], count: Counts, purpose: str) -> Batch:
        if purpose == "batch-norm":
            raise UnsupportedError(
                "a network with BatchNorm mixes examples, and its statistics need raw ones, which a private signal never gives: use "
                "norm='instance', 'group' or 'none'"
            )
        raise UnsupportedError(
            f"{purpose!r} would need raw examples, which a private signal never gives: use a method that asks for gradients or "
            "features (psg, dc, dsa, dcc, dm, dd, linba, kfs, gtn)"
        )

    def gradients(
        self,
        network: Network,
        groups: Sequence[Sequence[int]],
        views: Mapping[int, View],
        count: Counts,
        weights: Sequence[str],
        loss: str = "cross_entropy",
    ) -> Iterator[Gradients]:
        run, loss_of = self._bound(), LOSSES[loss]
        drawn = self._pay(network, groups, views, weights)
        at_once = gradients_at_once(network, weights, run)
        for group in groups:
            with network.differentiated(weights) as parameters:

                def add(batch: Batch, shares: Tensor) -> None:
                    inputs = batch.inputs.detach().requires_grad_()
                    with torch.enable_grad(), run.autocast():
                        losses = loss_of(network(inputs), batch.targets).to(run.dtype)
                        # Towards the inputs, so that hooks run and nothing else is computed for the
                        # weights.
                        torch.autograd.grad(shares @ losses, inputs)

                with per_example_gradients(network.module):
                    released = self._released(group, drawn, views, parameters, add, at_once)
            yield Gradients(tuple(group), released, self._expected(group))

    def features(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], count: Counts
    ) -> Iterator[Features]:
        run = self._bound()
        drawn = self._pay(network, groups, views, ())
        for group in groups:
            mean = nn.Parameter(torch.zeros(network.feature_width, device=run.device, dtype=run.dtype))

            def add(batch: Batch, shares: Tensor, mean: nn.Parameter = mean) -> None:
                with torch.no_grad(), run.autocast():
                    features = network.features(batch.inputs).to(run.dtype)
                give(mean, features * shares.unsqueeze(1))

            (released,) = self._released(group, drawn, views, [mean], add, run.micro_batch)
            yield Features(tuple(group), released, self._expected(group))

    def _pay(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], weights: Sequence[str]
    ) -> dict[int, Tensor]:
        """Charge one question, then draw the examples that take part: class id -> indices."""
        classes = [c for group in groups for c in group]
        if len(set(classes)) < len(classes):
            raise UnsupportedError(
                "a class in two groups would be asked twice in one question: ask twice, and pay twice"
            )
        empty = [c for c in classes if self.counts.get(c, 0) == 0]
        if empty:
            raise InputDataError(f"{self.name}: class {empty[0]} has no example; leave it out of ipc")
        require_private(network, self.spec.shape, weights)
        for view in {id(view): view for view in views.values()}.values():
            require_private_view(view, self.spec.shape)
        if self._paid >= self._mechanism.steps:
            raise BudgetError(
                f"all {self._mechanism.steps} answers of this run are given: plan more (privatize(..., questions=)), with more noise each"
            )
        mechanism, run = self._mechanism, self._bound()
        self._ledger.charge()
        self._paid += 1
        self._tell_watched()
        drawn = poisson_draw(len(self._targets), mechanism.sample_rate, self._entropy).to(run.device)
        targets = self._targets[drawn]
        return {c: drawn[targets == c] for c in classes}

    def _tell_watched(self) -> None:
        if self._watched is not None:
            mechanism = self._mechanism
            self._watched.step(noise_multiplier=mechanism.noise_multiplier, sample_rate=mechanism.sample_rate)

    def _released(
        self,
        group: Sequence[int],
        drawn: Mapping[int, Tensor],
        views: Mapping[int, View],
        parameters: Sequence[nn.Parameter],
        add: Callable[[Batch, Tensor], None],
        at_once: int,
    ) -> tuple[Tensor, ...]:
        """Return the noisy mean of a group.

        ``add`` leaves per-example vectors in the parameters' ``grad_sample``.
        """
        run, mechanism = self._bound(), self._mechanism
        total = NoisySum(parameters, mechanism.noise_multiplier, mechanism.max_grad_norm, self._entropy)
        smallest = min(self.counts[c] for c in group)
        for class_id in group:
            for indices in drawn[class_id].split(at_once):
                if not len(indices):
                    continue
                inputs = self.spec.normalisation.apply(examples_at(self._inputs, indices, run.device), run.dtype)
                batch = views[class_id](Batch(inputs, self._targets[indices]))
                shares = torch.full(
                    (len(indices),), smallest / self.counts[class_id], device=run.device, dtype=run.dtype
                )
                add(batch, shares)
                total.add(len(indices))
        divisor = mechanism.sample_rate * len(group) * smallest
        return tuple(tensor / divisor for tensor in total.release())

    def _expected(self, group: Sequence[int]) -> int:
        """Return the public number of examples behind an answer: the real one is private."""
        return round(self._mechanism.sample_rate * sum(self.counts[c] for c in group))

    def _bound(self) -> Context:
        if self._run is None:
            raise InputDataError("this signal is not bound to a run: distill() does that")
        return self._run
