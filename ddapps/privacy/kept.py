"""Answers that are kept: one for each network, and free steps on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from ddapps.privacy.signal import PrivateSignal
from ddcore.parts import Counts, Features, weights_sha256

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
