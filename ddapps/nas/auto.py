"""Which proxy to use: the one that ranks better than random images, else random images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ddapps.nas.free import FREE
from ddapps.nas.outcomes import Ranking, Row
from ddcore.errors import InputDataError

AUTO = "auto"
METHODS_OF_AUTO = ("random", "herding", "dm")
"""What ``auto`` tries, each by every score of one training and combined with free scores."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        chosen: name of a proxy.
        why: a sentence or two.
        beaten: random images -> tau of the leader minus theirs, with its interval, on the
            validation split.
        leader: the best of those that are not plain random images; empty: there was none.
    """

    chosen: str
    why: str
    beaten: dict[str, Any]
    leader: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"chosen": self.chosen, "leader": self.leader, "minus": self.beaten, "why": self.why}


def leading(found: Ranking, contestants: Sequence[str], randoms: Sequence[str]) -> tuple[Row | None, Row | None]:
    """Return the best contestant and the best of random images, by tau on the validation split.

    Raises:
        InputDataError: neither ranks.
    """
    leader, plain = found.best(contestants), found.best(randoms)
    if leader is None and plain is None:
        raise InputDataError(f"no score ranks these architectures: {'; '.join(found.unranked.values())}")
    return leader, plain


def chosen(found: Ranking, contestants: Sequence[str], randoms: Sequence[str]) -> Choice:
    """Return the leader where it ranks better than random images, else random images.

    Better means: the paired interval of its tau minus theirs is above zero on the validation
    split, for random images of as many per class and for those at its whole cost, where `found`
    has them. The test split decides nothing.

    Args:
        found: the comparison.
        contestants: names of all but plain random images.
        randoms: names of plain random images, one per score.
    """
    leader, plain = leading(found, contestants, randoms)
    note = _note(found, leader if plain is None else plain)
    if plain is None:
        assert leader is not None
        return Choice(leader.name, f"Random images rank nothing here.{note}", {}, leader.name)
    if leader is None:
        return Choice(plain.name, f"Nothing but random images ranks here.{note}", {}, "")
    assert leader.validation is not None
    against = (plain.name, *found.equal_cost.get(leader.name, ()))
    minus = {name: leader.validation.differences[name] for name in against if name in leader.validation.differences}
    told = "; ".join(
        f"{leader.name} minus {name}: {d.difference:+.2f} [{d.ci95[0]:.2f}, {d.ci95[1]:.2f}]"
        for name, d in minus.items()
    )
    facts = {name: difference.to_json() for name, difference in minus.items()}
    if all(difference.ci95[0] > 0 for difference in minus.values()):
        why = f"It ranks better than random images, by the paired interval on the validation split: {told}.{_note(found, leader)}"
        return Choice(leader.name, why, facts, leader.name)
    why = f"Nothing is shown to rank better than random images, so these are random images. On the validation split, paired: {told}.{note}"
    return Choice(plain.name, why, facts, leader.name)


def _note(found: Ranking, taken: Row | None) -> str:
    """Return a warning where a free score ranks at least as well as what is taken."""
    free = found.best(FREE)
    if free is None or taken is None or free.validation is None or taken.validation is None:
        return ""
    tau, other = free.validation.correlation.tau, taken.validation.correlation.tau
    if tau < other:
        return ""
    return f" Mind that `{free.name}` has a tau of {tau:.2f} there without any training, and this one {other:.2f}."
