"""Attacks on private answers: how often each is right, the bound that this proves, the certificate.

Every attacker knows all records but one, every public constant, and guesses whether the record is
there. `low bits` looks at the grid of what remains when a candidate sum is taken away. It is run on
noise that is drawn as floats, too. `likelihood` is the best guess that the noise allows, so it says
how much an answer really tells. It is run with the noise halved on purpose, too: there the bound
must lie above the certificate. `one run` flips a coin for each of many records, each along its own
direction, and guesses the clearest ones after one answer. Its bound is weaker: it lies above the
certificate where the noise is halved and epsilon is not small.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor, nn

from benchmarks.common import markdown, write_results
from ddapps.privacy import SystemEntropy, epsilon_of, noise_multiplier_for
from ddapps.privacy.audit import epsilon_lower_bound
from ddapps.privacy.audit.low_bits import low_bits_guess
from ddapps.privacy.mechanism import GRID, NoisySum, give
from ddapps.privacy.rounded_normal import rounded_normal

SHARES = {"integers": 1.0, "integers, half the noise": 0.5}
"""Of the noise that the account asks for."""
DELTA, NORM, SIZE = 1e-5, 1.0, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6000, help="per attack; half of them with the record")
    parser.add_argument("--guesses", type=int, default=4_000_000, help="of the likelihood attack")
    parser.add_argument("--coins", type=int, default=10_000, help="of the attack in one run")
    parser.add_argument("--epsilons", default="1,4,10")
    parser.add_argument("--confidence", type=float, default=0.95)
    options = parser.parse_args()
    rows = []
    for epsilon in map(float, options.epsilons.split(",")):
        sigma = noise_multiplier_for(epsilon, DELTA, 1.0, 1, "prv")
        certified = epsilon_of([(sigma, 1.0, 1)], DELTA, "prv")
        found = {
            (mechanism, "low bits", name): low_bits(mechanism, dtype, sigma, options.trials)
            for mechanism in ("integers", "floats")
            for name, dtype in (("fp32", torch.float32), ("fp64", torch.float64))
        }
        found |= {(m, "likelihood", "any"): likelihood(m, sigma, options.guesses) for m in SHARES}
        proven = {
            attack: (counts[0][0] + counts[1][1], sum(map(sum, counts)), bound(counts, options.confidence))
            for attack, counts in found.items()
        }
        proven |= {(m, "one run", "any"): one_run(m, sigma, options.coins, options.confidence) for m in SHARES}
        for (mechanism, attack, precision), (right, guesses, least) in proven.items():
            row = {"mechanism": mechanism, "attack": attack, "precision": precision, "right": f"{right} of {guesses}"}
            rows.append(row | {"epsilon at least": round(least, 3), "certified": round(certified, 3)})
    budget = {
        "delta": DELTA,
        "trials": options.trials,
        "guesses": options.guesses,
        "coins": options.coins,
        "confidence": options.confidence,
        "answers": 1,
        "rate": 1.0,
    }
    write_results("privacy_attacks", rows, budget, markdown(rows))


def low_bits(mechanism: str, dtype: torch.dtype, sigma: float, trials: int) -> list[list[int]]:
    """Return counts[world][guess] of the attack on low bits; who sees nothing throws a coin."""
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(21, SIZE, generator=random, dtype=torch.float64)
    vectors *= 0.5 * NORM / vectors.norm(dim=1, keepdim=True)
    worlds = [vectors[:-1].to(dtype), vectors.to(dtype)]
    sums = [answer(mechanism, world, 0.0) for world in worlds]
    counts = [[0, 0], [0, 0]]
    for trial in range(trials):
        guess = low_bits_guess(answer(mechanism, worlds[trial % 2], sigma), sums)
        counts[trial % 2][int(torch.randint(2, ())) if guess is None else guess] += 1
    return counts


def answer(mechanism: str, vectors: Tensor, sigma: float) -> Tensor:
    """Return a released sum, in float64."""
    if mechanism == "floats":
        return vectors.double().sum(dim=0) + (sigma * NORM * torch.randn(SIZE)).double()
    parameter = nn.Parameter(torch.zeros(SIZE, dtype=vectors.dtype))
    summing = NoisySum([parameter], sigma * SHARES[mechanism], NORM, SystemEntropy())
    give(parameter, vectors)
    summing.add(len(vectors))
    return summing.release()[0].double()


def likelihood(mechanism: str, sigma: float, trials: int) -> list[list[int]]:
    """Return counts[world][guess] of the best guess, along the record: its part has the norm.

    The threshold is the one that proves most on the first half of the trials. The second half is
    counted.
    """
    scale = math.ceil(sigma * SHARES[mechanism] * GRID)
    place = [rounded_normal(scale, trials // 2, SystemEntropy()) / GRID + world for world in (0, 1)]
    tried, kept = ([half[at] for half in (np.array_split(p, 2) for p in place)] for at in (0, 1))
    best = max(np.linspace(-3 * sigma, 1 + 3 * sigma, 121), key=lambda t: bound(counted(tried, t), 0.95))
    return counted(kept, best)


def one_run(mechanism: str, sigma: float, coins: int, confidence: float) -> tuple[int, int, float]:
    """Return right guesses, guesses, and what they prove: the coins of the clearest records.

    How many are clear enough is chosen on another answer.
    """
    scale = math.ceil(sigma * SHARES[mechanism] * GRID)

    def proof(shown: Tensor, inside: Tensor, guesses: int) -> tuple[int, int, float]:
        order = shown.argsort()
        right = int((~inside[order[: guesses // 2]]).sum() + inside[order[-(guesses // 2) :]].sum())
        return right, guesses, epsilon_lower_bound(right, guesses, canaries=coins, delta=DELTA, confidence=confidence)

    def asked() -> tuple[Tensor, Tensor]:
        inside = torch.rand(coins) < 0.5
        return torch.from_numpy(rounded_normal(scale, coins, SystemEntropy())) / GRID + inside, inside

    tried, kept = asked(), asked()
    best = max((2**k for k in range(1, coins.bit_length())), key=lambda guesses: proof(*tried, guesses)[2])
    return proof(*kept, best)


def counted(places: list[Any], threshold: float) -> list[list[int]]:
    above = [int((place > threshold).sum()) for place in places]
    return [[len(place) - over, over] for place, over in zip(places, above, strict=True)]


def bound(counts: list[list[int]], confidence: float) -> float:
    """Return what epsilon is at least: Clopper and Pearson for both errors (Nasr et al. 2021)."""
    each, best = (1 - confidence) / 2, 0.0
    for wrong, right in ((counts[0][1], counts[1][1]), (counts[1][0], counts[0][0])):
        trials, others = (sum(counts[0]), sum(counts[1])) if right == counts[1][1] else (sum(counts[1]), sum(counts[0]))
        false = beta.ppf(1 - each, wrong + 1, trials - wrong) if wrong < trials else 1.0
        true = beta.ppf(each, right, others - right + 1) if right else 0.0
        if true > DELTA:
            best = max(best, math.log((true - DELTA) / false))
    return best


if __name__ == "__main__":
    main()
