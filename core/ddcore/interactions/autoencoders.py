"""Autoencoders of users' rows: of infinite width, and variational."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.ground.randomness import default_generators_seeded, generator
from ddcore.interactions.choice import best_of
from ddcore.kernels import AnalyticKernel, ridge_solution
from ddcore.parts import Batch, Learner, Predictor, Spec, Validate, as_dense
from ddcore.settings import require, require_counts

RIDGES = (1e-5, 1e-3, 0.1, 1.0, 5.0, 50.0)


@dataclass(frozen=True)
class InfiniteAutoencoder(Learner):
    r"""Ridge regression of users' rows on themselves, by the kernel of a wide network.

    .. math:: f(x) = K(x, S) \big(K(S, S) + \lambda \tfrac{\mathrm{tr} K}{|S|} I\big)^{-1} S

    Real users are read as sparse rows. Memory grows with users squared, and not with users times
    items.

    Attributes:
        depth: number of hidden layers.
        weight_std, bias_std: of every layer (`AnalyticKernel`).
        ridges: values of :math:`\lambda`. The best on validation data counts; the first where
            there are none.
        by: the score that chooses. Empty: the main one.

    Source: Sachdeva et al. 2022 (arXiv:2206.02626). Its code chooses by HR@100.
    """

    depth: int = 1
    weight_std: float = math.sqrt(2)
    bias_std: float = 0.1
    ridges: tuple[float, ...] = RIDGES
    by: str = ""
    name: ClassVar[str] = "infinite-autoencoder"
    modality: ClassVar[str | None] = "interactions"
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(bool(self.ridges) and all(r >= 0 for r in self.ridges), "ridges are numbers from 0")

    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        kernel = AnalyticKernel("ntk", "fc", self.depth, self.weight_std, self.bias_std)
        support = kernel.embed(examples.inputs, ())
        gram, rows = kernel.product(support, support), as_dense(examples.targets).double()

        def by(ridge: float) -> Predictor:
            dual = ridge_solution(gram, rows, ridge)
            return lambda inputs: kernel.product(kernel.embed(inputs, ()), support) @ dual

        return best_of(map(by, self.ridges), validate, self.by or spec.task.score)


@dataclass(frozen=True)
class MVAE(Learner):
    r"""Variational autoencoder with multinomial likelihood, one hidden layer on each side.

    .. math:: \mathbb E_{z \sim q(z|x)} \Big[-\sum_i x_i \log \pi_i(z)\Big]
       + \beta\, \mathrm{KL}(q(z|x) \,\|\, \mathcal N(0, I))

    Rows are scaled to length 1 and thinned by dropout. :math:`\beta` grows to its largest value
    over the first fifth of the updates. Where there are validation data, the weights after the
    best of ten looks count.

    Attributes:
        width, latent: of hidden layers, and of z.
        dropout: of the inputs.
        beta: its largest value.
        epochs, batch_size, learning_rate: of Adam.

    Source: Liang et al. 2018 (arXiv:1802.05814). The number of epochs and when beta grows are ours.
    """

    width: int = 600
    latent: int = 200
    dropout: float = 0.5
    beta: float = 0.2
    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    name: ClassVar[str] = "mvae"
    modality: ClassVar[str | None] = "interactions"

    def __post_init__(self) -> None:
        require_counts(width=self.width, latent=self.latent, epochs=self.epochs, batch_size=self.batch_size)
        require(0 <= self.dropout < 1 and self.beta >= 0, "dropout lies in [0, 1), beta is not negative")
        require(self.learning_rate > 0, "learning_rate must be positive")

    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        with default_generators_seeded(seed):
            network = _Variational(spec.num_classes, self.width, self.latent, self.dropout).to(examples.inputs.device)
            return self._trained(network, examples, generator(seed, "order"), validate, spec.task.score)

    def _trained(
        self, network: _Variational, examples: Batch, random: torch.Generator, validate: Validate | None, score: str
    ) -> Predictor:
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        best, weights = -float("inf"), None
        look_every = max(1, self.epochs // 10)
        for epoch in range(self.epochs):
            network.train()
            for chosen in torch.randperm(len(examples.targets), generator=random).split(self.batch_size):
                rows = as_dense(examples.inputs[chosen.to(examples.inputs.device)].float())
                beta = self.beta * min(1.0, 5 * epoch / self.epochs)
                optimiser.zero_grad()
                network.loss(rows, beta).backward()
                optimiser.step()
            if validate is not None and (epoch + 1) % look_every == 0:
                found = validate(network.predict)[score]
                if found > best:
                    best, weights = found, {name: t.clone() for name, t in network.state_dict().items()}
        if weights is not None:
            network.load_state_dict(weights)
        return network.predict


class _Variational(nn.Module):
    def __init__(self, items: int, width: int, latent: int, dropout: float) -> None:
        super().__init__()
        self.thinned = nn.Dropout(dropout)
        self.encoder = nn.Sequential(nn.Linear(items, width), nn.Tanh(), nn.Linear(width, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.Tanh(), nn.Linear(width, items))

    def loss(self, rows: Tensor, beta: float) -> Tensor:
        mean, log_variance = self.encoder(self.thinned(F.normalize(rows))).chunk(2, dim=1)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        likelihood = (rows * self.decoder(drawn).log_softmax(dim=1)).sum(dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)
        mean_loss: Tensor = (beta * divergence - likelihood).mean()
        return mean_loss

    def predict(self, inputs: Tensor) -> Tensor:
        """Return the scores of all items for some users, ``n x items``."""
        self.eval()
        with torch.no_grad():
            mean, _ = self.encoder(F.normalize(as_dense(inputs.float()))).chunk(2, dim=1)
            scores: Tensor = self.decoder(mean)
        return scores
