"""What private distillation is compared with, at the same budget."""

from ddapps.privacy.baselines.dp_sgd import PrivateTraining, dp_sgd
from ddapps.privacy.baselines.mean_features import mean_features
from ddapps.privacy.baselines.noise import noise

__all__ = ["PrivateTraining", "dp_sgd", "mean_features", "noise"]
