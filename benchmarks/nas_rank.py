"""How well proxies rank architectures, against full training.

Proxies are distilled data, selected data and shortened training.

python -m benchmarks.nas_rank --data path/to/fashion-mnist.npz
python -m benchmarks.nas_rank --data digits --images 0 --name smoke --sample 6 --seeds 2 \
    --proxies random:10,early-stop:1
python -m benchmarks.nas_rank --data path/to/cifar10.npz --space 'nasbench201(channels=4,cells=1)' \
    --truth path/to/nb201.npz --sample 60 --seeds 2 \
    --proxies dm:10,random:10,herding:10,early-stop:0.15

What is finished lies in --work. A call that was killed, or has more proxies, goes on from there.
Proxies are scored on a validation split. "Tau to choose by" is with the accuracies of full training
on that split. The other columns are about the test split.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.common import RESULTS, data_argument, load_or_explain, markdown, write_results
from benchmarks.merging import kept_work, merge_argument
from ddapps.nas import FULL, PROXY, Ranking, rank
from ddapps.nas.plot import plot
from ddcore.parts import stratified_split

PROXIES = (
    "dm:10,dsa:10,random:10,herding:10,early-stop:0.15,early-stop:1,dm:10(pool=20),"
    "dm:10(averaged=True),random:10(averaged=True),early-stop:0.15(averaged=True),dm:10(pool=20,averaged=True),"
    "dm:10(pool=20,score=loss,averaged=True),dm:10(pool=20,score=training-loss,averaged=True),"
    "random:10(score=loss,averaged=True),random:10(score=training-loss,averaged=True)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_argument(parser, "fashion-mnist")
    parser.add_argument("--images", type=int, default=20_000, help="training images, a stratified draw; 0: all")
    parser.add_argument("--space", default="convnet")
    parser.add_argument("--sample", type=int, default=30)
    parser.add_argument("--truth", default="train", help="train, or a table of accuracies")
    parser.add_argument("--epochs", type=int, default=5, help="of full training")
    parser.add_argument("--proxy-epochs", type=int, default=PROXY.training.epochs)
    parser.add_argument("--proxies", default=PROXIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--network", default="convnet(width=16)", help="what summaries are distilled on")
    parser.add_argument("--steps", type=int, default=200, help="of distillation")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--name", default="", help="of the results (default: nas, the data and the space)")
    parser.add_argument("--work", type=Path, default=Path("out/nas"))
    merge_argument(parser)
    options = parser.parse_args()
    space = options.space.partition("(")[0]
    title = f"nas_{options.name or f'{Path(options.data).stem}_{space}'}".replace("-", "_")
    commits = kept_work(options.work / title, options.earlier)
    found = rank(
        load_data(options.data, options.images),
        options.space,
        options.proxies,
        sample=options.sample,
        truth=options.truth,
        seeds=options.seeds,
        protocol=PROXY.with_epochs(options.proxy_epochs),
        full=FULL.with_epochs(options.epochs),
        network=options.network,
        steps=options.steps,
        workers=options.workers,
        directory=options.work / title,
        progress=print,
    )
    budget = {
        key: value for key, value in vars(options).items() if key not in ("data", "work", "truth", "earlier")
    } | commits
    write_results(title, found.to_json(), budget, f"{markdown(rows(found))}\n\n```\n{found}\n```")
    plot(found, RESULTS, prefix=f"{title}_")


def load_data(data: str, images: int):  # type: ignore[no-untyped-def]
    """Return the data with examples to score on, and some of the rest to train on.

    Those to score on are 1000, a fifth at most.
    """
    target = load_or_explain(data)
    target = target.with_validation(min(0.2, 1000 / len(target.train)))
    if images and images < len(target.train):
        _, drawn = stratified_split(target.train.targets, images / len(target.train), 0)
        target = target.with_train(drawn, target.name)
    return target


def rows(found: Ranking) -> list[dict[str, object]]:
    """Return the table."""
    table = []
    for row in found.rows:
        c = row.test.correlation
        speedup = found.speedup(row)
        table.append(
            {
                "proxy": row.name,
                "tau to choose by": "" if row.validation is None else f"{row.validation.correlation.tau:.3f}",
                "tau": f"{c.tau:.3f} [{c.tau_ci95[0]:.2f}, {c.tau_ci95[1]:.2f}]",
                "rho": f"{c.rho:.3f} [{c.rho_ci95[0]:.2f}, {c.rho_ci95[1]:.2f}]",
                "regret at 1": f"{c.regret_at.get(1, float('nan')):.2f}",
                "precision at 5": f"{c.precision_at.get(5, float('nan')):.2f}",
                "seconds each": f"{row.seconds:.2f}",
                "speed-up": "" if speedup is None else f"{speedup:.1f}",
            }
        )
    return table


if __name__ == "__main__":
    main()
