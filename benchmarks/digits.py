"""digits: every method at ipc 1 and 10 under the protocols quick, dc and dsa; ConvNet of width 128, depth 2."""

from __future__ import annotations

import argparse
from typing import Any

import ddcore as dd
from benchmarks.common import markdown, write_results

ONE_DISTILLATION = ("herding", "k_center", "forgetting")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="dm,random,herding,k_center,forgetting")
    parser.add_argument("--ipcs", default="1,10")
    parser.add_argument("--protocols", default="quick,dc,dsa")
    parser.add_argument("--seeds", type=int, default=3, help="distillations per method")
    parser.add_argument("--runs", type=int, default=5, help="networks per distillation")
    parser.add_argument("--precision", default="fp32", help="of distillation; results of others get its name")
    options = parser.parse_args()
    target = dd.load_data("digits")
    protocols = options.protocols.split(",")
    results, rows = [], []
    for name in options.methods.split(","):
        for ipc in map(int, options.ipcs.split(",")):
            found: dict[str, list[float]] = {p: [] for p in protocols}
            quantised: dict[str, list[float]] = {p: [] for p in protocols}
            seconds = []
            for seed in range(1 if name in ONE_DISTILLATION else options.seeds):
                summary = dd.distill(
                    target, dd.methods.build_method(name, ipc=ipc, preset="cpu"), seed=seed, precision=options.precision
                )
                seconds.append(float(summary.record["seconds"]))
                for protocol in protocols:
                    found[protocol] += accuracies(summary, target, protocol, options.runs, seed)
                    if name == "dm" and protocol == "dc":
                        quantised[protocol] += accuracies(
                            summary.quantize("uint8"), target, protocol, options.runs, seed
                        )
            row: dict[str, Any] = {"method": name, "ipc": ipc, "distill s": f"{sum(seconds) / len(seconds):.1f}"}
            for label, table in (("", found), (" uint8", quantised)):
                for protocol, values in table.items():
                    if values:
                        mean, std, ci95 = dd.evaluation.mean_std_ci95(values)
                        results.append(
                            {"method": name, "ipc": ipc, "protocol": protocol + label, "mean": mean, "std": std}
                            | {"ci95": ci95, "accuracies": values, "distill_seconds": seconds}
                        )
                        row[protocol + label] = f"{mean:.1f} ± {ci95:.1f}"
            rows.append({k: row.get(k, "") for k in ("method", "ipc", "distill s", *protocols, "dc uint8")})
            print(rows[-1], flush=True)
    budget = {
        "preset": "cpu",
        "distillations": f"{options.seeds} ({', '.join(ONE_DISTILLATION)}: 1)",
        "networks each": options.runs,
        "seeds": f"0..{options.seeds - 1}",
    }
    title = "digits" if options.precision == "fp32" else f"digits_{options.precision}"
    write_results(title, results, budget, markdown(rows))


def accuracies(summary: dd.DataSummary, target: dd.TargetData, protocol: str, runs: int, seed: int) -> list[float]:
    return list(dd.evaluate(summary, target, protocol=protocol, runs=runs, seed=seed).results[0].accuracies)


if __name__ == "__main__":
    main()
