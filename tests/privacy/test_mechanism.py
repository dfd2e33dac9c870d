"""Clipping, noise, draws: by Opacus, as the mathematics says."""

from __future__ import annotations

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

from ddapps.privacy import RepeatableEntropy, SystemEntropy
from ddapps.privacy.mechanism import NoisySum, give, poisson_draw
from ddcore.errors import UnsupportedError

CPU = torch.device("cpu")


def total(vectors: torch.Tensor, noise_multiplier: float, max_norm: float, at_once: int = 1000) -> torch.Tensor:
    parameter = nn.Parameter(torch.zeros(vectors.shape[1:], dtype=vectors.dtype))
    summing = NoisySum([parameter], noise_multiplier, max_norm, SystemEntropy().generator(CPU))
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
    assert float((total(vectors, 0.0, norm) - without).norm()) <= norm * (1 + 1e-9)


def test_vectors_below_the_norm_are_left_alone_in_any_micro_batch() -> None:
    vectors = torch.randn(23, 4, 3, dtype=torch.float64)
    for at_once in (1, 5, 23):
        torch.testing.assert_close(total(vectors, 0.0, 1e9, at_once), vectors.sum(dim=0), rtol=1e-9, atol=1e-9)


def test_one_norm_spans_all_parameters() -> None:
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    summing = NoisySum([first, second], 0.0, 1.0, SystemEntropy().generator(CPU))
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


def test_a_vector_that_is_not_finite_counts_as_zero_and_hides_among_the_others() -> None:
    vectors = torch.tensor([[1.0, 0.0], [math.inf, 0.0], [0.0, 1.0], [math.nan, 2.0], [1e38, 1e38]])
    released = total(vectors, 0.0, 10.0)
    assert released.tolist() == pytest.approx([1.0, 1.0])


def test_one_vector_per_example_and_in_full_precision() -> None:
    parameter = nn.Parameter(torch.zeros(200))
    summing = NoisySum([parameter], 0.0, 1.0, SystemEntropy().generator(CPU))
    give(parameter, torch.ones(4, 200))
    with pytest.raises(UnsupportedError, match="one row of its layers' inputs"):
        summing.add(1)
    half = torch.randn(1, 200).to(torch.bfloat16)
    give(parameter, half)
    summing.add(1)
    assert float(summing.release()[0].norm()) <= 1.0


def test_every_example_is_drawn_with_the_sampling_rate() -> None:
    random = SystemEntropy().generator(CPU)
    drawn = torch.zeros(500)
    for _ in range(400):
        drawn[poisson_draw(500, 0.3, random)] += 1
    assert float(drawn.mean()) / 400 == pytest.approx(0.3, abs=0.01)
    assert float(drawn.min()) / 400 > 0.15
    assert float(drawn.max()) / 400 < 0.45
    assert len(poisson_draw(500, 1.0, random)) == 500


def test_the_generators_whole_state_comes_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.urandom(4 * 624)
    monkeypatch.setattr(os, "urandom", lambda n: secret[:n])
    drawn = torch.empty(1000, dtype=torch.int32).random_(0, 2**20, generator=SystemEntropy().generator(CPU))
    twister = np.random.MT19937()
    state = twister.state
    state["state"] = {"key": np.frombuffer(secret, dtype=np.uint32), "pos": 624}
    twister.state = state
    assert drawn.tolist() == [int(word) % 2**20 for word in twister.random_raw(1000)]


def test_the_generator_ignores_every_public_seed() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(0)
        draws.append(torch.randn(8, generator=SystemEntropy().generator(CPU)))
    assert not torch.equal(*draws)
    first, second = (torch.randn(8, generator=RepeatableEntropy(3).generator(CPU)) for _ in range(2))
    assert torch.equal(first, second)


def test_states_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    from ddcore.ground import write_state

    path = tmp_path / "state"
    write_state(path, {"a": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
