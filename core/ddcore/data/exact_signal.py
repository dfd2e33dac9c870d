"""`ExactSignal`: the target data itself answers a run's questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ddcore.errors import InputDataError
from ddcore.ground.devices import to_device, together_to_device
from ddcore.ground.mapped import examples_at, placed
from ddcore.parts import (
    LOSSES,
    Batch,
    Context,
    CoresetRule,
    Counts,
    Features,
    Gradients,
    Network,
    Pool,
    RealSignal,
    Split,
    TargetData,
    View,
    chunks,
    class_shares,
    concatenated,
    group_shares,
    scored,
    viewed_at_once,
)


class ExactSignal(RealSignal):
    """The target data on the run's device. Bytes stay bytes until a batch needs them."""

    def __init__(self, target: TargetData) -> None:
        self.name = target.name
        self.spec = target.spec
        self.counts = target.counts()
        self._target = target
        self._split: Split = target.train
        self._run: Context | None = None
        self._sha256 = ""
        ids = target.spec.task.class_ids(target.train.targets)
        self._members = {c: (ids == c).nonzero().flatten() for c in target.spec.classes}

    def begin(self, run: Context) -> None:
        self._run = run
        train = self._target.train
        self._split = Split(placed(train.inputs, run.device), train.targets.to(run.device))

    def fingerprint(self) -> str:
        self._sha256 = self._sha256 or self._target.fingerprint()
        return self._sha256

    def select(self, rule: CoresetRule, counts: Mapping[int, int], generator: torch.Generator) -> dict[int, Batch]:
        run = self._bound()
        pool = Pool(self._target.train, self.spec, run.device)
        return rule.examples(pool, counts, generator, run.dtype)

    def validate(self, predict: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        held_out, run = self._target.validation, self._bound()
        if held_out is None:
            raise InputDataError(f"{self.name} has no validation split to choose by: load it with one (validation=0.1)")
        return scored(predict, held_out, self.spec, run.device, run.dtype)

    def batch(self, classes: Sequence[int], count: Counts, purpose: str) -> Batch:
        return self._fetch(torch.cat([self._draw(c, count, purpose) for c in classes]))

    def features(
        self, network: Network, groups: Sequence[Sequence[int]], views: Mapping[int, View], count: Counts
    ) -> Iterator[Features]:
        run = self._bound()
        for lot in self._lots(self._drawn(groups, count)):
            sizes = [{c: len(indices) for c, indices in drawn.items()} for drawn in lot]
            totals: list[Tensor] = []
            with torch.no_grad():
                for chunk in chunks({c: indices for drawn in lot for c, indices in drawn.items()}, run.micro_batch):
                    # Views are in full precision, as those of the synthetic examples are.
                    batch = self._view(chunk, views)
                    with run.autocast():
                        part = network.features(batch.inputs)
                    totals.append(group_shares(chunk, sizes, run.dtype, run.device) @ part.to(run.dtype))
            means = torch.stack(totals).sum(dim=0)
            for mean, drawn in zip(means, lot, strict=True):
                yield Features(tuple(drawn), mean, sum(map(len, drawn.values())))

    def gradients(
        self,
        network: Network,
        groups: Sequence[Sequence[int]],
        views: Mapping[int, View],
        count: Counts,
        weights: Sequence[str],
        loss: str = "cross_entropy",
    ) -> Iterator[Gradients]:
        run, loss_of = self._bound(), LOSSES[self.spec.task.loss(loss)]
        for drawn in self._drawn(groups, count):
            sizes = {c: len(indices) for c, indices in drawn.items()}
            totals: list[Tensor] = []
            total_loss = torch.zeros((), dtype=run.dtype, device=run.device)
            with network.differentiated(weights) as differentiated:
                for chunk in chunks(drawn, run.gradient_micro_batch):
                    batch = self._view(chunk, views)
                    with run.autocast():
                        losses = loss_of(network.logits(batch.inputs), batch.targets).to(run.dtype)
                    mean = class_shares(chunk, sizes, run.dtype, run.device) @ losses
                    total_loss += mean.detach()
                    parts = torch.autograd.grad(mean, differentiated, allow_unused=True, materialize_grads=True)
                    totals = list(parts) if not totals else torch._foreach_add(totals, parts)  # type: ignore[assignment]
            yield Gradients(tuple(drawn), tuple(totals), sum(sizes.values()), total_loss)

    def _drawn(self, groups: Sequence[Sequence[int]], count: Counts) -> list[dict[int, Tensor]]:
        """Return the drawn indices per class id, for each group. They go to the device together."""
        drawn = [{c: self._draw(c, count, "real") for c in group} for group in groups]
        empty = [c for group in drawn for c, indices in group.items() if not len(indices)]
        if empty:
            raise InputDataError(f"{self.name}: class {empty[0]} has no example; leave it out of ipc")
        device = self._bound().device
        there = iter(together_to_device([indices for group in drawn for indices in group.values()], device))
        return [{c: next(there) for c in group} for group in drawn]

    def _lots(self, drawn: Sequence[dict[int, Tensor]]) -> Iterator[list[dict[int, Tensor]]]:
        """Take as many groups at once as fit one micro-batch. Groups of a lot share no class."""
        lot: list[dict[int, Tensor]] = []
        classes, size = set[int](), 0
        for group in drawn:
            more = sum(map(len, group.values()))
            if lot and (size + more > self._bound().micro_batch or not classes.isdisjoint(group)):
                yield lot
                lot, classes, size = [], set(), 0
            lot.append(group)
            classes.update(group)
            size += more
        if lot:
            yield lot

    def _view(self, chunk: Mapping[int, Tensor], views: Mapping[int, View]) -> Batch:
        if self._bound().device.type != "cpu" and torch.is_tensor(self._split.inputs):
            batch = self._fetch(torch.cat(list(chunk.values())))
            return viewed_at_once(batch, views, {c: len(indices) for c, indices in chunk.items()})
        return concatenated([views[c](self._fetch(indices)) for c, indices in chunk.items()])

    def _bound(self) -> Context:
        if self._run is None:
            raise InputDataError("this signal is not bound to a run: distill() does that")
        return self._run

    def _draw(self, class_id: int, count: Counts, purpose: str) -> Tensor:
        members, wanted = self._members[class_id], count if isinstance(count, int) else count[class_id]
        return members[torch.randperm(len(members), generator=self._bound().generator(purpose, class_id))[:wanted]]

    def _fetch(self, indices: Tensor) -> Batch:
        run = self._bound()
        where = to_device(indices, run.device)
        inputs = self.spec.normalisation.apply(examples_at(self._split.inputs, where, run.device), run.dtype)
        return Batch(inputs, self._split.targets[where])
