"""A kept evaluation as a claim: it is made again, and its numbers are compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.special import fdtri

from ddcore.errors import DAMAGES, DistillationError, MissingExtraError, TeacherError
from ddcore.evaluation.evaluate import LEARNED, evaluate
from ddcore.evaluation.kernel import WIDTH, evaluate_kernel
from ddcore.evaluation.protocols import KERNEL, as_protocol
from ddcore.evaluation.report import Report
from ddcore.evaluation.statistics import sample_statistics, welch_difference
from ddcore.ground.devices import resolve_device
from ddcore.ground.differences import difference
from ddcore.ground.words import interval
from ddcore.ground.workers import Workers
from ddcore.parts import TargetData, require_buildable
from ddcore.summary import DataSummary
from ddcore.training import Teacher

DECIDING = ("training", "recipe", "labels", "normalisation", "networks", "kernels", "ridge", "iterate")
"""Details of a report that decide what its numbers mean."""
COULD_NOT = "could not be made"
"""How the verdict begins on what this machine, or these arguments, could not make."""


@dataclass(frozen=True)
class Check:
    """One thing that a summary says of itself.

    Attributes:
        what: it is about.
        claim: what is said.
        found: what is true.
        holds: whether both agree. None: nothing was claimed, or it was not looked at.
        verdict: the same in words.
    """

    what: str
    claim: str
    found: str
    holds: bool | None
    verdict: str

    @classmethod
    def same(cls, what: str, claim: object, found: object) -> Check:
        """Return a check of two values that must be equal."""
        holds = claim == found
        return cls(what, str(claim), str(found), holds, "holds" if holds else "does not hold")

    def __str__(self) -> str:
        return f"{self.what}: claimed {self.claim}, found {self.found}: {self.verdict}"


@dataclass(frozen=True)
class Remaking:
    """How evaluations are made again.

    Attributes:
        teachers: those that a protocol may need.
        device, workers, progress: as in ``evaluate``.
    """

    teachers: tuple[Teacher, ...] = ()
    device: str | torch.device = "auto"
    workers: int | Workers = 0
    progress: Callable[[str], None] | None = None

    def report(self, summary: DataSummary, target: TargetData, entry: Mapping[str, Any]) -> Report:
        """Evaluate again as an entry of ``evaluations.json`` says.

        Raises:
            DistillationError: it cannot be made again, such as one of a network without a name.
        """
        details, named = entry["details"], [result["network"] for result in entry["results"]]
        split = details["tested_on"]["split"]
        if entry["protocol"] == KERNEL:
            kernels = [name.removesuffix(WIDTH) for name in named]
            for name in kernels:
                require_buildable(name)
            ridge = float(details["ridge"])
            return evaluate_kernel(summary, target, kernels=kernels, ridge=ridge, device=self.device, split=split)
        for name in named:
            require_buildable(name)
        place = resolve_device(self.device)
        alike = str(details.get("device", "")).partition(":")[0] == place.type
        protocol = as_protocol("quick" if entry["protocol"] == LEARNED else entry["protocol"], summary)
        return evaluate(
            summary,
            target,
            networks=named,
            protocol=protocol,
            runs=max(result["runs"] for result in entry["results"]),
            seed=details["seed"],
            device=place,
            precision=details["precision"] if alike else None,
            split=split,
            teachers=self.teachers if protocol.labels is not None else (),
            workers=self.workers,
            progress=self.progress,
        )


def check_entry(
    summary: DataSummary, target: TargetData, entry: Mapping[str, Any], remaking: Remaking
) -> Iterator[Check]:
    """Make one kept evaluation again, and yield what it claims beside what is found."""
    title = f"protocol {entry['protocol']} on {entry['details']['tested_on']['data']}"
    if entry["summary_sha256"] != summary.sha256():
        yield Check(title, "measured of these tensors", "other tensors", False, "does not hold")
        return
    for result in entry["results"]:
        main = result["scores"][result["score"]]
        if not _agree(main, result):
            said = f"{interval(result)} of {result['network']}"
            yield Check(title, said, f"{interval(main)} among its own scores", False, "does not hold")
            return
        each = result.get("accuracies")
        if each and not _agree(sample_statistics(each), result):
            said = f"{interval(result)} of {result['network']}"
            yield Check(title, said, f"{interval(sample_statistics(each))} by its own runs", False, "does not hold")
            return
    try:
        remade = json.loads(json.dumps(remaking.report(summary, target, entry).to_json()))
        apart = _otherwise(entry, remade)
    except (TeacherError, MissingExtraError, OSError, MemoryError) as error:
        yield Check(title, _texts(entry), "nothing", None, f"{COULD_NOT} again: {' '.join(str(error).split())}")
        return
    except (DistillationError, *DAMAGES) as error:
        yield Check(title, _texts(entry), "nothing", False, f"cannot be made again: {' '.join(str(error).split())}")
        return
    if apart:
        yield Check(title, _texts(entry), apart, False, "does not hold: these were other settings")
        return
    for claimed, found in zip(entry["results"], remade["results"], strict=True):
        for score, statistics in claimed["scores"].items():
            what, runs = f"{score} of {claimed['network']}, {title}", claimed["runs"]
            yield _compared(what, {**statistics, "runs": runs}, {**found["scores"][score], "runs": found["runs"]})


def _otherwise(entry: Mapping[str, Any], remade: Mapping[str, Any]) -> str:
    """Return in words what else than the numbers differs, or an empty text."""
    learned = entry["protocol"] == LEARNED
    deciding = [
        name for name in DECIDING if name in entry["details"] and not (learned and name in ("training", "iterate"))
    ]

    def facts(report: Mapping[str, Any]) -> dict[str, Any]:
        tested = report["details"]["tested_on"]
        return {
            **{name: report[name] for name in ("data", "method", "ipc", "stored_bytes", "protocol")},
            **{name: report["details"].get(name) for name in deciding},
            "examples tested on": tested.get("examples"),
            "results": {r["network"]: [r["score"], r["runs"], sorted(r["scores"])] for r in report["results"]},
        }

    return difference(facts(entry), facts(remade), "evaluation")


def _compared(what: str, claimed: Mapping[str, Any], found: Mapping[str, Any]) -> Check:
    claim, seen = interval(claimed), interval(found)
    if _agree(claimed, found):
        return Check(what, claim, seen, True, "holds")
    if claimed["std"] is None or found["std"] is None:
        return Check(what, claim, seen, False, "does not hold: one run has no interval")
    if not _spreads_agree(claimed, found):
        return Check(what, claim, seen, False, "does not hold: runs do not scatter as claimed")
    spread = found["std"]
    apart, half = welch_difference((claimed["mean"], spread, claimed["runs"]), (found["mean"], spread, found["runs"]))
    within = abs(apart) <= half
    words = f"the difference is {apart:+.2f} ± {half:.2f} (95 %)"
    return Check(what, claim, seen, within, f"{'holds' if within else 'does not hold'}: {words}")


def _spreads_agree(claimed: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether the ratio of two variances lies in the middle 99 % of Fisher's distribution."""
    if found["std"] == 0 or claimed["std"] == 0:
        return bool(found["std"] == claimed["std"])
    degrees = claimed["runs"] - 1, found["runs"] - 1
    ratio = (claimed["std"] / found["std"]) ** 2
    return bool(fdtri(*degrees, 0.005) <= ratio <= fdtri(*degrees, 0.995))


def _agree(claimed: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether two statistics are equal, but for the rounding of values that they are made of."""
    for name, off in (("mean", 0.0021), ("std", 0.0021), ("ci95", 0.03)):
        ours, theirs = claimed[name], found[name]
        if (ours is None) != (theirs is None) or (ours is not None and abs(ours - theirs) > off):
            return False
    return True


def _texts(entry: Mapping[str, Any]) -> str:
    results: Sequence[Mapping[str, Any]] = entry["results"]
    return ", ".join(f"{interval(result)} of {result['network']}" for result in results)
