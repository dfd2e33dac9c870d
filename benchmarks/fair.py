"""CIFAR-10 under hard labels, soft labels and a teacher: every method beside random selection.

python -m benchmarks.fair --data path/to/cifar10.npz
python -m benchmarks.fair --data path/to/cifar10.npz --methods rded --ipcs 10
python -m benchmarks.fair --data path/to/cifar10.npz --labels

Networks and teacher are narrow, so that two cores train them; the table says how narrow. Methods
have their preset ``cpu``, and the minutes that are asked for. Images are stored as bytes, so that
random selection of equal bytes has as many. Every row has the same number of updates.

``--labels`` measures instead how few bytes the labels of `random` can take, under labels per view.

Rows of an earlier call at the same budget are kept.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from tempfile import mkdtemp
from typing import Any

import ddcore as dd
from benchmarks.common import load_or_explain, markdown
from benchmarks.merging import MergedRows, merge_argument
from ddcore.engine import TEACHING
from ddcore.evaluation import FAIR_PROTOCOLS, PROTOCOLS, Report
from ddcore.labels import TeacherLabelling
from ddcore.parts import Method
from ddcore.sources import ExpertSegments, ExpertTraining

EPOCHS = 3
"""Of the networks that ncfm mixes with fresh ones."""
METHODS = ("random", "dm", "ncfm", "sre2l", "rded")
STORED = (
    ("float32, 300 epochs", {}),
    ("fp16", {"storage": "fp16"}),
    ("fp16, top 3", {"storage": "fp16", "top": 3}),
    ("4bit", {"storage": "4bit"}),
    ("4bit, 30 epochs", {"storage": "4bit", "epochs": 30}),
    ("4bit, 10 epochs", {"storage": "4bit", "epochs": 10}),
    ("2bit, 10 epochs", {"storage": "2bit", "epochs": 10}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="path of a .npz file, or a name (default: cifar10)")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--ipcs", default="10,50")
    parser.add_argument("--network", default="convnet(width=16,norm=batch)", help="of distillation and tests")
    parser.add_argument("--teacher-network", default="convnet(width=32,norm=batch)")
    parser.add_argument("--teacher", help="a teacher that is there already; else one is trained")
    parser.add_argument("--epochs", type=int, default=15, help="of the teacher's training")
    parser.add_argument("--experts", help="networks of ncfm that are there already; else two of 3 epochs are trained")
    parser.add_argument("--minutes", type=float, default=2, help="of each distillation")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--labels", action="store_true", help="measure storage of labels instead")
    merge_argument(parser)
    options = parser.parse_args()
    target = load_or_explain(options.data)
    budget = {
        "network": options.network,
        "network of the teacher": options.teacher_network,
        "epochs of the teacher": options.epochs,
        "updates": PROTOCOLS["hard"].training.updates_for(1),
        "networks": options.runs,
        "seed": 0,
        "threads": 1,
    }
    budget = budget if options.labels else {"minutes": options.minutes, **budget}
    named, key = ("fair_labels", ("ipc", "labels")) if options.labels else ("fair", ("ipc", "method"))
    rows = MergedRows(named, budget, key, options.earlier)
    teacher = dd.train_teacher(
        target,
        options.teacher or mkdtemp(),
        network=options.teacher_network,
        training=dd.override(TEACHING, "epochs", options.epochs),
        progress=print,
    )
    measure = measure_labels if options.labels else measure_methods
    measure(options, target, teacher, rows)


def evaluated(
    options: argparse.Namespace, summary: dd.DataSummary, target: dd.TargetData, teacher: dd.Teacher, protocol: str
) -> Report:
    follows_one = isinstance(PROTOCOLS[protocol].labels, TeacherLabelling)
    return dd.evaluate(
        summary,
        target,
        networks=options.network,
        protocol=protocol,
        runs=options.runs,
        teachers=teacher if follows_one else (),
        workers=options.workers,
        device="cpu",
    )


def method_of(name: str, ipc: int, options: argparse.Namespace, teacher: dd.Teacher) -> Method:
    """Return a method whose images are bytes, with the labels that a protocol gives it."""
    published = dd.methods.METHODS[name].at(ipc, "cpu", "cifar10")
    method = dd.override(published, "factorization.storage", "uint8")
    method = replace(method, factorization=method.factorization.clipped(), labels=None)
    if follows(name):
        return method.with_teachers(teacher)
    if method.matching is None:
        return method
    method = method.on_networks(without_batch_norm(options.network))
    if isinstance(method.networks, ExpertSegments):
        given = {"directory": options.experts, "count": None, "length": EPOCHS, "training": training_of(method)}
        method = replace(method, networks=replace(method.networks, **given))
    return method


def without_batch_norm(network: str) -> str:
    return network.replace("norm=batch", "norm=instance")


def training_of(method: Method) -> ExpertTraining:
    """Return the short training of the networks that a method mixes with fresh ones."""
    assert isinstance(method.networks, ExpertSegments)
    return replace(method.networks.training, epochs=EPOCHS)


def follows(name: str) -> bool:
    return name in ("sre2l", "rded")


def measure_methods(options: argparse.Namespace, target: dd.TargetData, teacher: dd.Teacher, rows: MergedRows) -> None:
    if "ncfm" in options.methods.split(",") and options.experts is None:
        options.experts = mkdtemp()
        dd.train_experts(
            target,
            options.experts,
            network=without_batch_norm(options.network),
            training=training_of(dd.methods.ncfm(preset="cpu")),
            count=2,
            progress=print,
        )
    assert target.test is not None
    accuracy = teacher.scores(target.test, target.spec)["accuracy"]
    for ipc in map(int, options.ipcs.split(",")):
        for name in options.methods.split(","):
            started = time.monotonic()
            summary = dd.distill(
                target, method_of(name, ipc, options, teacher), seed=0, device="cpu", max_seconds=60 * options.minutes
            )
            row: dict[str, Any] = {
                "ipc": ipc,
                "method": name,
                "steps": summary.record["steps"],
                "seconds": f"{time.monotonic() - started:.0f}",
                "of the teacher": f"{teacher.record['seconds']:.0f} ({accuracy:.2f} %)" if follows(name) else "",
            }
            for protocol in FAIR_PROTOCOLS:
                report = evaluated(options, summary, target, teacher, protocol)
                (result,) = report.results
                row[protocol] = f"{result.mean:.2f} ± {result.ci95:.2f}"
                row[f"bytes of labels, {protocol}"] = report.details["label_bytes"]
            row["bytes of images"] = summary.stored_bytes
            rows.write([row], lambda row: (row["ipc"], METHODS.index(row["method"])), markdown, show=False)
            print(row, flush=True)


def measure_labels(options: argparse.Namespace, target: dd.TargetData, teacher: dd.Teacher, rows: MergedRows) -> None:
    ipc = int(options.ipcs.split(",")[0])
    plain = dd.distill(target, dd.methods.random(ipc=ipc), seed=0, device="cpu")
    protocol = PROTOCOLS["teacher"]
    assert isinstance(protocol.labels, TeacherLabelling)
    whole = 0
    for title, settings in STORED:
        labelling = TeacherLabelling(
            "soft-per-view",
            (teacher,),
            **{
                "temperature": protocol.labels.temperature,
                "storage": "float32",
                "augmentation": protocol.training.augmentation,
                **settings,
            },
        )
        summary = plain.labelled(labelling)
        report = evaluated(options, summary, target, teacher, "teacher")
        whole = whole or summary.label_bytes
        (result,) = report.results
        row = {
            "ipc": ipc,
            "labels": title,
            "bytes": summary.label_bytes,
            "times fewer": f"{whole / summary.label_bytes:.1f}",
            "accuracy": f"{result.mean:.2f} ± {result.ci95:.2f}",
        }
        rows.write([row], lambda row: (row["ipc"], -row["bytes"]), markdown, show=False)
        print(row, flush=True)


if __name__ == "__main__":
    main()
