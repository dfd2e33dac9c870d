"""KFS: dataset condensation with latent space knowledge factorization and sharing."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, LatentCodes, SiameseAugmentation
from ddcore.matching import DistributionMatching
from ddcore.methods.images import as_many_numbers_as_images
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method
from ddcore.sources import FreshNetworks


def kfs(ipc: Ipc | None = 1, preset: str | None = None) -> Method:
    """Latent codes per class and a few decoders that all classes share, by distribution matching.

    The paper (arXiv:2208.10494) published no code. From it are codes smaller than the data, small
    shared decoders, every code through every decoder, and DM's matching. Ours are the sizes
    (decoders take 40 % of the stored numbers), the fit to real images at the start, Adam along a
    cosine and the number of steps. Preset ``cpu``: 500 steps, bytes.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    factorization = LatentCodes(storage="uint8" if cpu else "float32")
    method = Method(
        name="kfs",
        preset=preset,
        cites=("kfs", "dm", "dsa"),
        factorization=factorization,
        matching=DistributionMatching(real_batch=256),
        networks=FreshNetworks(ConvNet()),
        optimiser=Optimiser(
            "adam", learning_rate=0.01, group_learning_rates=factorization.learning_rates(), schedule="cosine"
        ),
        augmentation=SiameseAugmentation(),
        steps=500 if cpu else 20_000,
    )
    return as_many_numbers_as_images(method, ipc)
