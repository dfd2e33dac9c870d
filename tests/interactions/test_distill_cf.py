"""Synthetic users: sampling, its derivative, one step of the authors' code, and a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ddcore as dd
from ddcore.errors import InputDataError, SummaryFormatError, UnknownNameError
from ddcore.interactions import ChosenUsers, InteractionSpec, Ranking, SampledInteractions
from ddcore.interactions.factorizations import SampledExamples, _largest
from ddcore.kernels import AnalyticKernel, ridge_solution
from ddcore.parts import SparseRows, as_dense
from tests.factorization.contract import run_on
from tests.interactions.data import ITEMS, pairs, tastes

LOGITS = [[1.0, 0, 0.5, 0, 0], [0, 1, 0, 0.3, 1], [0.2, 0, 0, 1, 0]]
REAL = [[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1], [1, 1, 0, 1, 0], [0, 0, 1, 1, 0]]
FIRST = [
    [3.958192016585069, -0.38315455315004365, -0.5342385994051325, 1.0632229980090933, 1.2714816446195898],
    [-0.5706986664157035, -0.41097293483716524, 0.6632305404089164, -0.6009429590833096, -0.8509938784362685],
    [1.0794791804684856, -0.9353861490269586, 0.9388436704251324, 0.41264369007892604, -0.4905877726863828],
]
SECOND = [
    [5.162794258017994, 0.20867272796114283, 1.9842018270314392, 1.0496788751323494, -0.634765518668292],
    [-0.10595090157613173, 0.5756609016528365, 2.5446317316998934, 0.8608793980076228, 2.7119685825541713],
    [-0.7194513702818697, 1.8984193076964477, 0.75968323886058, -0.9667882498170952, -1.1656561751381287],
]
LOSS = 3.3033499055570177
GRADIENT = [
    [
        -9.392193615819072e-05,
        8.418426821976581e-07,
        -0.00019188933778918694,
        0.00011065856023373424,
        0.00017431087103144576,
    ],
    [0.0012296669289632543, -0.07855134986605995, 0.08557243881838736, 0.00880869246581598, -0.017059448347106636],
    [0.058759265622586286, 0.0026845488692587745, 0.03451948781773021, -0.0990959050924943, 0.0031326027829190507],
]
"""What the authors' code (model.py, JAX in float64) gives for these logits, users and Gumbel draws.

Three draws at temperature .5, ridge .1, penalty .001. It uses the first draw twice.
"""


def small_spec(items: int = 5, mean: float = 9 / 4) -> InteractionSpec:
    names = tuple(f"item {i}" for i in range(items))
    return InteractionSpec((items,), items, (0,), task=Ranking((2,)), items=names, mean_interactions=mean)


def test_a_step_is_that_of_the_authors_code(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([FIRST, FIRST, SECOND] * 2)
    monkeypatch.setattr(
        "ddcore.interactions.factorizations._gumbel",
        lambda like, generator: torch.tensor(next(draws), dtype=torch.float64),
    )
    settings = SampledInteractions(ipc=3, draws=3, temperature=0.5)
    examples = SampledExamples(settings, torch.tensor(LOGITS, dtype=torch.float64), small_spec())
    kernel, real = AnalyticKernel("ntk", "fc", depth=1), torch.tensor(REAL, dtype=torch.float64)
    rows = examples.decode(generator=torch.Generator()).inputs
    predicted = kernel.product(real, rows) @ ridge_solution(kernel.product(rows, rows), rows, 0.1)
    loss = F.cross_entropy(predicted, real)
    run = run_on(tastes())
    penalty = examples.penalty(run)
    assert penalty is not None
    (loss + penalty).backward()
    assert float((loss + penalty).detach()) == pytest.approx(LOSS, abs=1e-8)
    assert examples.logits.grad is not None
    assert float((examples.logits.grad - torch.tensor(GRADIENT, dtype=torch.float64)).abs().max()) < 1e-8


def test_the_matching_takes_that_loss_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run's terms loss and derivative are those of one dense computation."""
    monkeypatch.setattr("ddcore.parts.kernel.NUMBERS_AT_ONCE", 7 * ITEMS)
    target = tastes()
    run = run_on(target)
    method = dd.methods.distill_cf(ipc=6, preset="cpu")
    matching = dd.override(dd.override(method, "matching.ridges", ()), "matching.ridge", 0.3).matching
    assert matching is not None
    run.examples = SampledInteractions(ipc=6, gumbels=2, keep=None).start(run)
    run.networks = method.networks.start(run)
    (term,) = matching.terms(run, matching.start(run))
    (found,) = torch.autograd.grad(term.loss, run.examples.groups()["logits"])
    rows = run.examples.decode(generator=run.generator("decode")).inputs.double()
    real, kernel = as_dense(target.train.inputs).double(), AnalyticKernel()
    dual = ridge_solution(kernel.product(rows, rows), rows, 0.3)
    loss = F.cross_entropy(kernel.product(real, rows) @ dual, real)
    (wanted,) = torch.autograd.grad(loss, run.examples.groups()["logits"])
    assert float(term.loss.detach()) == pytest.approx(float(loss.detach()), rel=1e-9)
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-9)


def test_draws_that_stand_for_others_have_the_same_mean() -> None:
    logits = torch.randn(4, ITEMS, generator=torch.Generator().manual_seed(0))
    means = []
    for gumbels in (None, 2):
        settings = SampledInteractions(ipc=4, draws=12, gumbels=gumbels, temperature=2.0)
        examples = SampledExamples(settings, logits, small_spec(ITEMS))
        random = torch.Generator().manual_seed(1)
        drawn = torch.stack([examples.decode(generator=random).inputs.detach() for _ in range(300)])
        means.append(drawn.mean(dim=0))
    assert float((means[0] - means[1]).abs().max()) < 0.12
    assert float(means[0].sum(dim=1).max()) <= 12.0001


def test_only_the_largest_weights_stay_and_all_get_a_gradient() -> None:
    rows = torch.tensor([[0.1, 0.4, 0.3, 0.2]], requires_grad=True)
    kept = _largest(rows, 2)
    assert torch.allclose(kept, torch.tensor([[0.0, 0.4, 0.3, 0.0]]))
    (kept * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    assert rows.grad is not None
    assert rows.grad.tolist() == [[1, 2, 3, 4]]


SMALL = dd.override(dd.methods.distill_cf(ipc=4, preset="cpu"), "factorization.keep", 12)


def test_synthetic_users_teach_more_than_those_that_they_start_from() -> None:
    gains = []
    for seed in range(3):
        target = tastes(seed)
        random = dd.distill(target, dd.methods.build_method("random", ipc=4, target=target), seed=seed)
        summary = dd.distill(target, SMALL.with_steps(30), seed=seed)
        before, after = (dd.evaluate(s, target).results[0].mean for s in (random, summary))
        gains.append(after - before)
    assert sum(gains) / len(gains) > 1.5, gains


def test_synthetic_users_are_kept_in_the_bytes_that_were_promised(tmp_path: Path) -> None:
    target, method = tastes(), SMALL
    summary = dd.distill(target, method.with_steps(3), seed=0)
    assert summary.stored_bytes == sum(t.numel() * t.element_size() for t in summary.parts[0].stored.values())
    assert summary.stored_bytes <= method.factorization.max_bytes(target.spec, target.counts())
    assert max(summary.parts[0].stored["sizes"].tolist()) <= 12
    loaded = dd.DataSummary.load(summary.save(tmp_path / "kept"))
    assert torch.equal(as_dense(loaded.tensors()[0]), as_dense(summary.tensors()[0]))
    frame = summary.to_dataframe()  # type: ignore[attr-defined]
    assert list(frame.columns) == ["user", "item", "weight"] and frame["user"].nunique() == 4
    assert "items most sampled" in (tmp_path / "kept" / "README.md").read_text()


def test_logits_are_kept_whole_and_sampled_anew(tmp_path: Path) -> None:
    target = tastes()
    method = dd.override(dd.methods.distill_cf(ipc=4, preset="cpu"), "factorization.stored_as", "logits")
    summary = dd.distill(target, method.with_steps(2), seed=0)
    assert summary.stored_bytes == 4 * 4 * ITEMS == method.factorization.max_bytes(target.spec, target.counts())
    loaded = dd.DataSummary.load(summary.save(tmp_path / "kept"))
    assert torch.equal(loaded.tensors()[0], summary.tensors()[0])
    rows = dd.distill(target, dd.override(method, "factorization.stored_as", "rows").with_steps(2), seed=0)
    assert torch.allclose(summary.tensors()[0], as_dense(rows.tensors()[0]), atol=0.51 / 255)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """The ridge was chosen before the break, and is not chosen again at once."""
    target, method = tastes(), dd.methods.distill_cf(ipc=4, preset="cpu").with_steps(5)
    whole = dd.distill(target, method, seed=0)
    saved = tmp_path / "checkpoint"

    class Cut(Exception):  # noqa: N818
        pass

    def cut(progress: dd.Progress) -> None:
        if progress.step == 3:
            raise Cut

    with pytest.raises(Cut):
        dd.distill(target, method, seed=0, checkpoint=saved, checkpoint_seconds=0, callbacks=[cut])
    again = dd.distill(target, method, seed=0, checkpoint=saved)
    assert again.sha256() == whole.sha256()


def test_without_validation_data_the_ridge_cannot_be_chosen() -> None:
    frame = pairs().assign(split="train")
    target = dd.load_data(frame, at=(5,))
    with pytest.raises(InputDataError, match="no validation split"):
        dd.distill(target, dd.methods.distill_cf(ipc=2, preset="cpu"), steps=1)


def test_real_users_are_stored_as_the_numbers_of_their_items() -> None:
    target = tastes()
    summary = dd.distill(target, dd.methods.build_method("head_users", ipc=3, target=target), seed=0)
    assert isinstance(summary.parts[0].factorization, ChosenUsers)
    sizes = target.train.inputs.sizes()  # type: ignore[attr-defined]
    assert summary.stored_bytes == int(sizes.max()) * 3 * 2 + 3 * 4
    with pytest.raises(UnknownNameError):
        summary.quantize("fp16")


def test_other_families_match_users_too() -> None:
    """Users' rows as free parameters, under gradients, distributions and unrolled training."""
    target = tastes()
    for family in ("gradient", "distribution", "meta-model"):
        method = dd.methods.compose(family, "user-rows", ipc=2, preset="cpu").suited_to(target.spec)
        method = dd.override(method, "networks.architecture", dd.networks.MLP(width=8, depth=1))
        summary = dd.distill(target, method.with_steps(2), seed=0)
        assert summary.sha256() != dd.distill(target, method.with_steps(0), seed=0).sha256(), family
        report = dd.evaluate(summary, target, networks="mlp(width=8,depth=1)", runs=1)
        assert 0 <= report.results[0].mean <= 100, family


def test_weights_of_one_byte_keep_the_heaviest_and_drop_what_rounds_to_nothing() -> None:
    from ddcore.interactions.weights import packed_rows, unpacked_rows

    spec = small_spec()
    rows: Tensor = torch.tensor([[0.5, 0.001, 0, 0, 1.0], [0.001, 0.0012, 0, 0, 0]])
    stored = packed_rows(SparseRows.of_dense(rows), spec)
    assert stored["sizes"].tolist() == [2, 1] and stored["items"].tolist() == [0, 4, 1]
    assert stored["weights"].tolist() == [128, 255, 1]
    assert torch.allclose(as_dense(unpacked_rows(stored, spec))[0], torch.tensor([128 / 255, 0, 0, 0, 1.0]))
    with pytest.raises(SummaryFormatError, match="twice"):
        unpacked_rows({**stored, "items": torch.tensor([0, 0, 1], dtype=torch.int16)}, spec)


def test_the_papers_settings_are_those_of_its_code() -> None:
    """hyper_params.py, model.py, eval.py and distill.py of the authors."""
    method = dd.methods.distill_cf(preset="paper")
    kind, matching = method.factorization, method.matching
    assert isinstance(kind, SampledInteractions)
    assert isinstance(matching, dd.matching.KernelRegression)
    assert (kind.ipc, kind.draws, kind.gumbels, kind.temperature, kind.cardinality) == (500, 200, None, 10.0, 0.001)
    assert (kind.keep, kind.scale, kind.init) == (None, 1.0, "random")
    assert matching.kernel == AnalyticKernel("ntk", "fc", depth=1, weight_std=2**0.5, bias_std=0.1)
    assert (matching.ridges, matching.choose_by) == ((1e-5, 1e-3, 0.1, 1.0, 5.0, 50.0), "hr@100")
    assert (matching.loss, matching.choose_every, matching.real_batch) == ("multinomial", 25, 1_000_000)
    assert (method.steps, method.optimiser.kind, method.optimiser.learning_rate) == (500, "adam", 0.04)
