"""Memory and time of images that are larger than memory is meant to be.

python -m benchmarks.large_images

Writes JPEGs of 224 px to a temporary folder: noise of 14 px, enlarged, in a colour of its class. A
process of its own loads them (which decodes them into the cache), distils by ``dm``, selects at
random and evaluates the selection on the test images. Everything is deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import ddcore as dd
from benchmarks.common import markdown, write_results

SIDE, COARSE, CLASSES = 224, 14, 10
NETWORK, REAL_BATCH, EPOCHS = "convnet(width=8, depth=5)", 32, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, help="of the training split (default: 50000)")
    parser.add_argument("--test", type=int, default=500, help="of the test split (default: 500)")
    parser.add_argument("--steps", type=int, default=3, help="of dm (default: 3)")
    parser.add_argument("--within", type=Path, help="where the temporary folder is made")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measured(options.folder, options.steps)))
        return
    need = (options.images + options.test) * (3 * SIDE * SIDE + 2**14)
    with tempfile.TemporaryDirectory(dir=options.within) as within:
        free = shutil.disk_usage(within).free
        if need > free:
            sys.exit(f"{within} has {free / 1e9:.1f} GB free, {need / 1e9:.1f} are needed: --images N, or --within DIR")
        started = time.monotonic()
        for part, count in (("train", options.images), ("test", options.test)):
            write_images(Path(within) / "images" / part, count)
        written = round(time.monotonic() - started, 1)
        words = [sys.executable, "-m", "benchmarks.large_images", "--folder", str(Path(within) / "images")]
        environment = {**os.environ, "DDCORE_CACHE": str(Path(within) / "cache")}
        found = subprocess.run(
            [*words, "--steps", str(options.steps)], check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
    results = json.loads(found.stdout)
    budget = {
        "images": options.images,
        "test images": options.test,
        "pixels": SIDE,
        "steps": options.steps,
        "network": NETWORK,
        "real batch of a class": REAL_BATCH,
        "epochs of the evaluation": EPOCHS,
        "threads": torch.get_num_threads(),
        "seconds to write the JPEGs": written,
    }
    write_results("large_images", results, budget, markdown(results["stages"]) + f"\n\n{summed_up(results)}")


def write_images(folder: Path, count: int) -> None:
    """Write ``count`` images, a folder for each class."""
    random = np.random.default_rng(len(folder.name))
    colours = np.random.default_rng(0).integers(0, 128, (CLASSES, 3))

    def write(number: int, noise: np.ndarray) -> None:
        pixels = (colours[number % CLASSES] + noise).astype(np.uint8)
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        image.save(folder / str(number % CLASSES) / f"{number:06}.jpg", quality=75)

    for class_id in range(CLASSES):
        (folder / str(class_id)).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for first in range(0, count, 1000):
            numbers = range(first, min(first + 1000, count))
            noise = random.integers(0, 128, (len(numbers), COARSE, COARSE, 3))
            list(threads.map(write, numbers, noise))


def measured(folder: Path, steps: int) -> dict[str, Any]:
    """Return seconds and memory of every stage, each of which goes on from the one before."""
    watch = Watch()
    rows = [watch.row("imported", 0.0)]

    def stage(name: str, call: Any) -> Any:
        started = time.monotonic()
        found = call()
        rows.append(watch.row(name, time.monotonic() - started))
        return found

    target = stage("load, first time", lambda: dd.load_data(folder, size=SIDE))
    stage("load, from the cache", lambda: dd.load_data(folder, size=SIDE))
    stage("hash of the data", target.fingerprint)
    stage("a tenth for validation", lambda: target.with_validation(0.1))
    method = dd.override(dd.methods.dm(ipc=1, preset="paper"), "matching.real_batch", REAL_BATCH)
    stage(f"dm, {steps} steps", lambda: dd.distill(target, method, networks=NETWORK, steps=steps))
    protocol = dd.evaluation.PROTOCOLS["quick"]
    protocol = replace(protocol, training=replace(protocol.training, epochs=EPOCHS))
    chosen = stage("random, 10 of a class", lambda: dd.distill(target, dd.methods.random(ipc=10)))
    report = stage(
        "evaluate the selection",
        lambda: dd.evaluate(chosen, target, networks=NETWORK, protocol=protocol, runs=1),
    )
    watch.stop()
    return {
        "stages": rows,
        "accuracy": report.results[0].mean,
        "bytes of the cache": sum(f.stat().st_size for f in Path(os.environ["DDCORE_CACHE"]).rglob("pixels")),
        "bytes of the JPEGs": sum(f.stat().st_size for f in folder.rglob("*.jpg")),
        "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


class Watch:
    """Peaks of a process's resident memory since the last row, sampled every 5 ms.

    ``own``: RssAnon, what the process alone holds. ``all``: VmRSS, with pages of files, which the
    system can take back at any time.
    """

    def __init__(self) -> None:
        self._peaks = {"RssAnon": 0, "VmRSS": 0}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        status = Path("/proc/self/status").read_text()
        for name, peak in self._peaks.items():
            found = re.search(rf"{name}:\s+(\d+)", status)
            self._peaks[name] = max(peak, int(found[1]) if found else 0)

    def _look(self) -> None:
        while not self._ended.wait(0.005):
            self._sample()

    def row(self, stage: str, seconds: float) -> dict[str, Any]:
        """Return a row of results, and begin new peaks."""
        self._sample()
        own, everything = (round(self._peaks[name] / 2**20, 2) for name in ("RssAnon", "VmRSS"))
        self._peaks = dict.fromkeys(self._peaks, 0)
        return {"stage": stage, "seconds": round(seconds, 1), "own GiB": own, "with file pages GiB": everything}

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def summed_up(results: dict[str, Any]) -> str:
    gib = {key: results[key] / 2**30 for key in ("bytes of the cache", "bytes of the JPEGs", "ru_maxrss")}
    return (
        f"The cache holds {gib['bytes of the cache']:.2f} GiB, the JPEGs {gib['bytes of the JPEGs']:.2f} GiB. At most "
        f"{gib['ru_maxrss']:.2f} GiB were resident (`ru_maxrss`, pages of files included). *Own* is `RssAnon`, *with "
        "file pages* `VmRSS`, both the highest of samples taken every 5 ms during a stage."
    )


if __name__ == "__main__":
    main()
