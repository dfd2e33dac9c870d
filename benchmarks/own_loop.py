"""A folder of images, distilled, and torchvision's ResNet-18 in a plain loop: docs/training.md.

The folder is made of scikit-learn's digits, enlarged to 16 px. Random images of the same bytes
stand beside.

python -m benchmarks.own_loop
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

import ddcore as dd
from benchmarks.common import markdown, write_results
from ddcore.evaluation import Measured

SIDE, EPOCHS = 16, 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    with TemporaryDirectory() as place:
        folder = Path(place) / "my-images"
        write_folder(folder)
        target = dd.load_data(str(folder), size=SIDE)
        methods = {
            "dm": dd.methods.dm(ipc=options.ipc, preset="cpu").with_steps(options.steps),
            "random": dd.methods.random(ipc=options.ipc),
        }
        rows = [measure(name, method, target, folder, options.seeds) for name, method in methods.items()]
    budget = {"side": SIDE, "epochs": EPOCHS, **vars(options), "threads": torch.get_num_threads()}
    shown = [{k: v for k, v in row.items() if k != "accuracies"} for row in rows]
    write_results("own_loop", rows, budget, markdown(shown))


def write_folder(folder: Path) -> None:
    """Write every fifth digit as a test image, the others as training images."""
    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / ("test" if number % 5 == 0 else "train") / f"digit-{digit}"
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * 15.9).astype("uint8")).convert("RGB")
        image.resize((SIDE, SIDE)).save(place / f"{number}.png")


def measure(name: str, method: dd.Method, target: dd.TargetData, folder: Path, seeds: int) -> dict[str, Any]:
    method = dd.override(method, "factorization.storage", "uint8")  # as many bytes as real images
    accuracies, seconds, stored = [], 0.0, 0
    for seed in range(seeds):
        started = time.monotonic()
        summary = dd.distill(target, method, seed=seed, progress=False)
        seconds += time.monotonic() - started
        stored = max(stored, summary.stored_bytes)
        accuracies.append(trained(summary, folder, seed))
    return {
        "method": name,
        "bytes": stored,
        "distill s": f"{seconds / seeds:.0f}",
        "accuracy %": str(Measured(tuple(accuracies))),
        "accuracies": [round(value, 3) for value in accuracies],
    }


def trained(summary: dd.DataSummary, folder: Path, seed: int) -> float:
    torch.manual_seed(seed)
    network = resnet18(num_classes=summary.spec.num_classes)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for inputs, labels in torch.utils.data.DataLoader(summary.as_dataset(), batch_size=50, shuffle=True):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs), labels).backward()
            optimiser.step()
    as_input = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), summary.normalise])
    test = torch.utils.data.DataLoader(ImageFolder(str(folder / "test"), transform=as_input), batch_size=256)
    network.eval()
    with torch.no_grad():
        hits = sum(int((network(images).argmax(dim=1) == labels).sum()) for images, labels in test)
    return 100 * hits / len(test.dataset)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
