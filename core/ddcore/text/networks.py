"""Classifiers of embedded sentences. A vector of zeros is padding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddcore.errors import UnsupportedError
from ddcore.parts import Architecture
from ddcore.settings import require, require_counts
from ddcore.text.embedding import is_word


def _dimension(shape: tuple[int, ...], what: str) -> int:
    if len(shape) != 2:
        raise UnsupportedError(f"{what} takes sentences, length x dimension, not examples of shape {shape}")
    return shape[1]


@dataclass(frozen=True)
class TextCNN(Architecture):
    """Convolutions over 3, 4 and 5 words, ReLU, the maximum over positions, one linear layer.

    Attributes:
        width: filters of each length.
        dropout: before the classifier.

    Source: Kim 2014 (arXiv:1408.5882).
    """

    width: int = 100
    dropout: float = 0.0
    name: ClassVar[str] = "textcnn"
    modality: ClassVar[str | None] = "sentences"
    windows: ClassVar[tuple[int, ...]] = (3, 4, 5)

    def __post_init__(self) -> None:
        require_counts(width=self.width)
        require(0 <= self.dropout < 1, f"dropout lies in [0, 1), not {self.dropout}")

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _TextCNN(_dimension(shape, self.name), self.width, self.windows, self.dropout, num_classes)


class _TextCNN(nn.Module):
    def __init__(self, dimension: int, width: int, windows: tuple[int, ...], dropout: float, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv1d(dimension, width, window) for window in windows])
        self.activation = nn.ReLU()
        self.dropped = nn.Dropout(dropout) if dropout else nn.Identity()
        self.classifier = nn.Linear(width * len(windows), outputs)
        self.longest = max(windows)

    def forward(self, inputs: Tensor) -> Tensor:
        words = F.pad(inputs.transpose(1, 2), (0, max(0, self.longest - inputs.shape[1])))
        pooled = [self.activation(convolve(words)).max(dim=2).values for convolve in self.convolutions]
        logits: Tensor = self.classifier(self.dropped(torch.cat(pooled, dim=1)))
        return logits


@dataclass(frozen=True)
class BiLSTM(Architecture):
    """An LSTM in each direction. Their last states are classified. Padding leaves a state as it is.

    Source: Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005.
    """

    width: int = 100
    name: ClassVar[str] = "bilstm"
    modality: ClassVar[str | None] = "sentences"

    def __post_init__(self) -> None:
        require_counts(width=self.width)

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return _BiLSTM(_dimension(shape, self.name), self.width, num_classes)


class _BiLSTM(nn.Module):
    """Its steps are plain operations: fused ones cannot be differentiated twice."""

    def __init__(self, dimension: int, width: int, outputs: int) -> None:
        super().__init__()
        self.width = width
        self.inward = nn.ModuleList([nn.Linear(dimension, 4 * width) for _ in range(2)])
        self.recurrent = nn.ModuleList([nn.Linear(width, 4 * width, bias=False) for _ in range(2)])
        self.classifier = nn.Linear(2 * width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        present = is_word(inputs.detach()).to(inputs.dtype)
        states = [self._last_state(inputs, present, way) for way in range(2)]
        logits: Tensor = self.classifier(torch.cat(states, dim=1))
        return logits

    def _last_state(self, inputs: Tensor, present: Tensor, way: int) -> Tensor:
        gates = self.inward[way](inputs)
        hidden = cell = inputs.new_zeros(len(inputs), self.width)
        length = inputs.shape[1]
        for place in range(length) if way == 0 else range(length - 1, -1, -1):
            into, forget, out, new = (gates[:, place] + self.recurrent[way](hidden)).chunk(4, dim=1)
            kept = present[:, place, None]
            changed = forget.sigmoid() * cell + into.sigmoid() * new.tanh()
            cell = kept * changed + (1 - kept) * cell
            hidden = kept * (out.sigmoid() * changed.tanh()) + (1 - kept) * hidden
        return hidden


@dataclass(frozen=True)
class TinyTransformer(Architecture):
    """A transformer encoder with learned positions. The mean of its outputs is classified.

    Layer norm comes first in each block. Padding is not attended to.

    Attributes:
        width: of the model; the feed-forward layers have twice as many units.
        depth: number of blocks.
        heads: of attention. They divide the width.

    Source: Vaswani et al. 2017 (arXiv:1706.03762).
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    name: ClassVar[str] = "tiny-transformer"
    modality: ClassVar[str | None] = "sentences"

    def __post_init__(self) -> None:
        require_counts(width=self.width, depth=self.depth, heads=self.heads)
        require(self.width % self.heads == 0, f"{self.heads} heads do not divide a width of {self.width}")

    def module(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        dimension = _dimension(shape, self.name)
        return _Transformer(shape[0], dimension, self.width, self.depth, self.heads, num_classes)


class _Transformer(nn.Module):
    def __init__(self, length: int, dimension: int, width: int, depth: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.inward = nn.Linear(dimension, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList([_Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        present = is_word(inputs.detach())
        states = self.inward(inputs) + self.positions
        for block in self.blocks:
            states = block(states, present)
        weights = present.to(states.dtype)[:, :, None]
        mean = (self.norm(states) * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)
        logits: Tensor = self.classifier(mean)
        return logits


class _Block(nn.Module):
    """Attention is written out: fused attention cannot be differentiated twice."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, states: Tensor, present: Tensor) -> Tensor:
        n, length, width = states.shape
        split = self.queries(self.before_attention(states)).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(width // self.heads)
        # A finite number: a sentence of padding alone must not become NaN.
        scores = scores.masked_fill(~present[:, None, None, :], -1e9)
        mixed = (scores.softmax(dim=3) @ value).transpose(1, 2).reshape(n, length, width)
        states = states + self.outward(mixed)
        fed: Tensor = self.feed_forward(self.before_forward(states))
        return states + fed
