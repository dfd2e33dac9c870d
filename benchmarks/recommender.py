"""Recommenders from synthetic users, beside all real users, other selections and other models.

python -m benchmarks.recommender

Data are those of ``--data``, or MovieLens' small set below the folder ``DDCORE_DATA``.

Every seed has a split, or without splits of the data's own a condensation, of its own. Ridges are
chosen on validation data. ``equal bytes`` has as many random users as take the bytes of the
distilled ones. Rows of an earlier call at the same settings are kept; ``--earlier drop`` measures
anew where results are recorded already.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import scipy.sparse as sp
import torch
from torch import Tensor

import ddcore as dd
from benchmarks.common import fetched, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.evaluation import mean_std_ci95
from ddcore.interactions import flip_interactions, sample_interactions
from ddcore.parts import Batch, Learner, Predictor, Spec, Validate, as_sparse, scored

MOVIELENS = "ml-latest-small.zip"
SELECTIONS = ("random", "head_users", "svp_cf")
KEPT = ("ndcg@10", "hr@10", "psp@10", "hr@100", "auc")
FULL = ("infinite-autoencoder", "ease", "popularity")
AS_PUBLISHED = "infinite-autoencoder(by=hr@100)"
"""It chooses the ridge as the authors' code does."""
Data = dd.TargetData | dd.DataSummary


@dataclass(frozen=True)
class MatrixFactorisation(Learner):
    """Implicit alternating least squares of the package ``implicit``.

    Of the factors the best on validation data count. A user's factor is solved for the items given.
    """

    factors: tuple[int, ...] = (16, 32, 64)
    regularisations: tuple[float, ...] = (0.1, 1.0, 10.0)
    name: ClassVar[str] = "mf (als)"
    random: ClassVar[bool] = False

    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        from implicit.cpu.als import AlternatingLeastSquares

        best, highest = None, -1.0
        for factors in self.factors:
            for regularisation in self.regularisations:
                model = AlternatingLeastSquares(
                    factors=factors, regularization=regularisation, random_state=seed % 2**31, num_threads=1
                )
                model.fit(_csr(examples.inputs), show_progress=False)
                found = _folded(model)
                score = validate(found)[spec.task.score] if validate is not None else 0.0
                if score > highest:
                    best, highest = found, score
        assert best is not None
        return best


def _folded(model: Any) -> Predictor:
    def predict(inputs: Tensor) -> Tensor:
        rows = _csr(inputs)
        factors = model.recalculate_user(list(range(rows.shape[0])), rows)
        return torch.from_numpy(factors @ model.item_factors.T)

    return predict


def _csr(inputs: Tensor) -> Any:
    rows = as_sparse(inputs)
    return sp.csr_matrix((rows.values.numpy(), rows.columns.numpy(), rows.starts.numpy()), rows.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", help=f"MovieLens' zip, a table of pairs, or an .hdf5 with its split (default: {MOVIELENS})"
    )
    parser.add_argument("--users", default="100,500")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="of distill_cf")
    parser.add_argument("--variant", default="", help="how the result file of other settings is called")
    parser.add_argument("--mvae", default="mvae(width=200,latent=64,epochs=50)")
    parser.add_argument("--rows", default="full,selections,distilled,others,noise")
    parser.add_argument("--noise", default="0.2,0.5", help="shares of interactions that are replaced")
    parser.add_argument("--noise-users", type=int, default=100)
    merge_argument(parser)
    options = parser.parse_args()
    options.data = options.data or fetched(MOVIELENS, "https://grouplens.org/datasets/movielens/latest/")
    budget = {
        "preset": options.preset,
        "settings": " ".join(options.set) or "of the preset",
        "seeds": options.seeds,
        "threads": torch.get_num_threads(),
    }
    name = Path(options.data).stem
    name = Path(options.data).parent.name if name == "total_data" else name
    title = "_".join(filter(None, ("recommender", name.replace("-", "_"), options.variant)))
    rows = MergedRows(title, budget, ("trained on", "model"), options.earlier)
    targets = [dd.load_data(options.data, seed=seed) for seed in range(options.seeds)]
    for found in every_row(targets, options):
        rows.write([found], lambda row: ORDER.index(row["trained on"].split(" ")[0]), markdown)


ORDER = ("all", "distill_cf", "equal", "random", "head_users", "svp_cf", "interactions", "flipped")


def every_row(targets: list[dd.TargetData], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    wanted = options.rows.split(",")
    if "full" in wanted:
        yield from rows_of("all users", targets, list(targets), (*FULL, AS_PUBLISHED))
    for users in map(int, options.users.split(",")):
        if users > len(targets[0].train):
            continue
        if "selections" in wanted:
            for name in SELECTIONS:
                chosen = [selected(t, name, users, seed) for seed, t in enumerate(targets)]
                yield from rows_of(f"{name} {users}", targets, chosen, FULL[:1])
        if "distilled" in wanted:
            made, seconds = distilled(targets, users, options)
            learners = (*FULL[:2], AS_PUBLISHED, options.mvae) if "others" in wanted else FULL[:1]
            yield from rows_of(f"distill_cf {users}", targets, made, learners, seconds)
            like = [equal_bytes(t, s.stored_bytes, seed) for seed, (t, s) in enumerate(zip(targets, made, strict=True))]
            yield from rows_of(f"equal bytes to distill_cf {users}", targets, like, FULL[:2])
            count = [
                min(len(s.decoded().inputs.columns), len(t.train.inputs.columns))
                for t, s in zip(targets, made, strict=True)
            ]  # type: ignore[attr-defined]
            drawn = [sample_interactions(t, n, seed) for seed, (t, n) in enumerate(zip(targets, count, strict=True))]
            yield from rows_of(f"interactions at random, as many as distill_cf {users}", targets, drawn, FULL[:1])
    if "others" in wanted:
        yield from rows_of("all users", targets, list(targets), (options.mvae, MatrixFactorisation()))
    for share in map(float, options.noise.split(",")) if "noise" in wanted else ():
        noisy = [flip_interactions(t, share, seed) for seed, t in enumerate(targets)]
        yield from rows_of(f"flipped {share:.0%}, all users", targets, list(noisy), FULL[:2])
        made, seconds = distilled(noisy, options.noise_users, options)
        yield from rows_of(f"flipped {share:.0%}, distill_cf {options.noise_users}", targets, made, FULL[:2], seconds)


def selected(target: dd.TargetData, name: str, users: int, seed: int) -> dd.DataSummary:
    return dd.distill(target, dd.methods.build_method(name, ipc=users, target=target), seed=seed)


def equal_bytes(target: dd.TargetData, nbytes: int, seed: int) -> dd.DataSummary:
    """Return as many random users as take ``nbytes``, or all."""
    users = min(len(target.train), round(nbytes / (target.spec.example_bytes() + 4)))
    return selected(target, "random", users, seed)


def distilled(
    targets: list[dd.TargetData], users: int, options: argparse.Namespace
) -> tuple[list[dd.DataSummary], float]:
    made, started = [], time.monotonic()
    for seed, target in enumerate(targets):
        method = dd.methods.build_method("distill_cf", ipc=users, preset=options.preset, target=target)
        for pair in options.set:
            key, _, value = pair.partition("=")
            method = dd.override(method, key, float(value) if "." in value else int(value))
        made.append(dd.distill(target, method, seed=seed))
    return made, (time.monotonic() - started) / len(targets)


def rows_of(
    title: str, targets: list[dd.TargetData], sources: Any, learners: tuple[Any, ...], distilling: float = 0.0
) -> Iterator[dict[str, Any]]:
    """Yield a row for each learner: its scores on the real test data, and how long it trains."""
    for given in learners:
        learner = dd.evaluation.as_learner(given)
        assert learner is not None
        found, seconds, nbytes = [], 0.0, 0
        for seed, (target, source) in enumerate(zip(targets, sources, strict=True)):
            scores, spent, size = one(learner, source, target, seed)
            found.append(scores)
            seconds, nbytes = seconds + spent, nbytes + size
        n = len(targets)
        yield {
            "trained on": title,
            "model": learner.label,
            "bytes": round(nbytes / n),
            **{name: shown([scores[name] for scores in found]) for name in KEPT if name in found[0]},
            "train s": round(seconds / n, 1),
            "distill s": round(distilling) or "",
            "seeds": [round(scores[KEPT[0]], 2) for scores in found],
        }


def one(learner: Learner, source: Data, target: dd.TargetData, seed: int) -> tuple[Mapping[str, float], float, int]:
    spec, device = target.spec, torch.device("cpu")
    assert target.validation is not None
    assert target.test is not None
    validate = partial(scored, split=target.validation, spec=spec, device=device)
    training = dd.evaluation.TrainingSource.of(source, device, torch.float32)
    examples = training.batch_of(torch.arange(training.size))
    predict = learner.fit(examples, spec, seed, validate)
    started = time.monotonic()
    refit(learner, examples, spec, seed)
    seconds = time.monotonic() - started
    return scored(predict, target.test, spec, device), seconds, training.stored_bytes


def refit(learner: Learner, examples: Batch, spec: Spec, seed: int) -> None:
    """Train once more at the first of its settings: the time of one training without a search."""
    without_search: Callable[..., Predictor] = learner.fit
    if isinstance(learner, MatrixFactorisation):
        without_search = MatrixFactorisation(learner.factors[-1:], learner.regularisations[:1]).fit
    without_search(examples, spec, seed, None)


def shown(values: list[float]) -> str:
    mean, _, ci95 = mean_std_ci95(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ± {ci95:.2f}"


if __name__ == "__main__":
    main()
