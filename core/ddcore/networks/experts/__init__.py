"""Experts: networks trained on the real data, whose weights after every epoch are kept."""

from ddcore.networks.experts.buffer import ExpertBuffer
from ddcore.networks.experts.data import ExpertData
from ddcore.networks.experts.train import train_experts
from ddcore.networks.experts.training import ExpertTraining

__all__ = ["ExpertBuffer", "ExpertData", "ExpertTraining", "train_experts"]
