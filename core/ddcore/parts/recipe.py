"""`Recipe`: how a network is to be trained on a summary. The summary carries it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ddcore.errors import SettingsError, SummaryFormatError, UnknownNameError
from ddcore.parts.sparse_rows import as_dense
from ddcore.parts.steps import MAX_RATE, Steps
from ddcore.settings import require


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    r"""Return the cross-entropy of each example.

    Targets are class ids, or weights of the classes :math:`t_c`: :math:`-\sum_c t_c \log p_c`.
    """
    return F.cross_entropy(logits, as_dense(targets), reduction="none")


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    r"""Return :math:`\frac12\|f(x) - y\|^2` of each example.

    Class ids stand for one-hot vectors.
    """
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return 0.5 * (logits - as_dense(targets)).square().sum(dim=1)


MAX_TEMPERATURE = 1e4
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "squared_error": squared_error,
}


@dataclass(frozen=True)
class Recipe:
    """What training on a summary must follow, whatever the protocol says.

    Attributes:
        loss: ``cross_entropy``, of class ids or weights of classes; or ``squared_error``, which
            regresses the targets.
        learning_rate: a learned one, in place of the protocol's; None: the protocol's.
        steps: a learned schedule, in place of the protocol's; None: the protocol's.
        temperature: that of the labels. At T a network's logits are divided by T, and the loss is
            multiplied by T squared, so that its gradients keep their size.
    """

    loss: str = "cross_entropy"
    learning_rate: float | None = None
    steps: Steps | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownNameError("loss", self.loss, LOSSES)
        require(
            self.learning_rate is None or (type(self.learning_rate) is float and 0 < self.learning_rate <= MAX_RATE),
            f"a recipe's learning rate must be positive, not {self.learning_rate}",
        )
        require(
            0 < self.temperature <= MAX_TEMPERATURE and (self.temperature == 1 or self.loss == "cross_entropy"),
            f"a temperature lies in (0, {MAX_TEMPERATURE:g}], and is of cross_entropy alone; it is {self.temperature} of "
            f"{self.loss}",
        )

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example."""
        if self.temperature == 1:
            return LOSSES[self.loss](logits, targets)
        return self.temperature**2 * LOSSES[self.loss](logits / self.temperature, targets)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the learned numbers: four for each."""
        return (0 if self.learning_rate is None else 4) + (0 if self.steps is None else 4 * len(self.steps.rates))

    @classmethod
    def merged(cls, recipes: Sequence[Recipe]) -> Recipe:
        r"""Return one recipe for the union of several summaries of one method.

        The learned rate of step t is the geometric mean of theirs. Each step then takes examples
        of all classes of the union.

        .. math:: \bar\eta_t = \Big(\prod_{i=1}^n \eta_{i,t}\Big)^{1/n}

        Args:
            recipes: of the summaries.

        Raises:
            SettingsError: there are none; or they differ in more than their learned rates: in
                loss, in momentum, in number or size of steps.
        """
        if len({(r.loss, r.temperature, _form(r)) for r in recipes}) != 1:
            forms = ", ".join(sorted({f"{r.loss} at temperature {r.temperature:g} with {_form(r)}" for r in recipes}))
            raise SettingsError(
                f"no one recipe stands for these ({forms or 'none'}): say with recipe= how to train on the union"
            )
        first = recipes[0]
        rate, steps = first.learning_rate, first.steps
        if rate is not None:
            rate = _geometric_mean([r.learning_rate for r in recipes if r.learning_rate is not None])
        if steps is not None:
            each = zip(*(r.steps.rates for r in recipes if r.steps is not None), strict=True)
            steps = replace(steps, rates=tuple(_geometric_mean(rates) for rates in each))
        return cls(first.loss, rate, steps, first.temperature)

    def same_form(self, other: Recipe) -> bool:
        """Whether two recipes are equal but for their learned rates."""
        return (self.loss, self.temperature, _form(self)) == (other.loss, other.temperature, _form(other))

    def to_json(self) -> dict[str, Any]:
        """Return what a summary records of this recipe."""
        recorded: dict[str, Any] = {"loss": self.loss, "learning_rate": self.learning_rate}
        if self.temperature != 1:
            recorded["temperature"] = self.temperature
        if self.steps is not None:
            recorded["steps"] = asdict(self.steps) | {"rates": list(self.steps.rates)}
        return recorded

    @classmethod
    def restore(cls, config: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_json` recorded. Unknown entries are an error."""
        required = {"loss", "learning_rate"}
        allowed = required | {"steps", "temperature"}
        if not required <= set(config) <= allowed:
            raise SummaryFormatError(f"a recipe has {', '.join(sorted(allowed))}, found {sorted(config)[:5]}")
        rate, steps = config["learning_rate"], config.get("steps")
        if steps is not None:
            if set(steps) != {"rates", "per_class", "momentum"} or not isinstance(steps["rates"], list):
                raise SummaryFormatError(
                    f"a recipe's steps have rates, per_class and momentum, found {sorted(steps)[:5]}"
                )
            steps = Steps(tuple(map(_real, steps["rates"])), steps["per_class"], _real(steps["momentum"]))
        temperature = _real(config.get("temperature", 1.0))
        return cls(str(config["loss"]), None if rate is None else _real(rate), steps, temperature)


def _form(recipe: Recipe) -> str:
    if recipe.steps is not None:
        steps, beside = recipe.steps, "" if recipe.learning_rate is None else ", and a learned rate"
        return f"{len(steps.rates)} steps of {steps.per_class or 'all'} examples per class, momentum {steps.momentum:g}{beside}"
    return "a learned rate" if recipe.learning_rate is not None else "no rate of its own"


def _geometric_mean(rates: Sequence[float]) -> float:
    return rates[0] if len(set(rates)) == 1 else math.exp(sum(map(math.log, rates)) / len(rates))


def _real(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SummaryFormatError(f"{str(value)[:40]!r} stands in a recipe where a number belongs")
    return float(value)
