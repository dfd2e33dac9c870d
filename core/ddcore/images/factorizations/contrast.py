"""The adversarial contrast of HaBa: examples of one basis shall differ.

An adversary learns to see that they are of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ddcore.images.networks.convnet import ConvNet
from ddcore.parts import Architecture, Batch, Context, Examples, Network
from ddcore.settings import require, require_counts


@dataclass(frozen=True)
class Contrast:
    r"""Two hallucinators restyle the same bases, and an adversary looks at the results.

    They make :math:`x_a, x_b`. The adversary makes their features :math:`f_a, f_b`.

    Examples descend :math:`w\, \overline{(\cos(f_a, f_b) + 1) / 2}`. The adversary, at the same
    step, descends

    .. math:: \mathrm{CE}(x_a, x_b) + w\, \overline{(1 - \cos(f_a, f_b)) / 2}
       + w\, \mathrm{SupCon}(f_a, f_b).

    Attributes:
        weight: :math:`w`.
        temperature: of SupCon.
        architecture: of the adversary; its parameter group is ``adversary``.
        bases: most bases that a step looks at, drawn at random.

    Source: Liu et al. 2022 (arXiv:2210.16774), equation 6 and its code. The code takes the two
    steps one after the other, on two draws of hallucinators.
    """

    weight: float = 0.1
    temperature: float = 0.07
    architecture: Architecture = field(default_factory=ConvNet)
    bases: int = 256

    def __post_init__(self) -> None:
        require(0 < self.weight < float("inf") and self.temperature > 0, "weight and temperature must be above 0")
        require_counts(bases=self.bases)

    def adversary(self, run: Context) -> Network:
        """Return the adversary with its first weights."""
        seed, spec = run.derive_seed("adversary"), run.spec
        built = self.architecture.pick(seed).build(spec.shape, spec.num_classes, seed=seed, dtype=run.dtype)
        built.require_independent_examples()
        return built.to(run.device)

    def penalty(self, examples: Examples, adversary: Network, each: int, run: Context) -> Tensor:
        """Return the sum of both losses; each reaches its own side's parameters alone.

        Args:
            examples: example ``i`` is that of basis ``i // each``.
            adversary: what `adversary` returned.
            each: hallucinators, two at least.
            run: of the examples.
        """
        random = run.generator("contrast")
        total = sum(examples.counts.values()) // each
        bases = torch.randperm(total, generator=random)[: self.bases]
        first, second = torch.randperm(each, generator=random)[:2].tolist()
        indices = torch.cat([bases * each + first, bases * each + second])
        decoded = examples.decode(indices)
        with adversary.differentiated():
            features = self._features(run, adversary, decoded)[0]
            apart = self.weight * (_cosine(features) + 1).mean() / 2
        fixed = Batch(decoded.inputs.detach(), decoded.targets)
        with adversary.trained():
            features, losses = self._features(run, adversary, fixed)
            alike = self.weight * (1 - _cosine(features)).mean() / 2
            grouped = self.weight * supervised_contrast(features, decoded.targets, self.temperature)
            return apart + losses.mean() + alike + grouped

    def _features(self, run: Context, adversary: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        viewed = run.augmentation.draw(run.generator("contrast-view"), len(batch.targets))(batch)
        with run.autocast():
            features, logits = adversary.features_and_logits(viewed.inputs)
            losses = F.cross_entropy(logits, viewed.targets, reduction="none")
        return features.to(run.dtype), losses.to(run.dtype)


def _cosine(features: Tensor) -> Tensor:
    first, second = features.chunk(2)
    return F.cosine_similarity(first, second)


def supervised_contrast(features: Tensor, targets: Tensor, temperature: float) -> Tensor:
    r"""Return the contrastive loss whose positives are the other examples of the same class.

    .. math:: -\frac1n \sum_i \frac1{|P_i|} \sum_{p \in P_i} \log
       \frac{\exp(\langle z_i, z_p \rangle / \tau)}{\sum_{k \ne i}
       \exp(\langle z_i, z_k \rangle / \tau)}

    Args:
        features: ``n x d``; :math:`z_i` are these, at length 1. Every class needs two at least.
        targets: class ids, ``n``.
        temperature: :math:`\tau`.

    Source: Khosla et al. 2020 (arXiv:2004.11362), equation 2.
    """
    z = F.normalize(features, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    scores = (z @ z.T / temperature).masked_fill(itself, float("-inf"))
    logs = (scores - scores.logsumexp(dim=1, keepdim=True)).masked_fill(itself, 0)
    positives = ((targets == targets.unsqueeze(1)) & ~itself).to(z.dtype)
    return -((logs * positives).sum(dim=1) / positives.sum(dim=1)).mean()
