"""Answers that are kept: one for each network, and free steps on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from torch import nn

import ddcore as dd
from ddapps.privacy.privatize import PrivateMethod, privatize
from ddapps.privacy.signal import PrivateSignal
from ddcore.matching import DistributionMatching
from ddcore.parts import Counts, Factorization, Features, weights_sha256
from ddcore.sources import FixedNetworks

if TYPE_CHECKING:
    from ddcore.parts import Network, View


class KeptAnswers(PrivateSignal):
    """Asks the data once on each network, for all classes, and repeats that answer for free.

    A run has as many questions as networks (`FixedNetworks`), and any number of steps.
    """

    repeats: ClassVar[bool] = True

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._answers: dict[str, tuple[Features, ...]] = {}
        self._names: WeakKeyDictionary[Network, str] = WeakKeyDictionary()

    def features(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], count: Counts
    ) -> Iterator[Features]:
        name = self._names.get(network) or self._names.setdefault(network, weights_sha256(network.module))
        if name not in self._answers:
            self._answers[name] = tuple(super().features(network, groups, views, count))
        run = self._bound()
        for answer in self._answers[name]:
            yield replace(answer, mean=answer.mean.to(run.device, run.dtype))

    def exhausted(self) -> bool:
        return super().exhausted() and len(self._answers) < self._mechanism.steps

    def state_dict(self) -> dict[str, Any]:
        kept = {name: [[list(a.classes), a.mean, a.count] for a in answers] for name, answers in self._answers.items()}
        return super().state_dict() | {"answers": kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._answers = {
            name: tuple(Features(tuple(classes), mean, count) for classes, mean, count in answers)
            for name, answers in state["answers"].items()
        }


def on_kept_answers(
    name: str,
    modules: Sequence[nn.Module],
    *,
    cites: tuple[str, ...],
    factorization: Factorization,
    steps: int,
    optimiser: dd.Optimiser,
    max_grad_norm: float,
    **budget: Any,
) -> PrivateMethod:
    """Return the method whose images match one kept answer about all examples per module.

    Args:
        name: of the method.
        modules: public networks, of which the features count.
        cites: keys of its sources.
        factorization: of the images; it starts from noise.
        steps: free ones.
        optimiser: of the images.
        max_grad_norm: clipping norm of features.
        **budget: ``epsilon``, ``delta``, ``accountant`` and ``counts``, as in `privatize`.
    """
    method = dd.Method(
        name=name,
        preset="cpu",
        cites=cites,
        factorization=factorization,
        matching=DistributionMatching(),
        networks=FixedNetworks(tuple(modules)),
        optimiser=optimiser,
        steps=steps,
    )
    private = privatize(method, **budget, max_grad_norm=max_grad_norm, sample_rate=1.0, questions=len(modules))
    return replace(private, signal=KeptAnswers)
