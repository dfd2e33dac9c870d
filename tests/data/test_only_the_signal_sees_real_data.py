"""During a run nothing but the real signal touches the target data.

Initialisation and network training are included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

import ddcore as dd
from ddcore.data import ExactSignal
from ddcore.parts import Batch, Features, Gradients, RealSignal
from tests.running import OF_IMAGES, shrunk


class Vault(dd.TargetData):
    """A target dataset that can be read while its owner holds it open."""

    open = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("train", "test", "validation") and not Vault.open:
            raise AssertionError(f"something other than the real signal read the target's {name} split")
        return super().__getattribute__(name)


class Guard(RealSignal):
    """Answers for a `Vault`.

    It opens for the time of an answer, and has nothing to read but its answers.
    """

    def __init__(self, target: dd.TargetData) -> None:
        Vault.open = True
        self.__signal = ExactSignal(target)
        self.name, self.spec, self.counts = self.__signal.name, self.__signal.spec, self.__signal.counts
        self.asked: set[str] = set()
        Vault.open = False

    def _answer(self, question: str, *arguments: Any) -> Any:
        self.asked.add(question)
        Vault.open = True
        try:
            return getattr(self.__signal, question)(*arguments)
        finally:
            Vault.open = False

    def _answers(self, question: str, *arguments: Any) -> Iterator[Any]:
        self.asked.add(question)
        lazily = getattr(self.__signal, question)(*arguments)
        while True:
            Vault.open = True
            try:
                answer = next(lazily, None)
            finally:
                Vault.open = False
            if answer is None:
                return
            yield answer

    def begin(self, run: dd.Run) -> None:
        self._answer("begin", run)

    def fingerprint(self) -> str:
        return str(self._answer("fingerprint"))

    def select(self, *arguments: Any) -> dict[int, torch.Tensor]:
        return dict(self._answer("select", *arguments))

    def batch(self, *arguments: Any) -> Batch:
        batch: Batch = self._answer("batch", *arguments)
        return batch

    def features(self, *arguments: Any) -> Iterator[Features]:
        return self._answers("features", *arguments)

    def gradients(self, *arguments: Any) -> Iterator[Gradients]:
        return self._answers("gradients", *arguments)


EXPECTED: Mapping[str, set[str]] = {
    "dc": {"gradients"},
    "dsa": {"gradients", "select"},
    "dcc": {"gradients", "select"},
    "idc": {"gradients", "select", "batch"},
    "idc_i": {"gradients", "select", "batch"},
    "dm": {"features", "select"},
    "cafe": {"batch", "select"},
    "it_gan": {"features", "select", "batch"},
    "psg": {"gradients"},
    "dd": {"gradients", "select"},
    "linba_no_factorization": {"gradients", "select"},
    "kip": {"select", "batch"},
    "rfad": {"select", "batch"},
    "frepo": {"select", "batch"},
    "rcig": {"select", "batch"},
    "mtt": {"select", "batch"},
    "tesla": {"select", "batch"},
    "ftd": {"select", "batch"},
    "datm": {"select", "batch"},
    "linba": {"gradients", "select"},
    "haba": {"select", "batch"},
    "kfs": {"features", "select"},
    "gtn": {"gradients"},
    "random": {"select"},
    "herding": {"select"},
    "k_center": {"select"},
    "k_means": {"select"},
    "forgetting": {"select"},
    "ncfm": {"features", "select", "batch"},
    "linear_gradient_matching": {"gradients"},
    "sre2l": {"select", "teacher"},
    "cda": {"select", "teacher"},
    "g_vbsm": {"select", "batch", "teacher"},
    "rded": {"select", "teacher"},
}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_run_asks_the_signal_alone(few_digits: dd.TargetData, name: str) -> None:
    fields = {f: getattr(few_digits, f) for f in ("name", "spec", "train", "test", "validation")}
    Vault.open = True
    vault = Vault(**fields)
    Vault.open = False
    with pytest.raises(AssertionError, match="train"):
        len(vault.train)
    guard = Guard(vault)
    method = shrunk(name)
    if name == "forgetting":
        rule = replace(method.factorization.init, epochs=1)  # type: ignore[attr-defined]
        method = dd.override(method, "factorization.init", rule)
    summary = dd.distill(None, method, real=guard)
    assert len(summary) >= 6
    assert EXPECTED[name] == method.asks()
    assert guard.asked - {"begin", "fingerprint"} == EXPECTED[name] - {"teacher"}
