"""Canaries: odd examples that coin flips put into the private data, to score an attack."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ddcore.errors import InputDataError, OutputExistsError
from ddcore.ground import generator, write_atomically
from ddcore.parts import Split, TargetData
from ddcore.settings import require, require_counts

MAX_FILE, MAX_CANARIES = 2**20, 100_000


@dataclass(frozen=True)
class Canaries:
    """Images of noise with random labels, and which of them were inserted.

    Attributes:
        seed: of images and labels.
        inserted: one coin per canary.
    """

    seed: int
    inserted: tuple[bool, ...]

    @classmethod
    def flip(cls, count: int) -> Canaries:
        """Flip ``count`` fair coins of the operating system."""
        require_counts(canaries=count)
        require(count <= MAX_CANARIES, f"{count} canaries are more than the {MAX_CANARIES} that are supported")
        return cls(secrets.randbits(63), tuple(bool(secrets.randbits(1)) for _ in range(count)))

    def examples(self, target: TargetData) -> Split:
        """Return all canaries, inserted or not, as examples of the target's shape and type."""
        spec, count = target.spec, len(self.inserted)
        random = generator(self.seed, "canaries")
        pixels = torch.rand(count, *spec.shape, generator=random)
        if target.train.inputs.dtype == torch.uint8:
            pixels = (pixels * 255).round()
        picked = torch.randint(len(spec.classes), (count,), generator=random)
        return Split(pixels.to(target.train.inputs.dtype), torch.tensor(spec.classes)[picked])

    def planted(self, target: TargetData) -> TargetData:
        """Return the target with the inserted canaries among its training examples.

        How many were inserted is secret: pass the class sizes from before,
        ``counts=target.counts()``, to `privatize`.
        """
        chosen = self.examples(target).take(self.coins.nonzero().flatten())
        train = Split(
            torch.cat([target.train.inputs, chosen.inputs]), torch.cat([target.train.targets, chosen.targets])
        )
        return replace(target, train=train)

    @property
    def coins(self) -> Tensor:
        """The coins as a tensor."""
        return torch.tensor(self.inserted)

    def save(self, path: Path) -> None:
        """Write the coins, for their owner's eyes alone: they are part of the secret."""
        if path.exists():
            raise OutputExistsError(f"{path} holds canaries already: choose another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"seed": self.seed, "inserted": [int(coin) for coin in self.inserted]})
        write_atomically(path, content.encode(), mode=0o600)

    @classmethod
    def load(cls, path: Path) -> Canaries:
        """Read what `save` wrote."""
        try:
            if path.stat().st_size > MAX_FILE:
                raise InputDataError(f"{path.name} is too large for a file of canaries")
            content = json.loads(path.read_bytes())
            seed, coins = content["seed"], content["inserted"]
            good = type(seed) is int and isinstance(coins, list) and coins and all(coin in (0, 1) for coin in coins)
        except (ValueError, LookupError, TypeError) as error:
            raise InputDataError(
                f"{path.name} is not a file of canaries, as 'privacy distill --canaries' writes it"
            ) from error
        if not good:
            raise InputDataError(f"{path.name} is not a file of canaries, as 'privacy distill --canaries' writes it")
        return cls(seed, tuple(bool(coin) for coin in coins))
