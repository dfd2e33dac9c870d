"""A plain Avalanche script: digits in five experiences of two classes, with replay. One line makes the replay distilled.

python examples/continual_replay.py
"""

from __future__ import annotations

import sys

import torch
from avalanche.benchmarks import class_incremental_benchmark
from avalanche.benchmarks.utils import TransformGroups, as_classification_dataset
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import BaseLogger
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.storage_policy import ReservoirSamplingBuffer
from torch.utils.data import TensorDataset
from torchvision.transforms import Normalize

import ddcore as dd
from ddapps.continual import CompressThenRecall, DistilledBuffer

FAST = "--fast" in sys.argv
MEMORY = 20

digits = dd.load_data("digits")


def dataset(split: dd.data.Split):
    images = TensorDataset(dd.data.Identity().apply(split.inputs), split.targets)
    images.targets = split.targets.tolist()
    normalise = Normalize(digits.spec.normalisation.mean, digits.spec.normalisation.std)
    return as_classification_dataset(images, TransformGroups({"train": normalise, "eval": normalise}))


def run(title: str, strategy) -> None:
    for experience in benchmark.train_stream:
        strategy.train(experience)
    found = strategy.eval(benchmark.test_stream)
    print(f"{title:<36} accuracy {100 * found['Top1_Acc_Stream/eval_phase/test_stream']:.1f} %")


def shared() -> dict:
    torch.manual_seed(0)
    model = dd.networks.ConvNet(width=32).module(digits.spec.shape, digits.spec.num_classes)
    return {"model": model, "evaluator": EvaluationPlugin(accuracy_metrics(stream=True), loggers=[BaseLogger()])}


def replay(buffer) -> Naive:
    settings = shared()
    return Naive(
        **settings,
        optimizer=torch.optim.SGD(settings["model"].parameters(), lr=0.01, momentum=0.9),
        train_mb_size=32,
        train_epochs=1 if FAST else 5,
        eval_mb_size=256,
        plugins=[ReplayPlugin(mem_size=MEMORY, storage_policy=buffer)],
    )


benchmark = class_incremental_benchmark(
    {"train": dataset(digits.train), "test": dataset(digits.test)}, num_experiences=5, seed=0
)
distilling = {"network": "convnet(width=32)", "steps": 3 if FAST else 200, "mirror": False}

run("replay of real images", replay(ReservoirSamplingBuffer(MEMORY)))
run("replay of distilled images", replay(DistilledBuffer("dm", memory=MEMORY, **distilling)))

# The same memory, and nothing but the memory, to train on.
recalling = CompressThenRecall(
    **shared(), buffer=DistilledBuffer("dm", memory=MEMORY, **distilling), protocol="quick" if FAST else "dc"
)
run("compress, then recall", recalling)
