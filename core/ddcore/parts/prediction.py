"""What a predictor says of a split, lot by lot."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcore.ground.devices import matmul_precision
from ddcore.ground.mapped import lots
from ddcore.parts.inputs import are_connected
from ddcore.parts.learner import Predictor
from ddcore.parts.spec import Spec
from ddcore.parts.target import Split

LOT = 128


def measured(
    predict: Predictor,
    split: Split,
    spec: Spec,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    lot: int = LOT,
) -> Tensor:
    """Return what the task needs of the outputs for all examples of a split, on the CPU.

    Products are as in the block of `matmul_precision` around, else as usual on the device.

    Args:
        predict: from normalised inputs to outputs.
        split: of examples as they were given.
        spec: facts of the data.
        device: where inputs are put.
        dtype: of the inputs.
        lot: examples at a time. Connected ones are taken together.
    """
    at_once = max(1, len(split)) if are_connected(split.inputs) else lot
    found = []
    with torch.no_grad(), matmul_precision(None, device):
        for inputs, targets in zip(lots(split.inputs, at_once), split.targets.split(at_once), strict=True):
            outputs = predict(spec.normalisation.apply(inputs.to(device), dtype))
            found.append(spec.task.measured(outputs.float().cpu(), inputs, targets))
    return torch.cat(found)


def scored(
    predict: Predictor, split: Split, spec: Spec, device: torch.device, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """Return the scores of a predictor on a split. Arguments are those of `measured`."""
    return spec.task.scores(measured(predict, split, spec, device, dtype), split.targets)
