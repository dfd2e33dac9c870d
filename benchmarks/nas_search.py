"""What a search on a proxy finds and costs, beside random architectures.

Those are trained on the full data.

python -m benchmarks.nas_search --data path/to/fashion-mnist.npz

The random architectures and their accuracies are those of `benchmarks.nas_rank`, found again in
--work (or trained now). They are credited with the test accuracy of that of k which is best on the
validation split. Here k is how many full trainings fit into the time of the search and the training
of what it found. The JSON has the seconds of every candidate of a search. So two searches that took
as long are told from one that was measured twice.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from statistics import fmean, median

from benchmarks.common import data_argument, markdown, write_results
from benchmarks.merging import kept_work, merge_argument
from benchmarks.nas_rank import load_data
from ddapps.kept_results import stem
from ddapps.nas import FULL, PROXY, ProxyEvaluator, SummaryProxy, as_space, parse_proxies, rank, search
from ddapps.nas.bench import Bench
from ddapps.nas.candidates import one_thread
from ddcore.ground import resolve_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "fashion-mnist")
    parser.add_argument("--images", type=int, default=20_000, help="training images, a stratified draw; 0: all")
    parser.add_argument("--space", default="convnet")
    parser.add_argument("--proxies", default="random:10,dm:10(pool=20)", help="a search on each")
    parser.add_argument("--strategy", default="evolution")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--searches", type=int, default=3, help="with seeds of their own")
    parser.add_argument("--top", type=int, default=1, help="how many are trained on the full data")
    parser.add_argument("--sample", type=int, default=30, help="random architectures")
    parser.add_argument("--seeds", type=int, default=3, help="of their trainings")
    parser.add_argument("--epochs", type=int, default=5, help="of full training")
    parser.add_argument("--proxy-epochs", type=int, default=PROXY.training.epochs)
    parser.add_argument("--network", default="convnet(width=16)")
    parser.add_argument("--steps", type=int, default=200, help="of distillation")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("out/nas"))
    merge_argument(parser)
    options = parser.parse_args()
    name = f"{Path(options.data).stem}_{options.space.partition('(')[0]}".replace("-", "_")
    target, space, place = (
        load_data(options.data, options.images),
        as_space(options.space),
        options.work / f"nas_{name}",
    )
    commits = kept_work(place, options.earlier)
    full, protocol = FULL.with_epochs(options.epochs), PROXY.with_epochs(options.proxy_epochs)
    shared = {"sample": options.sample, "seeds": options.seeds, "protocol": protocol, "full": full}
    known = rank(target, space, "random:10", **shared, workers=options.workers, directory=place, progress=print)
    accuracies, validation, each = (
        known.truth.means,
        known.truth.validation_means or [],
        fmean(known.truth.seconds or ()),
    )
    bench = Bench(target, space, options.network, options.steps, place, str(resolve_device("auto")), print)
    table, candidates = [], []
    for proxy in parse_proxies(options.proxies):
        assert isinstance(proxy, SummaryProxy)
        for seed in range(options.searches):
            evaluator = ProxyEvaluator(proxy.data(bench, seed), target, protocol, score=proxy.score, seed=seed)
            kept = place / stem(f"search {proxy.name} {seed}")
            found = search(
                space,
                evaluator,
                strategy=options.strategy,
                trials=options.trials,
                top=options.top,
                full=full,
                seed=seed,
                directory=kept,
                progress=print,
            )
            winner = found.finalists[0]
            with one_thread():
                again = [
                    ProxyEvaluator(target, target, full, split="test", seed=number)(winner.candidate)
                    for number in range(options.seeds)
                ]
            spent = found.search_seconds + found.training_seconds
            k = max(1, min(len(accuracies), int(spent / each)))
            candidates.append({"proxy": proxy.name, "seed": seed, "tried": found.to_json()["tried"]})
            table.append(
                {
                    "proxy": proxy.name,
                    "seed": seed,
                    "found": winner.candidate.label,
                    "test %": round(fmean(again), 2),
                    "median of random %": round(median(accuracies), 2),
                    f"best of k random % (of {len(accuracies)})": f"{best_of(validation, accuracies, k):.2f} (k = {k})",
                    "best of all random %": round(best_of(validation, accuracies, len(accuracies)), 2),
                    "seconds of search": round(found.search_seconds, 1),
                    "and of training": round(found.training_seconds, 1),
                    "search on full data, seconds": round(len(found.tried) * each),
                    "times cheaper": round(len(found.tried) * each / found.search_seconds, 1),
                    "with training": round(len(found.tried) * each / spent, 1),
                }
            )
    budget = {key: value for key, value in vars(options).items() if key not in ("data", "work", "earlier")} | commits
    write_results(f"nas_search_{name}", {"searches": table, "candidates": candidates}, budget, markdown(table))


def best_of(chosen_by: list[float], values: list[float], k: int) -> float:
    """Return the expected value of the best of k, drawn without replacement.

    The best is so by another number, ``chosen_by``.
    """
    ways = math.comb(len(values), k)
    in_order = [value for _, value in sorted(zip(chosen_by, values, strict=True))]
    return sum(math.comb(place, k - 1) * value for place, value in enumerate(in_order)) / ways


if __name__ == "__main__":
    main()
