"""Distribution matching in public subspaces: few answers, kept, and free steps on them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from opacus.accountants import IAccountant
from torch import Tensor, nn

import ddcore as dd
from ddapps.privacy.heads import unused_head
from ddapps.privacy.kept import on_kept_answers
from ddapps.privacy.privatize import PrivateMethod
from ddcore.images import ConvNet
from ddcore.parts import Ipc
from ddcore.settings import require, require_counts

PUBLIC_IMAGES = 2000


class PublicSubspace(nn.Module):
    r"""A network's features, seen in the subspace where public images differ most.

    .. math:: \phi(x) = D\, V^\top (f(x) - \mu), \qquad D = \mathrm{diag}\big((s_1 / s_j)^w\big)

    :math:`\mu` is the public images' mean feature; :math:`s_j` and the columns of :math:`V` are the
    first singular values and directions of their centred features. Clipping then spends its norm on
    what differs, and noise fills ``rank`` dimensions instead of all. The linear layer behind is not
    used.

    Args:
        body: maps ``n x ...`` to features.
        public: public images, normalised.
        rank: number of directions.
        whitening: :math:`w`; 0: as they are, 1: all of the same spread.
        num_classes: of the layer that is not used.
    """

    def __init__(self, body: nn.Module, public: Tensor, rank: int, whitening: float, num_classes: int) -> None:
        super().__init__()
        self.body = body
        with torch.no_grad():
            features = torch.cat([body(part).flatten(1) for part in public.split(200)]).double()
        mean = features.mean(dim=0)
        _, spread, directions = torch.linalg.svd(features - mean, full_matrices=False)
        require(rank <= len(spread), f"rank is {rank}, the public features span {len(spread)} directions")
        scaled = directions[:rank].T * (spread[0] / spread[:rank].clamp_min(1e-9 * spread[0])) ** whitening
        self.register_buffer("mean", mean.float())
        self.register_buffer("directions", scaled.float())
        self.head = unused_head(rank, num_classes)

    def inner(self, inputs: Tensor) -> Tensor:
        """Return the features, ``n x rank``."""
        projected: Tensor = (self.body(inputs).flatten(1) - self.get_buffer("mean")) @ self.get_buffer("directions")
        return projected

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``n x ...`` to logits that mean nothing; the head's input is what counts."""
        logits: Tensor = self.head(self.inner(inputs))
        return logits


def smooth_noise(shape: tuple[int, ...], count: int, seed: int = 0) -> Tensor:
    """Return public images that nobody took: noise at half the resolution, enlarged, in [-1, 1]."""
    channels, height, width = shape
    random = torch.Generator().manual_seed(seed)
    small = torch.randn(count, channels, math.ceil(height / 2), math.ceil(width / 2), generator=random)
    images = F.interpolate(small, size=(height, width), mode="bilinear")
    return (0.9 * (images - images.mean()) / images.std()).clamp(-1, 1)


def public_subspace(
    target: dd.TargetData,
    *,
    epsilon: float,
    delta: float,
    ipc: Ipc = 10,
    networks: int = 30,
    rank: int = 64,
    whitening: float = 0.5,
    width: int = 64,
    public: Tensor | None = None,
    steps: int = 600,
    learning_rate: float = 0.03,
    accountant: str | IAccountant = "prv",
    counts: Mapping[int, int] | None = None,
    seed: int = 0,
) -> PrivateMethod:
    r"""Return a private method: images match noisy class means in subspaces of several networks.

    Each network is asked once, on all examples, and its answer is kept: steps are free. The
    defaults were chosen on a validation split of digits, at epsilon 1.

    Args:
        target: its shape and classes are read, no example.
        epsilon: of the budget, spent on one answer per network.
        delta: of the budget.
        ipc: images per class.
        networks: how many random ConvNets.
        rank: dimensions of each subspace.
        whitening: see `PublicSubspace`.
        width: of the ConvNets.
        public: public images, normalised, ``n x channels x height x width``; default:
            `smooth_noise`.
        steps: of Adam along a cosine, from noise.
        learning_rate: of Adam.
        accountant: as in `privatize`.
        counts: as in `privatize`.
        seed: of the networks, which are public.

    Source: the ideas of decoupling and of a public subspace are those of Dosser (arXiv:2508.01749).
    Networks, whitening and schedule are ours.
    """
    require_counts(networks=networks, rank=rank, width=width, steps=steps)
    spec = target.spec
    images = smooth_noise(spec.shape, PUBLIC_IMAGES) if public is None else public
    modules = tuple(_subspace(spec, images, rank, whitening, width, seed * networks + i) for i in range(networks))
    with torch.no_grad():
        norms = torch.cat([module.inner(images[:200]).norm(dim=1) for module in modules])
    return on_kept_answers(
        "public_subspace",
        modules,
        cites=("dm",),
        ipc=ipc,
        steps=steps,
        optimiser=dd.Optimiser("adam", learning_rate=learning_rate, schedule="cosine"),
        max_grad_norm=float(norms.median()),
        epsilon=epsilon,
        delta=delta,
        accountant=accountant,
        counts=counts,
    )


def _subspace(spec: dd.Spec, images: Tensor, rank: int, whitening: float, width: int, seed: int) -> PublicSubspace:
    built = ConvNet(width=width).build(spec.shape, spec.num_classes, seed=seed)
    body, _ = built.module.children()
    module = PublicSubspace(body.eval(), images, rank, whitening, spec.num_classes)
    return module.eval().requires_grad_(False)
