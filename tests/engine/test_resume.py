"""A run of any method that is killed and goes on ends in the bytes of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

import ddcore as dd
from ddcore.errors import DivergenceError
from ddcore.methods import METHODS
from tests.running import OF_IMAGES, shrunk

WITH_STEPS = [name for name in OF_IMAGES if METHODS[name].build(ipc=1, preset="cpu").matching is not None]


FROZEN = [("dm", "convnet(width=4,norm=batch)"), ("rfad", "convnet(width=4,norm=batch)")]


@pytest.mark.parametrize(("name", "network"), [*((name, "convnet(width=4)") for name in WITH_STEPS), *FROZEN])
def test_a_killed_run_goes_on(few_digits: dd.TargetData, tmp_path: Path, name: str, network: str) -> None:
    goes_on(few_digits, tmp_path, shrunk(name, network, steps=5))


AS_PUBLISHED: dict[str, dict[str, object]] = {
    "frepo": {"optimiser": dd.Optimiser("lamb", learning_rate=0.01, schedule="cosine", final=0.1)},
    "idc": {"factorization.clamp_every": 2, "optimiser.learning_rate": 10.0},
    "cafe": {"networks.plateau.carried": True},
    "haba": {
        "optimiser": dd.Optimiser(
            learning_rate=0.1, group_learning_rates={"step_sizes": 1e-3}, group_momenta={"step_sizes": 0.9}
        ),
        "matching.step_sizes": dd.matching.StepSizes(0.01, "shared", floor=0.01),
    },
}
"""What preset ``paper`` keeps between steps and ``cpu`` does not."""


@pytest.mark.parametrize("name", AS_PUBLISHED)
def test_a_killed_run_goes_on_with_what_is_published(few_digits: dd.TargetData, tmp_path: Path, name: str) -> None:
    method = shrunk(name, steps=5)
    for path, value in AS_PUBLISHED[name].items():
        method = dd.override(method, path, value)
    goes_on(few_digits, tmp_path, method)


def goes_on(few_digits: dd.TargetData, tmp_path: Path, method: dd.Method) -> None:
    """Compare a whole run with one that is killed after its third step and started again."""
    whole = dd.distill(few_digits, method, seed=1)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def kill(progress: dd.Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dd.distill(few_digits, method, seed=1, checkpoint=checkpoint, checkpoint_seconds=0.0, callbacks=[kill])
    seen: list[int] = []
    resumed = dd.distill(
        few_digits, method, seed=1, checkpoint=checkpoint, callbacks=[lambda progress: seen.append(progress.step)]
    )
    assert seen == [3, 4, 5]
    assert resumed.sha256() == whole.sha256() and resumed.recipe == whole.recipe


def test_a_step_size_gone_negative_is_never_saved(few_digits: dd.TargetData, tmp_path: Path) -> None:
    method = dd.Method(
        factorization=dd.images.Pixels(ipc=1, init="noise"),
        matching=dd.matching.UnrolledTraining(
            inner_steps=2, step_sizes=dd.matching.StepSizes(0.01, "shared"), real_batch=5, order="random"
        ),
        networks=dd.sources.FreshNetworks(dd.images.ConvNet(width=4)),
        optimiser=dd.Optimiser("sgd", learning_rate=0.01, group_learning_rates={"step_sizes": 1e3}),
        steps=50,
    )
    checkpoint = tmp_path / "checkpoint.safetensors"
    for _ in range(2):
        with pytest.raises(DivergenceError, match="step size") as caught:
            dd.distill(few_digits, method, checkpoint=checkpoint, checkpoint_seconds=0.0)
        assert caught.value.summary.recipe.learning_rate is not None
    calmer = dd.override(method, "optimiser.group_learning_rates.step_sizes", 1e-6)
    assert len(dd.distill(few_digits, calmer)) == 3
