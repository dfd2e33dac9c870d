"""Views of many classes that are applied together do what they do class by class."""

from __future__ import annotations

import torch

from ddcore.images import SiameseAugmentation
from ddcore.parts import Batch, Unchanged, View, concatenated, split_batch, viewed_at_once


class Doubled(View):
    """A view that joins no others."""

    def __call__(self, batch: Batch) -> Batch:
        return Batch(2 * batch.inputs, batch.targets + 100)


def test_joined_views_equal_views_one_by_one() -> None:
    random = torch.Generator().manual_seed(0)
    augmentation = SiameseAugmentation()
    views: dict[int, View] = {c: augmentation.draw(random) for c in range(40)}
    views |= {40: Doubled(), 41: Unchanged(), 42: Doubled()}
    counts = {c: 1 + c % 3 for c in views}
    inputs = torch.randn(sum(counts.values()), 3, 12, 10, generator=random, dtype=torch.float64)
    batch = Batch(inputs, torch.arange(len(inputs)))
    parts = split_batch(batch, list(counts.values()))
    wanted = concatenated([views[c](part) for c, part in zip(counts, parts, strict=True)])
    found = viewed_at_once(batch, views, counts)
    assert len({view.kind for view in views.values()}) == 7  # all six families, and those of no kind
    torch.testing.assert_close(found.inputs, wanted.inputs, rtol=1e-12, atol=1e-12)
    assert torch.equal(found.targets, wanted.targets)
