"""An evaluator for NNI's experiments and trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ddapps.nas.nni_package import require_nni


@dataclass(frozen=True)
class Reporting:
    """Scores a network and reports the score to NNI; it is pickled as its evaluator is.

    Attributes:
        evaluator: a function of a network.
    """

    evaluator: Callable[[object], float]

    def __call__(self, network: object) -> float:
        """Return the score of a network, and tell NNI."""
        import nni

        score = self.evaluator(network)
        nni.report_final_result(score)
        return score


def reporting(evaluator: Callable[[object], float]) -> Reporting:
    """Return a function that scores a network and reports the score to NNI.

    NNI's experiments expect that of an evaluator.

    Args:
        evaluator: a `StoredEvaluator`, which engines can send to their trials; a `ProxyEvaluator`,
            where the engine stays in this process; or any function of a network.

    Example:
        ``FunctionalEvaluator(reporting(StoredEvaluator("out/proxy", "digits")))`` in a
            ``NasExperiment``;
            in an HPO trial,
        ``reporting(evaluator)(space.candidate(nni.get_next_parameter()))``.
    """
    require_nni()
    return Reporting(evaluator)
