"""Images as a picture, as characters, and as pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ddcore.factorization.span import quantise
from ddcore.ground import named_rows
from ddcore.parts import Decoded

FEW = 10
"""So many classes are drawn larger."""


def pixels_of(decoded: Decoded) -> Tensor:
    """Return examples as pixels in [0, 1] (clipped), ``n x channels x height x width``."""
    return decoded.spec.within_range(decoded.spec.normalisation.invert(decoded.inputs))


def draw(decoded: Decoded, *, per_class: int = 10, side: int = 48, gap: int = 2) -> Tensor:
    """Return a picture, ``height x width x 3`` bytes: true colours, a row per class.

    Small examples are enlarged to about ``side`` pixels without smoothing.
    """
    pixels, owners = pixels_of(decoded), decoded.owners
    scale = max(1, side // pixels.shape[-1])
    pixels = interpolate(pixels, scale_factor=scale, mode="nearest") if scale > 1 else pixels
    colours = pixels[:, :3] if pixels.shape[1] >= 3 else pixels.mean(dim=1, keepdim=True)
    pixels = quantise(colours).expand(-1, 3, -1, -1)
    rows, sizes = owners.unique(return_counts=True)
    columns = min(per_class, int(sizes.max()))
    height, width = pixels.shape[-2] + gap, pixels.shape[-1] + gap
    canvas = torch.full((3, len(rows) * height + gap, columns * width + gap), 255, dtype=torch.uint8)
    for r, class_id in enumerate(rows.tolist()):
        for c, image in enumerate(pixels[owners == class_id][:columns]):
            top, left = gap + r * height, gap + c * width
            canvas[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return canvas.permute(1, 2, 0).contiguous()


def picture(decoded: Decoded) -> Tensor:
    """Return what `draw` does, a class name beside each row, small examples enlarged to be seen."""
    owners, gap = decoded.owners.unique().tolist(), 2
    drawn = draw(decoded, side=96 if len(owners) <= FEW else 48, gap=gap)
    return named_rows(drawn, [decoded.spec.name_of(c) for c in owners], (len(drawn) - gap) // len(owners))


def as_text(decoded: Decoded, *, per_class: int = 5, columns: int = 100) -> str:
    """Return the examples drawn with characters, darker ones for darker pixels; for terminals."""
    shades = " .:-=+*#%@"
    pixels, owners = pixels_of(decoded).mean(dim=1, keepdim=True), decoded.owners
    side = min(pixels.shape[-1], 14)
    pixels = interpolate(pixels, size=(side, side), mode="area").squeeze(1)
    per_class = max(1, min(per_class, columns // (2 * side + 2)))
    lines = []
    for class_id in owners.unique().tolist():
        images = pixels[owners == class_id][:per_class]
        lines.append(f"{decoded.spec.name_of(class_id)}:")
        for y in range(side):
            row = ("".join(shades[int(v * 9.999)] * 2 for v in image[y].tolist()) for image in images)
            lines.append("  ".join(row).rstrip())
    return "\n".join(lines)
