"""IT-GAN: synthesizing informative training samples with a generator."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, GeneratorLatents, SiameseAugmentation
from ddcore.images.factorizations.generator.sources import TrainedGenerator
from ddcore.matching import DistributionMatching
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method
from ddcore.sources import FreshNetworks


def it_gan(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """Distribution matching over the latents of a frozen generator, which is stored and counted.

    The paper (arXiv:2204.07513) published no training code. Its matching, siamese augmentation and
    inversion are followed. Three things are ours: the generator, which we train on the target data;
    latents that move by Adam at .01; and the number of steps. Preset ``cpu``: 500 steps, a
    generator of 16 channels.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    return Method(
        name="it_gan",
        preset=preset,
        cites=("it_gan", "dm", "dsa"),
        factorization=GeneratorLatents(
            ipc=ipc, generator=TrainedGenerator(latent=16, width=16) if cpu else TrainedGenerator(latent=64, width=64)
        ),
        matching=DistributionMatching(real_batch=256),
        networks=FreshNetworks(ConvNet()),
        optimiser=Optimiser("adam", learning_rate=0.01),
        augmentation=SiameseAugmentation(),
        steps=500 if cpu else 20_000,
        protocol="it-gan",
    )
