"""An evaluator for NNI's experiments and trials."""

from __future__ import annotations

from collections.abc import Callable

from ddapps.nas.nni_package import require_nni


def reporting(evaluator: Callable[[object], float]) -> Callable[[object], float]:
    """Return a function that scores a network and reports the score to NNI.

    NNI's experiments expect that of an evaluator.

    Args:
        evaluator: a `ProxyEvaluator`, or any function of a network.

    Example:
        ``FunctionalEvaluator(reporting(ProxyEvaluator(summary, target)))`` in a ``NasExperiment``;
            in an HPO trial,
        ``reporting(evaluator)(space.candidate(nni.get_next_parameter()))``.
    """
    require_nni()
    import nni

    def score_and_report(network: object) -> float:
        score = evaluator(network)
        nni.report_final_result(score)
        return score

    return score_and_report
