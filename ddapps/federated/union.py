"""The union of all clients' last summaries: one summary, and the weight of each of its examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low

import torch

import ddcore as dd
from ddapps.federated.caps import tempered
from ddapps.federated.screening import scores
from ddapps.federated.server_data import ServerData
from ddapps.federated.terms import Terms
from ddapps.federated.wire import Contribution
from ddcore.errors import InputDataError
from ddcore.evaluation import TrainingSource
from ddcore.ground import resolve_device
from ddcore.parts import Network
from ddcore.summary import DataSummary
from ddcore.training import Recipe


def merged(given: Sequence[Contribution]) -> DataSummary:
    """Return one summary of all that clients have given, supplements included."""
    if not given:
        raise InputDataError("no client has sent a summary yet")
    summaries = [contribution.summary for contribution in given]
    return dd.concat(summaries, recipe=Recipe.merged(tempered([summary.recipe for summary in summaries])))


def trained_on(
    summary: DataSummary,
    network: Network,
    settings: Terms,
    random: torch.Generator,
    weights: torch.Tensor | None = None,
) -> None:
    """Train a network in place on a summary, as the settings say.

    Args:
        summary: a union, or what was made of it.
        network: is moved to the settings' device.
        settings: of the run.
        random: for the order of examples and their views.
        weights: of each example; None: all count alike.
    """
    device = resolve_device(settings.device)
    source = TrainingSource.of(summary, device, torch.float32)
    training = settings.training.training
    training = replace(training, augmentation=training.augmentation.suited_to(summary.spec))
    given = None if weights is None or bool((weights == 1).all()) else weights.to(device)

    def batch_of(indices: torch.Tensor) -> dd.Batch:
        batch = source.batch_of(indices)
        return batch if given is None else replace(batch, weights=given[indices])

    dd.training.fit(
        network.to(device),
        batch_of,
        source.size,
        training,
        generator=random,
        recipe=summary.recipe,
        members=source.members,
    )


def example_weights(given: Sequence[Contribution], settings: Terms, data: ServerData) -> torch.Tensor:
    """Return the weight of every example of the union, of mean 1."""
    parts = []
    screened = scores(given, settings, data) if settings.screening else [1.0] * len(given)
    sizes = class_sizes(given, settings.weight_cap, data.spec.num_classes) if settings.weighting == "counts" else {}
    held = Counter[tuple[str, int]]()
    for contribution in given:
        held.update({(contribution.client, c): len(places) for c, places in contribution.summary.members().items()})
    for index, (contribution, score) in enumerate(zip(given, screened, strict=True)):
        weights = torch.full((len(contribution.summary),), score)
        for class_id, indices in contribution.summary.members().items():
            if sizes:
                weights[indices] *= sizes[class_id][index] / held[contribution.client, class_id]
        parts.append(weights)
    weights = torch.cat(parts)
    if float(weights.sum()) <= 0:
        raise InputDataError("screening has given every client the weight 0: look at the rejections, or turn it off")
    return weights / weights.mean()


def class_sizes(given: Sequence[Contribution], cap: float, num_classes: int) -> dict[int, list[float]]:
    """Return, per class, the real examples that each client says it has.

    Each is cut at ``cap`` times the median class of all clients. Where a client says nothing, every
    synthetic example counts as one real.
    """
    said = [{class_id: c.counts.get(class_id, count) for class_id, count in c.summary.counts.items()} for c in given]
    limit = cap * median_low([n for sizes in said for n in sizes.values() if n] or [1])
    return {class_id: [min(float(sizes.get(class_id, 0)), limit) for sizes in said] for class_id in range(num_classes)}
