"""The scores of a ranking, against their formulas by hand, torchmetrics and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ddcore.errors import InputDataError, SettingsError
from ddcore.interactions import Ranking
from ddcore.parts import as_sparse

USERS, ITEMS, LENGTHS = 10, 23, (3, 7)


@pytest.fixture
def users() -> tuple[Tensor, Tensor, Tensor]:
    """Scores, known items and held-out ones of ten users. Two scores of each are equal."""
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(USERS, ITEMS, generator=random)
    scores[:, 5] = scores[:, 6]
    kinds = torch.rand(USERS, ITEMS, generator=random)
    seen, wanted = (kinds < 0.2).float(), ((kinds >= 0.2) & (kinds < 0.4)).float()
    wanted[:, 0], seen[:, 0] = 1.0, 0.0
    return scores, seen, wanted


def by_hand(scores: Tensor, seen: Tensor, wanted: Tensor, k: int, weight: list[float]) -> tuple[float, float, float]:
    """Return nDCG, HR and PSP of one user, written out as the paper's code counts them."""
    ranked = sorted((i for i in range(ITEMS) if not seen[i]), key=lambda i: (-float(scores[i]), i))[:k]
    held_out = [i for i in range(ITEMS) if wanted[i]]
    most = min(len(held_out), k)
    gain = sum(1 / math.log2(place + 2) for place, item in enumerate(ranked) if item in held_out)
    ideal = sum(1 / math.log2(place + 2) for place in range(most))
    hits = [item for item in ranked if item in held_out]
    best = sum(sorted((weight[i] for i in held_out), reverse=True)[:most])
    return gain / ideal, len(hits) / most, sum(weight[i] for i in hits) / most / best


def test_scores_are_the_papers_formulas(users: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, seen, wanted = users
    frequencies = torch.arange(ITEMS).float()
    total = float(frequencies.sum())
    constant = (math.log(total) - 1) * 2.5**0.55
    weight = [1 + constant * (f + 1.5) ** -0.55 for f in frequencies.tolist()]
    task = Ranking(LENGTHS, frequencies)
    measured = task.measured(scores, as_sparse(seen).as_inputs(), as_sparse(wanted).as_inputs())
    found = task.scores(measured, wanted)
    assert next(iter(found)) == task.score == "ndcg@3"
    for k in LENGTHS:
        each = [by_hand(*(t[u] for t in users), k, weight) for u in range(USERS)]
        for name, values in zip(("ndcg", "hr", "psp"), zip(*each, strict=True), strict=True):
            assert found[f"{name}@{k}"] == pytest.approx(100 * sum(values) / USERS, abs=1e-9), name


def test_ndcg_is_that_of_torchmetrics_and_auc_that_of_scikit_learn(users: tuple[Tensor, Tensor, Tensor]) -> None:
    from torchmetrics.functional.retrieval import retrieval_normalized_dcg, retrieval_recall

    scores, seen, wanted = users
    scores = scores + 1e-3 * torch.arange(ITEMS)  # ties are judged otherwise there
    task = Ranking(LENGTHS)
    measured = task.measured(scores, seen, wanted)
    for user in range(USERS):
        free = seen[user] == 0
        mine, target = scores[user][free], wanted[user][free].bool()
        for column, k in ((0, 3), (2, 7)):
            ours = float(measured[user, column])
            assert ours == pytest.approx(100 * float(retrieval_normalized_dcg(mine, target, top_k=k)), abs=1e-4)
            recall = float(retrieval_recall(mine, target, top_k=k)) * int(target.sum()) / min(int(target.sum()), k)
            assert float(measured[user, column + 1]) == pytest.approx(100 * recall, abs=1e-4)
        assert float(measured[user, -1]) == pytest.approx(100 * roc_auc_score(target.numpy(), mine.numpy()), abs=1e-9)


def test_equal_scores_keep_the_catalogues_order_and_count_half_in_auc() -> None:
    scores, seen = torch.zeros(1, 6), torch.zeros(1, 6)
    wanted = torch.tensor([[0.0, 1, 0, 0, 0, 0]])
    measured = Ranking((1, 2)).measured(scores, seen, wanted)[0].tolist()
    assert measured == [0.0, 0.0, pytest.approx(100 / math.log2(3)), 100.0, 50.0]


def test_lots_of_users_give_what_all_together_give(users: tuple[Tensor, Tensor, Tensor]) -> None:
    task = Ranking(LENGTHS, torch.ones(ITEMS))
    whole = task.measured(*users)
    lots = torch.cat([task.measured(*(t[i : i + 4] for t in users)) for i in range(0, USERS, 4)])
    assert torch.equal(whole, lots)


def test_what_cannot_be_scored_is_said(users: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, seen, wanted = users
    with pytest.raises(InputDataError, match="lists of 24 of 23 items"):
        Ranking((24,)).measured(scores, seen, wanted)
    wanted[3] = 0
    with pytest.raises(InputDataError, match="no held-out item"):
        Ranking((3,)).measured(scores, seen, wanted)
    with pytest.raises(SettingsError, match="length of at least 1"):
        Ranking(())
