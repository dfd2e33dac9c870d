"""Distill-CF: synthetic users for recommenders, by an autoencoder of infinite width."""

from __future__ import annotations

from dataclasses import replace

from ddcore.ground.optimiser import Optimiser
from ddcore.interactions import SampledInteractions
from ddcore.kernels import AnalyticKernel
from ddcore.matching import KernelRegression
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoNetworks

RIDGES = (1e-5, 1e-3, 0.1, 1.0, 5.0, 50.0)
ALL_USERS = 1_000_000


def distill_cf(ipc: Ipc = 500, preset: str | None = None) -> Method:
    """Learn users whose sampled items teach an infinite autoencoder to recommend to real ones.

    Settings of the code for ML-1M (arXiv:2206.02626): logits start as rows of random users, rows
    sum 200 draws at temperature 10, all real users at each step, multinomial loss, penalty 1e-3 on
    the sizes of rows, Adam at .04, 500 steps. The ridge is chosen by HR@100 on validation data:
    here every 25 steps, there at 25, 50, ..., 200 and every 40 steps. It stops after 150 steps
    without gain and keeps the best; we keep the last. It draws one of the 200 noises twice. The
    paper's table comes from a search of other temperatures and numbers of draws; which is in
    the table is not said.

    Preset ``cpu``: one noise that counts for 200 draws, Adam at .5, 100 steps, logits that start
    40 times as large, and the 100 largest weights of a row stay. The ridge is chosen by nDCG@10.
    """
    preset = settled_preset(preset)
    method = Method(
        name="distill_cf",
        preset=preset,
        cites=("distill_cf",),
        factorization=SampledInteractions(ipc=ipc),
        matching=KernelRegression(
            AnalyticKernel("ntk", "fc", depth=1),
            ridge=1.0,
            ridges=RIDGES,
            choose_by="hr@100",
            real_batch=ALL_USERS,
            loss="multinomial",
        ),
        networks=NoNetworks(),
        optimiser=Optimiser("adam", learning_rate=0.04),
        steps=500,
    )
    return _on_cpu(method) if preset == "cpu" else method


def _on_cpu(method: Method) -> Method:
    users = SampledInteractions(ipc=method.factorization.ipc, gumbels=1, keep=100, scale=40.0)  # type: ignore[attr-defined]
    matching = replace(method.matching, choose_by="")  # type: ignore[type-var]
    return replace(
        method, factorization=users, matching=matching, optimiser=Optimiser("adam", learning_rate=0.5), steps=100
    )
