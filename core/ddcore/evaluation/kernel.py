"""Evaluation by kernel ridge regression: networks of infinite width instead of finite ones."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from ddcore.errors import SettingsError, UnsupportedError
from ddcore.evaluation.given import given_summary
from ddcore.evaluation.protocols import KERNEL
from ddcore.evaluation.report import Report, Result
from ddcore.evaluation.source import TrainingSource, check_compatible, held_out_split
from ddcore.ground.devices import matmul_precision, resolve_device
from ddcore.kernels import as_kernel, centred, kernel_label, ridge_solution
from ddcore.parts import TargetData
from ddcore.settings import describe
from ddcore.summary import DataSummary

WIDTH = ", infinite width"
"""What the name of a result ends with."""


def evaluate_kernel(
    summary: DataSummary | str | Path,
    target: TargetData | str | Path,
    *,
    kernels: object = "ntk",
    ridge: float = 1e-6,
    device: str | torch.device = "auto",
    split: str = "test",
) -> Report:
    r"""Score kernel ridge regression on a summary. No network is trained, and nothing is random.

    .. math:: f(x) = K_{xS} \big(K_{SS} + \lambda \tfrac{\mathrm{tr} K_{SS}}{|S|} I\big)^{-1} y_S

    It is computed in float64. A class id stands for its one-hot vector minus 1 / C, for C classes.
    The report's protocol is ``krr``. Its scores are not those of finite networks, so do not
    compare them.

    Args:
        summary: what is regressed on, or the path where it was saved.
        target: the data on whose held-out split is tested. A name or path is loaded with
            ``like=summary.spec``.
        kernels: an `AnalyticKernel` or its name, such as ``"ntk(layers=conv,depth=2)"``; or
            several.
        ridge: :math:`\lambda`.
        device: as in ``distill``.
        split: ``test``, or ``validation`` for choosing settings.

    Raises:
        NumericalError: the kernel of the summary's examples is singular.
    """
    summary, target = given_summary(summary, target)
    place = resolve_device(device)
    held_out = held_out_split(target, split)
    check_compatible(summary, target, split)
    if not 0 <= ridge < float("inf"):
        raise SettingsError(f"ridge must be finite and not negative, it is {ridge}")
    chosen = [as_kernel(k) for k in (kernels if isinstance(kernels, list | tuple) else [kernels])]
    if not chosen:
        raise SettingsError("kernels is empty: name at least one")
    if summary.labels is not None:
        raise UnsupportedError(
            f"kernel regression is on the targets of the examples, not on {summary.labels.kind!r} labels of a teacher: take "
            "them away (summary.labelled(None))"
        )
    source = TrainingSource.of(summary, place, torch.float64)
    examples = source.batch_of(torch.arange(source.size))
    labels = centred(examples.targets, summary.spec.num_classes)
    results = []
    for kernel in chosen:
        started = time.monotonic()
        with matmul_precision("fp64", place):
            support = kernel.embed(examples.inputs, ())
            dual = ridge_solution(kernel.product(support, support), labels, ridge)
            predicted = []
            size = kernel.fitting(source.size, target.spec.shape)
            for inputs in held_out.inputs.split(size):
                tested = kernel.embed(target.spec.normalisation.apply(inputs.to(place), torch.float64), ())
                predicted.append((kernel.product(tested, support) @ dual).cpu())
        scores = target.spec.task.scores(torch.cat(predicted), held_out.targets)
        label = kernel_label(kernel) + WIDTH
        results.append(Result(label, {n: (v,) for n, v in scores.items()}, time.monotonic() - started, 0))
    details = {"kernels": [describe(k) for k in chosen], "ridge": ridge, "precision": "fp64"}
    return source.report(KERNEL, results, target, split, place, details)
