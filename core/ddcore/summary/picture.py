"""The examples of a summary as one picture, a row per class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ddcore.factorization.byte_pixels import quantise
from ddcore.summary.summary import DataSummary


def draw(summary: DataSummary, *, per_class: int = 10, side: int = 48, gap: int = 2) -> Tensor:
    """Return a picture, ``height x width x 3`` bytes: true colours, a row per class, at most ``per_class`` examples.

    Small examples are enlarged to about ``side`` pixels without smoothing.
    """
    pixels, owners = summary.to_pixels(), _owners(summary)
    scale = max(1, side // pixels.shape[-1])
    pixels = interpolate(pixels, scale_factor=scale, mode="nearest") if scale > 1 else pixels
    colours = pixels[:, :3] if pixels.shape[1] >= 3 else pixels.mean(dim=1, keepdim=True)
    pixels = quantise(colours).expand(-1, 3, -1, -1)
    rows = list(summary.counts)
    columns = min(per_class, max(summary.counts.values()))
    height, width = pixels.shape[-2] + gap, pixels.shape[-1] + gap
    canvas = torch.full((3, len(rows) * height + gap, columns * width + gap), 255, dtype=torch.uint8)
    for r, class_id in enumerate(rows):
        for c, image in enumerate(pixels[owners == class_id][:columns]):
            top, left = gap + r * height, gap + c * width
            canvas[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return canvas.permute(1, 2, 0).contiguous()


def _owners(summary: DataSummary) -> Tensor:
    """Return the class id that each decoded example belongs to (parts decode sorted by class)."""
    return torch.cat(
        [torch.tensor([c for c, n in examples.counts.items() for _ in range(n)]) for examples in summary.examples()]
    )


def as_text(summary: DataSummary, *, per_class: int = 5, columns: int = 100) -> str:
    """Return the examples drawn with characters, darker ones for darker pixels; for terminals."""
    shades = " .:-=+*#%@"
    pixels, owners = summary.to_pixels().mean(dim=1, keepdim=True), _owners(summary)
    side = min(pixels.shape[-1], 14)
    pixels = interpolate(pixels, size=(side, side), mode="area").squeeze(1)
    per_class = max(1, min(per_class, columns // (2 * side + 2)))
    lines = []
    for class_id in summary.counts:
        images = pixels[owners == class_id][:per_class]
        lines.append(f"{summary.spec.name_of(class_id)}:")
        for y in range(side):
            row = ("".join(shades[int(v * 9.999)] * 2 for v in image[y].tolist()) for image in images)
            lines.append("  ".join(row).rstrip())
    return "\n".join(lines)
