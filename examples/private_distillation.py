"""Hand out a dataset instead of the private records.

Distill privately, check the claim, attack it, train on it.

python examples/private_distillation.py [--fast]
"""

import sys
import tempfile
from pathlib import Path

import ddcore as dd
from ddapps import privacy

FAST = "--fast" in sys.argv
EPSILON, DELTA = 10, 1e-4
NETWORK = "convnet(width=8)" if FAST else "convnet"


def main() -> None:
    # Nothing may be read from private records that the guarantee does not pay for. So constants are
    # declared.
    target = dd.load_data("digits", normalisation=privacy.PUBLIC_NORMALISATION)
    counts = target.counts()

    # A few odd examples, each put in by a coin flip, show later whether an attacker can tell.
    canaries = privacy.Canaries.flip(20)
    records = canaries.planted(target)

    method = dd.methods.dm(ipc=10, preset="cpu").on_networks("convnet(width=32)").with_steps(10 if FAST else 300)
    private = privacy.privatize(method, epsilon=EPSILON, delta=DELTA, counts=counts)
    for change in private.changes:
        print("changed:", change)

    with tempfile.TemporaryDirectory() as folder:
        out, ledger = Path(folder) / "summary", Path(folder) / "ledger.json"
        # A killed run goes on, and pays for what it asked.
        private.distill(records, seed=0, out=out, ledger=ledger)

        # A second run would exceed the ledger's budget: it is refused before anything is released.
        try:
            private.distill(records, seed=1, out=Path(folder) / "again", ledger=ledger)
        except dd.errors.BudgetError as error:
            print("refused:", error)

        # Whoever receives the directory can check the claim ...
        summary = dd.DataSummary.load(out)
        found = privacy.verify(summary)
        bounds = ", ".join(f"{name} {bound:.3f}" for name, bound in found.accountants.items())
        print(f"epsilon {found.epsilon:.3f} at delta {found.delta:g} {'holds' if found.holds else 'FAILS'} ({bounds})")

        # ... and train any number of models on it, at no further cost.
        report = dd.evaluate(summary, target, networks=NETWORK, protocol="quick", runs=1 if FAST else 3)
        print(f"accuracy on real test digits: {report.results[0].mean:.1f} %")

        # Evidence, not proof: what an attacker finds.
        attack = privacy.audit(summary, target, network=NETWORK, canaries=canaries, models=1 if FAST else 3)
        print(f"membership inference: AUC {attack.strongest.auc:.3f} (.5 is guessing)")
        print(f"epsilon is at least {attack.epsilon_lower_bound:.2f}, from {attack.trials} canaries")


if __name__ == "__main__":
    main()
