"""NCFM: dataset distillation with neural characteristic function (Wang et al. 2025)."""

from __future__ import annotations

from ddcore.ground.optimiser import Optimiser
from ddcore.images import Chain, ConvNet, CutMix, MultiFormation
from ddcore.matching import CharacteristicFunction, DistributionMatching
from ddcore.methods.idc import all_of
from ddcore.methods.presets import settled_preset
from ddcore.parts import Ipc, Method, largest_ipc
from ddcore.sources import ExpertSegments, ExpertTraining


def ncfm(ipc: Ipc = 10, preset: str | None = None, data: str | None = None) -> Method:
    """Match characteristic functions of features, class by class, and what trained networks say.

    Networks stand between their first weights and those trained on real data. The examples are
    tiles of stored images, as in IDC.

    Settings of the published configurations (arXiv:2502.20653, its code): 20 000 steps, 1024 real
    examples per class, 4096 standard normal frequencies, equal weights of amplitude and phase, 20
    networks of 60 epochs, Adam at .001. CIFAR-100 at ipc 10 has SGD at .01. The configurations
    leave the paper's adversary out: `FrequencySampler` is that one
    (``matching.distance.sampler``).

    Ours: one update for all classes, where the code takes two per class; learning rates that stay
    as they are, where the code halves them at a plateau; no weight decay of images. Preset ``cpu``:
    300 steps at .03, 256 real examples, 512 frequencies, 5 networks of 8 epochs. Images are not cut
    into tiles, by which those of few pixels lose more than they win.
    """
    preset = settled_preset(preset)
    cpu = preset == "cpu"
    training = ExpertTraining(
        epochs=8 if cpu else 60,
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=64 if cpu else 128,
        augmentation=Chain((all_of("color", "crop"), CutMix(0.5))),
    )
    sgd = data == "cifar100" and largest_ipc(ipc) == 10
    return Method(
        name="ncfm",
        preset=preset,
        cites=("ncfm", "idc", "dsa", "cutmix"),
        factorization=MultiFormation(ipc=ipc, factor=1 if cpu else 2, init="random"),
        matching=DistributionMatching(
            real_batch=256 if cpu else 1024,
            distance=CharacteristicFunction(frequencies=512 if cpu else 4096, weight=300.0),
            calibration=1.0,
        ),
        networks=ExpertSegments(
            ConvNet(), length=training.epochs, last_start=1, count=5 if cpu else 20, training=training, mixed=True
        ),
        optimiser=Optimiser("sgd", 0.01, momentum=0.5) if sgd else Optimiser("adam", 0.03 if cpu else 1e-3),
        augmentation=all_of("color", "crop", "cutout"),
        steps=300 if cpu else 20_000,
    )
