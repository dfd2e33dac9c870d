"""Soft-label and text dataset distillation: unrolled training with learned labels."""

from __future__ import annotations

from dataclasses import replace

from ddcore.ground.optimiser import Optimiser
from ddcore.matching import StepSizes, UnrolledTraining
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation
from ddcore.sources import FreshNetworks
from ddcore.text import EmbeddedSequences, TextCNN

EPOCHS = 5


def sucholutsky(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Learn embedded sentences and soft labels, on which a random network trains in few steps.

    Settings of the code for text (arXiv:1910.02551): noise for vectors, one-hot labels, all
    sentences in one step, five passes, each step with its own size, .01 at first, through a
    softplus. Outer Adam at .01 with betas .5 and .999, halved every tenth of the run. 1024 real
    sentences at a step. 100 passes over the real data are 2500 steps on IMDB (25 000 sentences).
    Cross-entropy of labels that are not made distributions. TextCNN with dropout at .5 while it
    trains; ours has none, and two outputs for two classes instead of one. There weights are drawn
    by Xavier, here as torch draws them.

    Preset ``cpu``: real sentences at first, 20 inner steps of one sentence per class, step sizes
    of .03 at first, outer Adam at .02 (labels .01, step sizes .001) along a cosine, 256 real
    sentences, 300 steps.
    """
    preset = settled_preset(preset)
    method = Method(
        name="sucholutsky",
        preset=preset,
        cites=("sucholutsky", "dd"),
        factorization=EmbeddedSequences(ipc=ipc, init="noise", labels="soft"),
        matching=UnrolledTraining(
            inner_steps=EPOCHS,
            order="fixed",
            step_sizes=StepSizes(initial=0.01, learned="per_step", positive=True),
            real_total=1024,
        ),
        networks=FreshNetworks(TextCNN()),
        optimiser=Optimiser(
            "adam", learning_rate=0.01, betas=(0.5, 0.999), drops=tuple(i / 10 for i in range(1, 10)), drop=0.5
        ),
        augmentation=NoAugmentation(),
        steps=2500,
    )
    return _on_cpu(method) if preset == "cpu" else method


def _on_cpu(method: Method) -> Method:
    rates = {"labels": 0.01, "step_sizes": 0.001}
    return replace(
        method,
        factorization=replace(method.factorization, init="random"),  # type: ignore[type-var]
        matching=UnrolledTraining(
            inner_steps=20,
            synthetic_batch=1,
            order="fixed",
            step_sizes=StepSizes(initial=0.03, learned="per_step", positive=True),
            real_total=256,
        ),
        optimiser=Optimiser(
            "adam", learning_rate=0.02, betas=(0.5, 0.999), group_learning_rates=rates, schedule="cosine"
        ),
        steps=300,
    )
