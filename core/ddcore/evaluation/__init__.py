"""One evaluation for all methods: scores, transfer, efficiency, storage, closeness to the data."""

from ddcore.evaluation.approximation import Approximation, epsilon_approximation
from ddcore.evaluation.claims import Check
from ddcore.evaluation.dd_ranking import augmentation_robust_score, label_robust_score
from ddcore.evaluation.efficiency import EfficiencyCurve, efficiency_curve
from ddcore.evaluation.estimators import Estimator, as_estimator
from ddcore.evaluation.evaluate import evaluate, predict, train_one
from ddcore.evaluation.fair import (
    FAIR_PROTOCOLS,
    Beside,
    FairReport,
    evaluate_fairly,
    labelled_alike,
    paired_differences,
    random_beside,
    selected_beside,
)
from ddcore.evaluation.kept import keep_evaluation
from ddcore.evaluation.kernel import evaluate_kernel
from ddcore.evaluation.learners import as_learner, references
from ddcore.evaluation.protocols import PAPER, as_protocol, recorded_protocol
from ddcore.evaluation.report import Report, Result
from ddcore.evaluation.source import TrainingSource, check_compatible, held_out_split
from ddcore.evaluation.statistics import Measured, mean_std_ci95, sample_statistics, welch_difference
from ddcore.evaluation.storage import Storage, storage
from ddcore.evaluation.verify import Verification, verify
from ddcore.summary import read_evaluations
from ddcore.training import PROTOCOLS, Protocol

__all__ = [
    "FAIR_PROTOCOLS",
    "PAPER",
    "PROTOCOLS",
    "Approximation",
    "Beside",
    "Check",
    "EfficiencyCurve",
    "Estimator",
    "FairReport",
    "Measured",
    "Protocol",
    "Report",
    "Result",
    "Storage",
    "TrainingSource",
    "Verification",
    "as_estimator",
    "as_learner",
    "as_protocol",
    "augmentation_robust_score",
    "check_compatible",
    "efficiency_curve",
    "epsilon_approximation",
    "evaluate",
    "evaluate_fairly",
    "evaluate_kernel",
    "held_out_split",
    "keep_evaluation",
    "label_robust_score",
    "labelled_alike",
    "mean_std_ci95",
    "paired_differences",
    "predict",
    "random_beside",
    "read_evaluations",
    "recorded_protocol",
    "references",
    "sample_statistics",
    "selected_beside",
    "storage",
    "train_one",
    "verify",
    "welch_difference",
]
