"""What a step costs in operations, and what that means for many classes, by a stated machine.

python -m benchmarks.step_costs

Operations of matrix products and convolutions are counted while steps run. One size is doubled at
a time, from a small base. Then each method takes steps on a few classes of 64 px, ConvNet-4 of
width 128, as ImageNet-1K would be distilled at 10 per class. Operations of methods that go class by
class are multiplied up to 1000 classes. An inner step of mtt takes all synthetic examples, as
published. Steps are those published for 10 per class, on smaller data. Days follow from the machine
that the table states: they are an estimate, not a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import ddcore as dd
from benchmarks.common import markdown, write_results

RATE = 100e12
"""Operations per second of one GPU on such convolutions, in tf32."""
EXCHANGE = 100e9
"""Bytes per second that one GPU sends while gradients are added up."""
BASE = {"classes": 4, "per class": 4, "side": 16, "width": 16, "real": 32}
SIZES = ("classes", "per class", "side", "width", "real")
LARGE = {"classes": 2, "per class": 10, "side": 64, "width": 128, "real": 256}
CLASS_BY_CLASS = ("dm", "dc", "dsa", "cafe")
TOGETHER = ("mtt", "frepo")
IMAGENET = 1000


def images(size: Mapping[str, int]) -> dd.TargetData:
    random = torch.Generator().manual_seed(0)
    each = max(size["real"], size["per class"])
    shape = (size["classes"] * each, 3, size["side"], size["side"])
    inputs = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    targets = torch.arange(size["classes"]).repeat_interleave(each)
    return dd.load_data((inputs, targets, inputs[::each], targets[::each]), num_classes=size["classes"])


def method_of(name: str, size: Mapping[str, int]) -> dd.Method:
    depth = int(math.log2(size["side"])) - 2
    method = dd.methods.build_method(name, ipc=size["per class"], preset="cpu").on_networks(
        f"convnet(width={size['width']},depth={depth})"
    )
    if isinstance(method.networks, dd.sources.ExpertSegments):
        training = dd.override(method.networks.training, "epochs", 2)
        for path, value in {"training": training, "count": 1, "last_start": 1, "length": 1}.items():
            method = dd.override(method, f"networks.{path}", value)
        for path, value in {"networks.early_last_start": None, "matching.synthetic_batch": None}.items():
            method = dd.override(method, path, value)
        return dd.override(method, "matching.inner_steps", 2)
    fresh = dd.sources.FreshNetworks(dd.images.ConvNet(width=size["width"], depth=depth))
    if name != "frepo":
        method = dd.override(method, "networks", fresh)
    real = "real_total" if getattr(method.matching, "real_total", None) is not None else "real_batch"
    return dd.override(method, f"matching.{real}", size["real"] * (size["classes"] if real == "real_total" else 1))


def operations(name: str, size: Mapping[str, int]) -> float:
    """Return the operations of a step: of 30 inner steps, where there are two here."""
    seen: list[int] = []
    with FlopCounterMode(display=False) as counter:
        dd.distill(
            images(size),
            method_of(name, size),
            steps=3,
            device="cpu",
            callbacks=[lambda progress: seen.append(counter.get_total_flops())],
        )
    return (seen[1] - seen[0]) * (15 if name == "mtt" else 1)


def growth(name: str) -> dict[str, Any]:
    """Return the power of each size with which operations grow."""
    base = operations(name, BASE)
    powers = {what: math.log2(operations(name, {**BASE, what: 2 * BASE[what]}) / base) for what in SIZES}
    return {"method": name, **{what: f"{power:.2f}" for what, power in powers.items()}}


def imagenet(name: str) -> dict[str, Any]:
    """Return what the published number of steps would take for 1000 classes."""
    few = operations(name, LARGE)
    published = dd.methods.build_method(name, ipc=LARGE["per class"], preset="paper").steps
    # Pairs of examples grow with the square of the classes only in the regression of frepo.
    step = few * IMAGENET / LARGE["classes"]
    stored = IMAGENET * LARGE["per class"] * 3 * LARGE["side"] ** 2 * 4
    days = {n: published * (step / RATE / n + (2 * stored / EXCHANGE if n > 1 else 0)) / 86400 for n in (1, 8, 64)}
    shared = name in ("dm", "dc", "dsa")
    return {
        "method": name,
        "TFLOP a step": f"{step / 1e12:.0f}",
        "steps": published,
        "images, MB in float32": round(stored / 1e6),
        "1 GPU, days": f"{days[1]:.1f}",
        "8 GPUs, days": f"{days[8]:.2f}" if shared else "not shared",
        "64 GPUs, days": f"{days[64]:.2f}" if shared else "not shared",
    }


def main() -> None:
    names = (*CLASS_BY_CLASS, *TOGETHER)
    powers, costs = [], []
    for name in names:
        powers.append(growth(name))
        costs.append(imagenet(name))
        print(powers[-1], costs[-1], flush=True)
        table = f"{markdown(powers)}\n\n{markdown(costs)}"
        machine = {"operations/s of a GPU": f"{RATE:.0e}", "bytes/s exchanged": f"{EXCHANGE:.0e}"}
        write_results(
            "step_costs",
            {"powers": powers, "imagenet": costs},
            {**machine, "base": BASE, "large": LARGE},
            table,
            show=False,
        )


if __name__ == "__main__":
    main()
