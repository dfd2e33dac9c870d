"""The compositions among which ``choose_method`` chooses: methods times ways to store examples.

Everything here is a public constant. It was set on the digits and on part of MNIST;
the codecs of images (`Modality.codecs`) on training images of Fashion-MNIST and CIFAR-10, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ddcore.coresets import as_rule
from ddcore.errors import UnsupportedError
from ddcore.labels import TeacherLabelling
from ddcore.methods import build_method, compose
from ddcore.parts import RULES, Factorization, Labelling, Method, Spec, modality_named
from ddcore.settings import override
from ddcore.training import Teacher

AS_STORED = "as stored"
SELECTIONS = ("random", "herding", "k_center", "k_means")
MATCHINGS = ("dm",)
JOINT = ("linba",)
"""Methods whose examples are learned for the task of all classes together."""
SOFT = ", soft labels"
"""How a candidate's name ends whose examples a teacher labels."""
LABEL_STORAGE, TEMPERATURE = "2bit", 2.0
STEPS = 100
REAL_BATCH = 64
LEARNING_RATE = 0.005


@dataclass(frozen=True)
class Candidate:
    """A composition.

    Attributes:
        name: such as ``dm (14 px, 2 levels)``.
        rule: the method's name alone.
        storage: how examples are stored, in words.
        build: returns the method, of any size.
        labels: that its examples get in the end; None: class ids.
    """

    name: str
    rule: str
    storage: str
    build: Callable[[], Method]
    labels: Labelling | None = None

    @property
    def plain(self) -> bool:
        """Whether it is random selection, with class ids as labels."""
        return self.rule == "random" and self.labels is None

    def labelled(self, teacher: Teacher) -> Candidate:
        """Return the same under a teacher's labels, in `LABEL_STORAGE`."""
        labels = TeacherLabelling("soft", (teacher,), temperature=TEMPERATURE, storage=LABEL_STORAGE)
        return replace(
            self,
            name=self.name + SOFT,
            build=lambda: replace(self.build(), labels=labels),
            labels=labels,
        )

    @property
    def joint(self) -> bool:
        """Whether its examples are learned for the task of all classes together."""
        return self.rule in JOINT


def codecs(spec: Spec) -> Mapping[str, Factorization]:
    """Return ways to compress such data, by name (`Modality.codecs`)."""
    return modality_named(spec.modality).codecs(spec)


def through(rule: str, codec: Factorization) -> Method:
    """Return a method by its name whose examples are stored by ``codec``.

    A selection rule keeps its settings. A matching takes `STEPS` steps.
    """
    if rule in RULES:
        chosen = build_method(rule, ipc=1, preset="cpu")
        return replace(chosen, factorization=override(codec, "of.init", as_rule(rule)))
    method = compose(rule, codec, preset="cpu").with_steps(STEPS)
    for path, value in (
        ("matching.real_batch", REAL_BATCH),
        ("optimiser.group_learning_rates", {codec.items: LEARNING_RATE}),
    ):
        method = override(method, path, value)
    return method


def portfolio(spec: Spec, *, joint: bool = True) -> dict[str, Candidate]:
    """Return the compositions to choose from, by name.

    Args:
        spec: public facts of the data.
        joint: whether all classes are distilled together. Else methods that need them together
            (`JOINT`) are left out: those of a client or of an experience see a few classes.
    """
    rules = [rule for rule in (*SELECTIONS, *MATCHINGS, *(JOINT if joint else ())) if _serves(rule, spec)]
    found = [
        Candidate(rule, rule, AS_STORED, lambda rule=rule: _as_stored(rule, spec))  # type: ignore[misc]
        for rule in rules
    ]
    found += [
        Candidate(f"{rule} ({words})", rule, words, lambda rule=rule, codec=codec: through(rule, codec))  # type: ignore[misc]
        for words, codec in codecs(spec).items()
        for rule in rules
        if rule not in JOINT
    ]
    return {candidate.name: candidate for candidate in found}


def _as_stored(rule: str, spec: Spec) -> Method:
    """Return a method as its preset for processors stores examples; in bytes where they may be."""
    in_bytes = "uint8" in getattr(modality_named(spec.modality).as_stored, "storages", ())
    return build_method(rule, ipc=1, preset="cpu", target=spec, storage="uint8" if in_bytes else None, clip=in_bytes)


def _serves(rule: str, spec: Spec) -> bool:
    """Whether a method has a counterpart for such data."""
    try:
        _as_stored(rule, spec)
    except UnsupportedError:
        return False
    return True
