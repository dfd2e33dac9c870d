"""Images as a modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ddcore.factorization import Compressed
from ddcore.images import exports, show
from ddcore.images.augmentation import SiameseAugmentation
from ddcore.images.factorizations import (
    Frequencies,
    GeneratorLatents,
    Hallucinators,
    LatentCodes,
    LinearBases,
    LowResolution,
    MultiFormation,
    Pixels,
    Pyramid,
)
from ddcore.images.loading import load_images
from ddcore.images.networks import VGG11, AlexNet, ConvNet, LeNet, ResNet18
from ddcore.images.normalisation import ZCA_KINDS, restore_normalisation
from ddcore.images.sources import NAMED
from ddcore.images.spec import ImageSpec
from ddcore.parts import Architecture, Augmentation, Card, Decoded, Export, Factorization, Modality, Spec, TargetData

SHARES, LEVELS = (1.0, 0.7, 0.5), (2, 3, 4, 16)
"""Of grey images that are stored smaller: sides, as shares of the data's, and levels."""
SHARES_IN_COLOUR, COLOURS = (1.0, 0.5, 0.35, 0.25), (4, 8, 16)
"""Of others: sides and colours of a palette."""
SMALLEST = 8
"""Rows of the smallest ones."""


class Images(Modality):
    """Images ``n x channels x height x width`` with a class each."""

    name: ClassVar[str] = "images"
    architectures: ClassVar[tuple[type[Architecture], ...]] = (
        ConvNet,
        LeNet,
        AlexNet,
        VGG11,
        ResNet18,
    )
    usual_network: ClassVar[Architecture] = ConvNet()
    usual_augmentation: ClassVar[Augmentation] = SiameseAugmentation()
    factorizations: ClassVar[tuple[type[Factorization], ...]] = (
        MultiFormation,
        LowResolution,
        GeneratorLatents,
        LinearBases,
        Hallucinators,
        LatentCodes,
        Frequencies,
        Pyramid,
    )
    as_stored: ClassVar[type[Factorization]] = Pixels
    first: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[str, ...]:
        return (*NAMED, "path/to/file.npz", "path/to/file.tar", "path/to/image/folder")

    def recognises(self, source: object) -> bool:
        if isinstance(source, str | Path):
            path = Path(source)
            return str(source) in NAMED or path.suffix in (".npz", ".tar") or path.is_dir()
        return True

    def codecs(self, spec: Spec) -> Mapping[str, Factorization]:
        channels, rows, _ = spec.shape
        grey = channels == 1
        shares, counts, word = (SHARES, LEVELS, "levels") if grey else (SHARES_IN_COLOUR, COLOURS, "colours")
        sizes = {max(min(SMALLEST, rows), round(share * rows)) for share in shares}
        return {
            f"{size} px, {count} {word}": Compressed(LowResolution(ipc=1, size=size), levels=count, palette=not grey)
            for size in sorted(sizes, reverse=True)
            for count in counts
        }

    def loader(self) -> Callable[..., TargetData]:
        return load_images

    def read_spec(self, config: Mapping[str, Any], tensors: Callable[[], dict[str, Tensor]]) -> Spec:
        shape, normalisation = tuple(config["shape"]), config["normalisation"]
        whitening = tensors() if normalisation["name"] in ZCA_KINDS else {}
        return ImageSpec(
            shape=shape,
            num_classes=config["num_classes"],
            classes=tuple(config["classes"]),
            class_names=tuple(config["class_names"]),
            mirror=config["mirror"] is True,
            normalisation=restore_normalisation(normalisation, whitening, shape),
        )

    def as_text(self, decoded: Decoded, per_class: int) -> str:
        return show.as_text(decoded, per_class=per_class)

    def cards(self, decoded: Decoded, per_class: int) -> list[Card]:
        return show.cards(decoded, per_class=per_class)

    def picture(self, decoded: Decoded) -> Tensor | None:
        return show.picture(decoded)

    def forms(self) -> Mapping[str, Callable[[Decoded], Any] | Export]:
        return {
            "pixels": show.pixels_of,
            "image-folder": Export(exports.write_folder),
            "npz": Export(exports.write_npz, ".npz"),
            "huggingface": Export(exports.write_huggingface),
        }
