"""One evaluation for all methods: scores, transfer, efficiency, storage, closeness to the data."""

from ddcore.evaluation.approximation import Approximation, epsilon_approximation
from ddcore.evaluation.efficiency import EfficiencyCurve, efficiency_curve
from ddcore.evaluation.estimators import Estimator, as_estimator
from ddcore.evaluation.evaluate import TrainingSource, check_compatible, evaluate, held_out_split, predict, train_one
from ddcore.evaluation.kernel import evaluate_kernel
from ddcore.evaluation.learners import as_learner, references
from ddcore.evaluation.protocols import PAPER, as_protocol, recorded_protocol
from ddcore.evaluation.report import Report, Result
from ddcore.evaluation.statistics import mean_std_ci95, sample_statistics
from ddcore.evaluation.storage import Storage, storage
from ddcore.training import PROTOCOLS, Protocol

__all__ = [
    "PAPER",
    "PROTOCOLS",
    "Approximation",
    "EfficiencyCurve",
    "Estimator",
    "Protocol",
    "Report",
    "Result",
    "Storage",
    "TrainingSource",
    "as_estimator",
    "as_learner",
    "as_protocol",
    "check_compatible",
    "efficiency_curve",
    "epsilon_approximation",
    "evaluate",
    "evaluate_kernel",
    "held_out_split",
    "mean_std_ci95",
    "predict",
    "recorded_protocol",
    "references",
    "sample_statistics",
    "storage",
    "train_one",
]
