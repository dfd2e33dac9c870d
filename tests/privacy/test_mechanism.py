"""Clipping, noise, draws: as the mathematics says."""

from __future__ import annotations

import importlib
import math
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ddcore as dd
from ddapps.privacy import RepeatableEntropy, SystemEntropy
from ddapps.privacy.mechanism import GRID, NoisySum, give, gradients_at_once, poisson_draw, shortened, whole_parts
from ddcore.errors import UnsupportedError
from ddcore.images import ConvNet
from tests.running import started


def total(vectors: torch.Tensor, noise_multiplier: float, max_norm: float, at_once: int = 1000) -> torch.Tensor:
    parameter = nn.Parameter(torch.zeros(vectors.shape[1:], dtype=vectors.dtype))
    summing = NoisySum([parameter], noise_multiplier, max_norm, SystemEntropy())
    for part in vectors.split(at_once):
        give(parameter, part.clone())
        summing.add(len(part))
    (released,) = summing.release()
    return released


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=6),
    st.floats(0.01, 100),
)
def test_no_example_moves_the_sum_by_more_than_the_norm(rows: list[list[float]], norm: float) -> None:
    vectors = torch.tensor(rows, dtype=torch.float64)
    without = total(vectors[:-1], 0.0, norm) if len(rows) > 1 else torch.zeros(3, dtype=torch.float64)
    assert float((total(vectors, 0.0, norm) - without).norm()) <= norm * (1 + 1e-12)


def test_vectors_below_the_norm_are_left_alone_in_any_micro_batch() -> None:
    vectors = torch.randn(23, 4, 3, dtype=torch.float64)
    for at_once in (1, 5, 23):
        torch.testing.assert_close(total(vectors, 0.0, 32.0, at_once), vectors.sum(dim=0), rtol=0, atol=23 * 32 / GRID)


def test_one_norm_spans_all_parameters() -> None:
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    summing = NoisySum([first, second], 0.0, 1.0, SystemEntropy())
    give(first, torch.full((1, 2), 3.0))
    give(second, torch.full((1, 3), 4.0))
    summing.add(1)
    released = torch.cat(summing.release())
    assert float(released.norm()) == pytest.approx(1.0, abs=1e-5)
    assert float(released[0] / released[2]) == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("drawn", [0, 7])
def test_noise_has_the_standard_deviation_sigma_times_norm_whatever_was_drawn(drawn: int) -> None:
    released = total(torch.zeros(drawn, 40_000), 1.5, 0.2, 3)
    assert float(released.std()) == pytest.approx(0.3, rel=0.03)
    assert abs(float(released.mean())) < 4 * 0.3 / math.sqrt(40_000)


def test_a_vector_that_is_not_finite_counts_as_zero_and_a_huge_one_as_its_direction() -> None:
    vectors = torch.tensor([[1.0, 0.0], [math.inf, 0.0], [0.0, 1.0], [math.nan, 2.0], [1e38, 1e38]])
    released = total(vectors, 0.0, 10.0)
    assert released.tolist() == pytest.approx([1 + 10 / math.sqrt(2), 1 + 10 / math.sqrt(2)], abs=3 * 10 / GRID)


def test_one_vector_per_example_and_in_full_precision() -> None:
    parameter = nn.Parameter(torch.zeros(200))
    summing = NoisySum([parameter], 0.0, 1.0, SystemEntropy())
    give(parameter, torch.ones(4, 200))
    with pytest.raises(UnsupportedError, match="one row of its layers' inputs"):
        summing.add(1)
    half = torch.randn(1, 200).to(torch.bfloat16)
    give(parameter, half)
    summing.add(1)
    assert float(summing.release()[0].norm()) <= 1.0


def test_every_example_is_drawn_with_the_sampling_rate() -> None:
    random = SystemEntropy()
    drawn = torch.zeros(500)
    for _ in range(400):
        drawn[poisson_draw(500, 0.3, random)] += 1
    assert float(drawn.mean()) / 400 == pytest.approx(0.3, abs=0.01)
    assert float(drawn.min()) / 400 > 0.15
    assert float(drawn.max()) / 400 < 0.45
    assert len(poisson_draw(500, 1.0, random)) == 500


def test_every_bit_comes_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever seeds are set: a draw is a function of the system's bytes alone."""
    secret = os.urandom(8 * 500)
    monkeypatch.setattr(os, "urandom", lambda n: secret[:n])
    torch.manual_seed(0)
    assert SystemEntropy().words(500).tolist() == np.frombuffer(secret, dtype=np.uint64).tolist()
    wanted = [i for i, word in enumerate(np.frombuffer(secret, dtype=np.uint64).tolist()) if word < 0.3 * 2**64]
    assert poisson_draw(500, 0.3, SystemEntropy()).tolist() == wanted


def test_two_draws_differ_unless_a_seed_repeats_them() -> None:
    assert SystemEntropy().words(8).tolist() != SystemEntropy().words(8).tolist()
    assert RepeatableEntropy(3).words(8).tolist() == RepeatableEntropy(3).words(8).tolist()
    assert RepeatableEntropy(3).words(8).tolist() != RepeatableEntropy(4).words(8).tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_part_is_longer_than_the_grid_allows(dtype: torch.dtype) -> None:
    """On the integers, exactly; also where the float norm is rounded down."""
    vectors = [10.0**k * torch.randn(200, 50, dtype=dtype).double() for k in (-3, 0, 6)]
    vectors += [torch.full((1, 2), float(GRID), dtype=torch.float64), torch.tensor([[3.0, 4.0]]).double() * GRID / 5]
    for each in vectors:
        (whole,) = whole_parts([each])
        assert bool((whole == whole.round()).all())
        assert all(sum(int(z) ** 2 for z in row) <= GRID**2 for row in whole.tolist())
    (kept,) = whole_parts([vectors[-1]])
    assert kept.tolist() == [[math.trunc(0.6 * GRID), math.trunc(0.8 * GRID)]]


def test_whole_parts_that_are_too_long_are_made_shorter() -> None:
    """As where a float norm was rounded down."""
    first, second = torch.tensor([[GRID], [GRID]]).double(), torch.tensor([[1, 9], [0, 0]]).double()
    found = [part.tolist() for part in shortened([first, second])]
    assert found == [[[GRID - 4], [GRID]], [[0, 8], [0, 0]]]


def test_answers_are_whole_steps_of_the_public_grid() -> None:
    parameter = nn.Parameter(torch.zeros(1000, dtype=torch.float64))
    for vectors in (torch.randn(5, 1000, dtype=torch.float64), torch.zeros(0, 1000, dtype=torch.float64)):
        summing = NoisySum([parameter], 1.5, 0.25, SystemEntropy())
        give(parameter, vectors)
        summing.add(len(vectors))
        steps = summing.release()[0] * (GRID / 0.25)
        assert bool((steps == steps.round()).all())


def test_states_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    from ddcore.ground import write_state

    path = tmp_path / "state"
    write_state(path, {"a": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_per_example_gradients_follow_from_free_memory(
    private_digits: dd.TargetData, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(private_digits, micro_batch=1024)
    network = ConvNet(width=16, depth=1).build((1, 8, 8), 10, seed=0)
    names = [name for name, _ in network.module.named_parameters()]
    numbers = sum(w.numel() for w in network.parameters())
    run.device = torch.device("cuda")
    for fits, found in ((1100.0, 1024), (700.0, 512), (64.0, 64), (0.3, 1)):
        free = int(fits * 40 * numbers * 2)  # half of it is taken
        monkeypatch.setattr(
            importlib.import_module("ddcore.ground.memory"), "free_memory", lambda device, free=free: free
        )
        assert gradients_at_once(network, names, run) == found
