"""Experts: networks trained on real data. Their weights after every epoch are kept."""

from ddcore.sources.experts.buffer import ExpertBuffer
from ddcore.sources.experts.data import ExpertData
from ddcore.sources.experts.train import train_experts
from ddcore.sources.experts.training import ExpertTraining

__all__ = ["ExpertBuffer", "ExpertData", "ExpertTraining", "train_experts"]
