"""The GPU computes what the CPU computes; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ddcore as dd
from ddcore.images import FAMILIES, SiameseAugmentation
from tests.running import doubles, shrunk, with_experts

FROZEN = ("dm", "dc", "dsa", "dcc", "idc", "cafe", "it_gan")
"""Methods that take BatchNorm with frozen statistics."""

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def small(name: str) -> dd.Method:
    norm = "batch" if name in FROZEN else "instance"
    return shrunk(name, f"convnet(width=8,norm={norm})", steps=6)


@needs_gpu
@pytest.mark.parametrize("name", [*FROZEN, "dd", "linba_no_factorization", "kip", "rfad", "frepo", "mtt", "datm"])
def test_steps_on_the_gpu_equal_steps_on_the_cpu(few_digits: dd.TargetData, tmp_path: Path, name: str) -> None:
    method = with_experts(small(name), few_digits, tmp_path)
    a, b = (doubles(few_digits, method, device=device) for device in ("cpu", "cuda"))
    torch.testing.assert_close(b, a, rtol=1e-7, atol=1e-8)


@needs_gpu
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [None, 4])
def test_augmentation_on_the_gpu_equals_that_on_the_cpu(family: str, count: int | None) -> None:
    view = SiameseAugmentation(families=(family,)).draw(torch.Generator().manual_seed(0), count)
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    on_cpu = view(dd.Batch(images, torch.zeros(4))).inputs
    on_gpu = view(dd.Batch(images.cuda(), torch.zeros(4).cuda())).inputs
    assert torch.allclose(on_gpu.cpu(), on_cpu, atol=1e-9)


@needs_gpu
# torch says it once, of the alarm itself
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")
@pytest.mark.parametrize("name", ["dm", "dsa", "dcc", "idc"])
def test_no_step_waits_for_the_host(few_digits: dd.TargetData, name: str) -> None:
    def arm(progress: dd.Progress) -> None:
        torch.cuda.set_sync_debug_mode("error" if progress.step in range(3, 30) else "default")

    try:
        dd.distill(few_digits, small(name).with_steps(35), device="cuda", callbacks=[arm])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
def test_precision_switches_are_restored(few_digits: dd.TargetData, small_dm: dd.Method) -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    read: list[bool] = []
    callback = lambda _: read.append(torch.backends.cudnn.allow_tf32)  # noqa: E731
    dd.distill(few_digits, small_dm, device="cuda", precision="tf32", callbacks=[callback])
    assert read == [True] * 6
    assert torch.backends.cuda.matmul.fp32_precision == before
    report = dd.evaluate(few_digits, few_digits, networks="convnet(width=8)", runs=1, protocol="quick", device="cuda")
    assert report.results[0].mean > 50
