"""Distill a dataset to one image per class, save it, evaluate it beside a random selection.

python examples/quickstart.py           # about a minute on two cores
python examples/quickstart.py --fast    # seconds, to see it run
"""

import sys
import tempfile

import ddcore as dd

fast = "--fast" in sys.argv
network = "convnet(width=8)" if fast else "convnet"
target = dd.load_data("digits")

method = dd.methods.dm(ipc=1, preset="cpu").on_networks(network)
summary = dd.distill(target, method, seed=0, steps=40 if fast else None, progress=True)
random = dd.distill(target, dd.methods.random(ipc=1), seed=0)

with tempfile.TemporaryDirectory() as directory:
    summary.save(directory + "/digits-dm-1")
    summary = dd.DataSummary.load(directory + "/digits-dm-1")

for candidate in (random, summary, summary.quantize("uint8")):
    report = dd.evaluate(candidate, target, networks=network, protocol="quick", runs=1 if fast else 5)
    (result,) = report.results
    print(f"{candidate}: accuracy {result.measured} %")

storage = dd.storage(summary, target)
print(f"{storage.stored} bytes stored, {storage.compressed} compressed, {storage.share:.1%} of the original")
