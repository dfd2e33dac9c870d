"""Accountants against each other, against Opacus, and against the closed form."""

from __future__ import annotations

import math

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.stats import norm

from ddapps.privacy import ACCOUNTANTS, epsilon_of, noise_multiplier_for
from ddapps.privacy.accounting import TOLERANCE, history_of
from ddcore.errors import BudgetError, SettingsError, UnknownNameError


@pytest.mark.parametrize(("name", "kind"), [("prv", PRVAccountant), ("rdp", RDPAccountant)])
def test_epsilon_is_opacuss_for_the_same_steps(name: str, kind: type) -> None:
    accountant = kind()
    for _ in range(60):
        accountant.step(noise_multiplier=1.3, sample_rate=0.05)
    ours = epsilon_of([(1.3, 0.05, 60)], 1e-5, name)
    assert ours == accountant.get_epsilon(delta=1e-5)
    assert history_of(accountant) == [(1.3, 0.05, 60)]
    assert epsilon_of([(1.3, 0.05, 20), (1.3, 0.05, 40)], 1e-5, name) == pytest.approx(ours, abs=0.02)


@pytest.mark.parametrize(("sigma", "steps"), [(2.0, 1), (5.0, 20), (40.0, 300)])
def test_full_batches_cost_what_the_gaussian_mechanism_costs(sigma: float, steps: int) -> None:
    mu, delta = math.sqrt(steps) / sigma, 1e-4

    def delta_at(epsilon: float) -> float:
        return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))

    prv, rdp = (epsilon_of([(sigma, 1.0, steps)], delta, name) for name in ACCOUNTANTS)
    assert delta_at(prv) <= delta <= delta_at(prv - 0.03)
    assert prv <= rdp + 0.02
    assert rdp <= 1.2 * prv + 0.05


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_the_noise_keeps_all_steps_within_the_budget_and_is_not_wasted(accountant: str) -> None:
    sigma = noise_multiplier_for(3.0, 1e-5, 0.1, 100, accountant)
    assert 2.97 <= epsilon_of([(sigma, 0.1, 100)], 1e-5, accountant) <= 3.0
    before = [(2.0, 1.0, 1)]
    more = noise_multiplier_for(3.0, 1e-5, 0.1, 100, accountant, before)
    assert more > sigma
    assert 2.97 <= epsilon_of([*before, (more, 0.1, 100)], 1e-5, accountant) <= 3.0


@pytest.mark.parametrize("epsilon", [0.3, 2.0, 40.0])
def test_the_noise_is_the_least_up_to_its_tolerance(epsilon: float) -> None:
    sigma = noise_multiplier_for(epsilon, 1e-3, 1.0, 2)
    assert epsilon_of([(sigma, 1.0, 2)], 1e-3) <= epsilon < epsilon_of([(sigma * (1 - TOLERANCE), 1.0, 2)], 1e-3)


@pytest.mark.parametrize("epsilon", [0.08, 0.104, 0.11])
def test_the_tight_accountant_reaches_below_what_renyi_bounds_can_show(epsilon: float) -> None:
    sigma = noise_multiplier_for(epsilon, 1e-5, 0.01, 100)
    assert 0.9 * epsilon <= epsilon_of([(sigma, 0.01, 100)], 1e-5) <= epsilon
    with pytest.raises(BudgetError, match="raise epsilon"):
        noise_multiplier_for(0.05, 1e-5, 0.01, 100, "rdp")


def test_nothing_costs_nothing_and_no_noise_costs_everything() -> None:
    assert epsilon_of([], 1e-5) == 0
    assert epsilon_of([(1.0, 0.5, 0)], 1e-5) == 0
    assert epsilon_of([(0.0, 0.5, 1)], 1e-5) == math.inf


def test_what_has_no_bound_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="gdp"):
        epsilon_of([(1.0, 0.5, 1)], 1e-5, "gdp")
    with pytest.raises(SettingsError, match="memory"):
        epsilon_of([(0.3, 0.01, 100_000)], 1e-5, "prv")
    with pytest.raises(BudgetError, match="nothing is left"):
        noise_multiplier_for(1.0, 1e-5, 1.0, 1, "rdp", [(0.5, 1.0, 1)])
    with pytest.raises(BudgetError, match="raise epsilon"):
        noise_multiplier_for(1e-4, 1e-5, 1.0, 10)
