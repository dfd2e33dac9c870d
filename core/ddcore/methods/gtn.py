"""GTN: generative teaching networks."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import ConvNet, FreshGenerator, GeneratorLatents
from ddcore.matching import StepSizes, UnrolledTraining
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, NoAugmentation, largest_ipc
from ddcore.sources import FreshNetworks

INNER_STEPS = 32


def gtn(ipc: Ipc = 10, preset: str | None = None) -> Method:
    """A generator that is told the class, learned together with its inputs.

    Both are learned by unrolling the training of networks on its images.

    Settings of the paper (arXiv:1912.07768 and its code): inputs are learned and used in a fixed
    order (the curriculum). 32 steps with learned step sizes and momentum .5 (the code's command
    takes 64 inner steps), Adam at .02 along a cosine to a tenth, 128 real examples, 2000 steps.
    There a step has 128 examples; here the ``ipc`` per class are shared out.

    Ours are the generator, a fixed momentum, and the loss after the last step alone. The generator
    has 128 latents and 64 channels. Theirs has 6.7 million weights and BatchNorm, by which an image
    depends on its batch.

    Preset ``cpu``: 16 latents, 16 channels, 300 steps, Adam at .005 (latents .05), half precision.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    generator = FreshGenerator(16, 16, conditional=True) if cpu else FreshGenerator(128, 64, conditional=True)
    rates = {"latents": 0.05, "step_sizes": 0.01} if cpu else {}
    return Method(
        name="gtn",
        preset=preset,
        cites=("gtn",),
        factorization=GeneratorLatents(
            ipc=ipc, generator=generator, learned=True, init="noise", storage="fp16" if cpu else "float32"
        ),
        matching=UnrolledTraining(
            inner_steps=INNER_STEPS,
            synthetic_batch=max(1, largest_ipc(ipc) // INNER_STEPS),
            order="fixed",
            momentum=0.5,
            step_sizes=StepSizes(0.02, "per_step", positive=True),
            real_batch=32,
            real_total=None if cpu else 128,
        ),
        networks=FreshNetworks(ConvNet()),
        optimiser=Optimiser(
            "adam",
            learning_rate=5e-3 if cpu else 0.02,
            group_learning_rates=rates,
            schedule="cosine",
            final=0.0 if cpu else 0.1,
        ),
        augmentation=NoAugmentation(),
        steps=300 if cpu else 2000,
        protocol="dc",
    )
