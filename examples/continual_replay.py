"""A plain Avalanche script: digits in five experiences of two classes, with replay.

One line makes the replay distilled.

python examples/continual_replay.py [--fast]
"""

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
WIDTH = 4 if FAST else 32


def main() -> None:
    digits = dd.load_data("digits")
    if FAST:
        digits = digits.with_train(torch.arange(300), "digits")
    benchmark = class_incremental_benchmark(
        {"train": dataset(digits.train), "test": dataset(digits.test)}, num_experiences=5, seed=0
    )

    run("replay of real images", benchmark, replay(ReservoirSamplingBuffer(MEMORY)))
    run("replay of distilled images", benchmark, replay(distilled()))  # the one line

    # The same memory, and nothing but the memory to train on.
    recalling = CompressThenRecall(**shared(), buffer=distilled(), protocol="quick" if FAST else "dc")
    run("compress, then recall", benchmark, recalling)


def distilled() -> DistilledBuffer:
    return DistilledBuffer(
        "dm", memory=MEMORY, network=f"convnet(width={WIDTH})", steps=3 if FAST else 200, mirror=False
    )


def dataset(split):
    images = TensorDataset(split.inputs / 255, split.targets)
    images.targets = split.targets.tolist()
    normalise = Normalize(mean=0.305, std=0.376)
    return as_classification_dataset(images, TransformGroups({"train": normalise, "eval": normalise}))


def shared():
    torch.manual_seed(0)
    model = dd.images.ConvNet(width=WIDTH).module((1, 8, 8), num_classes=10)
    return {"model": model, "evaluator": EvaluationPlugin(accuracy_metrics(stream=True), loggers=[BaseLogger()])}


def replay(buffer):
    settings = shared()
    return Naive(
        **settings,
        optimizer=torch.optim.SGD(settings["model"].parameters(), lr=0.01, momentum=0.9),
        train_mb_size=32,
        train_epochs=1 if FAST else 5,
        eval_mb_size=256,
        plugins=[ReplayPlugin(mem_size=MEMORY, storage_policy=buffer)],
    )


def run(title, benchmark, strategy):
    for experience in benchmark.train_stream:
        strategy.train(experience)
    accuracy = strategy.eval(benchmark.test_stream)["Top1_Acc_Stream/eval_phase/test_stream"]
    print(f"{title:<28} accuracy on all ten classes: {100 * accuracy:.1f} %")


if __name__ == "__main__":
    main()
