"""What the tests of workers do, in a process of its own: Ray leaves files open."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from ddcore.errors import BudgetError, DistillationError
from ddcore.ground import workers
from tests.nas.test_rank import ranked
from tests.networks.test_experts import trained
from tests.running import few_of

CPU = torch.device("cpu")


def dies_until(times: int, marks: Path) -> int:
    """End this process at the first calls; return how many calls there were."""
    marks.mkdir(exist_ok=True)
    (marks / str(os.getpid())).touch()
    calls = len(list(marks.iterdir()))
    if calls <= times:
        os._exit(1)
    return calls


def refuse() -> None:
    raise BudgetError("class 3 has too few")


def said(function: Any, *arguments: Any) -> str:
    """Return the error of a call in a process of Ray."""
    try:
        return f"returned {list(dd.Workers(1).calls([(function, arguments)], CPU))}"
    except DistillationError as error:
        return f"{type(error).__name__}: {error}"


def reports(target: dd.TargetData) -> list[Any]:
    """Return what two networks reach in this process and in two of Ray, and what was told."""
    summary = dd.distill(target, dd.methods.build_method("random", ipc=2, target=target), seed=0)
    found: list[Any] = []
    for count in (0, 2):
        told: list[str] = []
        report = dd.evaluate(
            summary,
            target,
            networks=["mlp(width=8)", "convnet(width=4)"],
            protocol="quick",
            runs=2,
            workers=count,
            progress=told.append,
        )
        found.append([[[r.network, r.scores, r.parameters] for r in report.results], [told[0], told[-1][:14]]])
    return found


def ranking(workers: int) -> Any:
    """Return what a few candidates reach in some processes."""
    digits = dd.load_data("digits").with_train(torch.arange(190), "digits").with_validation(40 / 190)
    return ranked(digits, workers=workers, proxies="random:4", seeds=1).to_json()


def main(folder: Path) -> None:
    target = few_of(dd.load_data("digits"))
    refused = said(refuse)
    import ray

    left_as_it_was = not ray.is_initialized()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    trained(target, folder / "experts", workers=2)
    found: dict[str, Any] = {
        "refuses": refused,
        "reports": reports(target),
        "ranking": ranking(workers=2),
        "dies once": list(dd.Workers(1).calls([(dies_until, (1, folder / "once"))], CPU)),
    }
    workers.RETRIES = 0
    found["dies always"] = said(dies_until, 9, folder / "always")
    found["Ray"] = [left_as_it_was, ray.is_initialized()]
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
