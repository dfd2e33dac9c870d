"""Can a hundred images tell which architecture to use? Measure it, then search with them.

python examples/nas_proxy.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec

from torch import nn

import ddcore as dd
from ddapps.nas import FULL, PROXY, ProxyEvaluator, SearchSpace, rank, search
from ddcore.images import ConvNet

FAST = "--fast" in sys.argv


@dataclass(frozen=True)
class Mine(SearchSpace):
    """A space of one's own: the values of each choice, and how a network is built from them."""

    name = "mine"

    def values(self):
        return {
            "depth": (1, 2),
            "width": (4, 8, 16),
            "norm": ("none", "instance", "batch"),
            "activation": ("relu", "sigmoid"),
            "pooling": ("avg", "max"),
        }

    def build(self, choices, shape, num_classes) -> nn.Module:
        return ConvNet(**choices).module(shape, num_classes)


def main() -> None:
    target = dd.load_data("digits", validation=0.2)
    space = Mine()

    # Is the ranking of a proxy worth anything here? Random images at the same cost are the least
    # that it must beat.
    found = rank(
        target,
        space,
        "dm:10(averaged=True),random:10(averaged=True),early-stop:1(averaged=True)",
        sample=4 if FAST else 20,
        seeds=2,
        network="convnet(width=8)",
        steps=2 if FAST else 200,
        full=FULL.with_epochs(1 if FAST else 20),
        protocol=PROXY.with_epochs(2 if FAST else 30),
        workers=1,
        top=(1,),
    )
    print(found)

    # Search on it; the best few are trained on all the data.
    summary = dd.distill(
        target, dd.methods.dm(ipc=10, preset="cpu"), steps=2 if FAST else 200, networks="convnet(width=8)"
    )
    evaluator = ProxyEvaluator(summary, target, PROXY.with_epochs(2 if FAST else 30))
    print(search(space, evaluator, trials=4 if FAST else 30, top=2, full=FULL.with_epochs(1 if FAST else 20)))

    if find_spec("optuna"):
        by_optuna(space, evaluator, trials=2 if FAST else 20)


def by_optuna(space: SearchSpace, evaluator: ProxyEvaluator, trials: int) -> None:
    """The evaluator is a function of an architecture, so it is an objective of any optimiser."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        choices = {name: trial.suggest_categorical(name, values) for name, values in space.values().items()}
        return evaluator(space.candidate(choices))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials, catch=(dd.errors.CandidateError,))
    print(f"Optuna: {study.best_params} scores {study.best_value:.2f}")


if __name__ == "__main__":
    main()
