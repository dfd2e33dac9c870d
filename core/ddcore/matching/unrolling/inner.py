"""Training of one network on the synthetic examples, step by step, as a function of its weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.func import functional_call

from ddcore.errors import UnknownNameError
from ddcore.ground.devices import send_ahead
from ddcore.matching.unrolling.unroll import GRADIENTS
from ddcore.parts import LOSSES, Network, NoAugmentation, Run
from ddcore.settings import require_counts


def check_inner_settings(
    *, gradient: str, loss: str, inner_steps: int, synthetic_batch: int | None, window: int | None, snapshot_every: int
) -> None:
    """Check the settings that every matching through inner training has.

    `unroll` and `step_batches` say what they mean.
    """
    for value, allowed, what in ((gradient, GRADIENTS, "gradient"), (loss, LOSSES, "loss")):
        if value not in allowed:
            raise UnknownNameError(what, value, allowed)
    require_counts(
        inner_steps=inner_steps,
        synthetic_batch=1 if synthetic_batch is None else synthetic_batch,
        window=1 if window is None else window,
        snapshot_every=snapshot_every,
    )


class InnerTraining:
    """Losses of the steps of inner training.

    The same step gives the same loss, however often it is asked for.

    Args:
        run: whose examples are trained on.
        network: what is trained.
        batches: indices of the examples of every step.
        augment: whether every example of every step gets a draw of the run's augmentation.
        loss: a name in ``LOSSES``.
    """

    def __init__(
        self, run: Run, network: Network, batches: Sequence[Tensor], *, augment: bool, loss: str = "cross_entropy"
    ) -> None:
        self._run, self._module, self._batches = run, network.module, batches
        self._names = [name for name, _ in network.module.named_parameters()]
        augmentation = run.augmentation if augment else NoAugmentation()
        self._views = [
            augmentation.draw(run.generator("inner-view", t), len(indices)) for t, indices in enumerate(batches)
        ]
        send_ahead([*batches, *(tensor for view in self._views for tensor in view.tensors())], run.device)
        self._loss = LOSSES[run.spec.task.loss(loss)]

    def __len__(self) -> int:
        return len(self._batches)

    def __call__(self, t: int, weights: Sequence[Tensor]) -> Tensor:
        """Return the mean loss of step ``t`` at weights in ``named_parameters()`` order."""
        run, indices = self._run, self._batches[t]
        batch = run.examples.decode(indices, run.generator("inner-decode", t))
        batch = self._views[t](batch)
        with run.autocast():
            logits = functional_call(self._module, dict(zip(self._names, weights, strict=True)), (batch.inputs,))
            losses = self._loss(logits, batch.targets).to(run.dtype)
        return losses.mean()

    def leaves(self) -> list[Tensor]:
        """Return the stored parameters that the losses depend on."""
        return [p for group in self._run.examples.groups().values() for p in group]
