"""``StoredEvaluator``: a proxy's evaluator for other processes, as the names of its folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ddcore as dd
from ddapps.nas.dataset import open_proxy
from ddapps.nas.evaluator import ProxyEvaluator


@dataclass(frozen=True)
class StoredEvaluator:
    """Scores architectures as `ProxyDataset.evaluator` does. It holds names, not data.

    It loads both on its first use in a process, so that its pickle stays below a kilobyte or two:
    engines that send an evaluator to their trials may send this one.

    Attributes:
        proxy: the folder that ``make_proxy`` or ``DataSummary.save`` wrote.
        data: the name or path of the data. Paths are made absolute: trials have other working
            directories. A name stays one, whatever folder is called so, as in ``load_data``.
        loading: options of ``ddcore.load_data``.
        settings: of the evaluator, such as ``seed`` and ``device``.
    """

    proxy: str | Path
    data: str | Path
    loading: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "proxy", str(Path(self.proxy).absolute()))
        here, named = Path(self.data), str(self.data) in dd.images.NAMED
        object.__setattr__(self, "data", str(here.absolute()) if here.exists() and not named else str(self.data))

    @property
    def evaluator(self) -> ProxyEvaluator:
        """The evaluator, loaded once in each process.

        Raises:
            SummaryFormatError: the folder holds no proxy.
            InputDataError: the proxy was made of other data.
        """
        known: ProxyEvaluator | None = self.__dict__.get("_evaluator")
        if known is None:
            made = open_proxy(self.proxy)
            target = dd.load_data(self.data, like=made.summaries[0].spec, **self.loading)
            known = made.evaluator(target, **self.settings)
            self.__dict__["_evaluator"] = known
        return known

    def __call__(self, network: object) -> float:
        """Return the score of an architecture; higher is better.

        Raises:
            CandidateError: it crashed, or its numbers are not finite.
        """
        return self.evaluator(network)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_evaluator"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
