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
from ddcore.images import ConvNet, MultiFormation
from ddcore.parts import Ipc
from ddcore.settings import require, require_counts

PUBLIC_IMAGES = 2000


class PublicSubspace(nn.Module):
    r"""A network's features, seen in the subspace where public images differ most.

    .. math:: \phi(x) = \frac{y}{\max(C, \|y\|)}, \qquad y = D\, V^\top (f(x) - \mu), \qquad
        D = \mathrm{diag}\big((s_1 / s_j)^w\big)

    :math:`\mu` is the public images' mean feature; :math:`s_j` and the columns of :math:`V` are the
    first singular values and directions of their centred features; :math:`C` is the median norm of
    the public images' :math:`y`. Clipping then spends its norm on what differs, and noise fills
    ``rank`` dimensions instead of all. Clipping is part of the features: it changes private and
    synthetic images alike. The linear layer behind is not used.

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
        norm = ((features - mean) @ scaled).norm(dim=1).median()
        require(float(norm) > 0, "half of the public images have the same features: give public images that differ")
        self.register_buffer("norm", norm.float())
        self.head = unused_head(rank, num_classes)

    def inner(self, inputs: Tensor) -> Tensor:
        """Return the features, ``n x rank``, of norm 1 at most."""
        projected: Tensor = (self.body(inputs).flatten(1) - self.get_buffer("mean")) @ self.get_buffer("directions")
        bounded: Tensor = projected / projected.norm(dim=1, keepdim=True).clamp_min(self.get_buffer("norm"))
        return bounded

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
    factor: int | None = None,
    networks: int = 30,
    rank: int | None = None,
    whitening: float = 0.5,
    width: int = 32,
    public: Tensor | None = None,
    steps: int = 1200,
    learning_rate: float = 0.05,
    accountant: str | IAccountant = "prv",
    counts: Mapping[int, int] | None = None,
    seed: int = 0,
) -> PrivateMethod:
    r"""Return a private method: images match noisy class means in subspaces of several networks.

    Each network is asked once, on all examples, and its answer is kept: steps are free. Networks
    see an image at the resolution of a tile.

    Args:
        target: its shape, classes and class sizes are read, no example.
        epsilon: of the budget, spent on one answer per network.
        delta: of the budget.
        ipc: stored images per class.
        factor: a stored image is cut into ``factor ** 2`` tiles, each an example; default: 2 where
            a tile keeps 14 pixels a side, else 1.
        networks: how many random ConvNets.
        rank: dimensions of each subspace; default: 256 where every class has 1000 examples, else
            64.
        whitening: see `PublicSubspace`.
        width: of the ConvNets.
        public: public images, normalised, ``n x channels x height x width``; default:
            `smooth_noise`.
        steps: of Adam along a cosine, from noise.
        learning_rate: of Adam, on pixels in [0, 1].
        accountant: as in `privatize`.
        counts: as in `privatize`.
        seed: of the networks, which are public.

    Source: the ideas of decoupling and of a public subspace are those of Dosser (arXiv:2508.01749),
    tiles those of Kim et al. 2022 (arXiv:2205.14959). Networks, whitening and schedule are ours.
    """
    spec = target.spec
    require(spec.modality == "images", f"public_subspace makes images; {target.name} is {spec.modality}")
    sizes = target.counts() if counts is None else counts
    factor = (2 if min(spec.shape[1:]) >= 28 else 1) if factor is None else factor
    rank = (256 if min(sizes.values()) >= 1000 else 64) if rank is None else rank
    require_counts(networks=networks, factor=factor, rank=rank, width=width, steps=steps)
    images = smooth_noise(spec.shape, PUBLIC_IMAGES) if public is None else public
    bodies = (_body(spec, factor, width, seed * networks + i) for i in range(networks))
    modules = (PublicSubspace(body, images, rank, whitening, spec.num_classes).eval() for body in bodies)
    return on_kept_answers(
        "public_subspace",
        tuple(module.requires_grad_(False) for module in modules),
        cites=("dm",),
        factorization=MultiFormation(ipc=ipc, factor=factor, init="noise"),
        steps=steps,
        optimiser=dd.Optimiser("adam", learning_rate=learning_rate, schedule="cosine"),
        max_grad_norm=1.0,
        epsilon=epsilon,
        delta=delta,
        accountant=accountant,
        counts=counts,
    )


def _body(spec: dd.Spec, factor: int, width: int, seed: int) -> nn.Module:
    channels, *sides = spec.shape
    seen = (channels, *(side // factor for side in sides))
    body, _ = ConvNet(width=width).build(seen, spec.num_classes, seed=seed).module.children()
    return nn.Sequential(nn.AvgPool2d(factor), body).eval()
