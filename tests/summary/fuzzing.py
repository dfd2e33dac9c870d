"""Random and mutated summaries, for the loader's tests and its benchmark.

The test runs it in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import ddcore as dd
from ddcore.errors import SummaryFormatError
from ddcore.images import (
    Frequencies,
    FreshGenerator,
    GeneratorLatents,
    Hallucinators,
    LatentCodes,
    LinearBases,
    MultiFormation,
    Pixels,
    TrainedGenerator,
)
from ddcore.parts import Recipe, Steps
from ddcore.summary import DataSummary, Part, as_text

Mutation = Callable[[random.Random, Path], None]
FILES = ("summary.safetensors", "config.json")


def flip_bytes(rng: random.Random, directory: Path) -> None:
    path = directory / rng.choice(FILES)
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(bytes(content))


def truncate(rng: random.Random, directory: Path) -> None:
    path = directory / rng.choice(FILES)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def replace_by_noise(rng: random.Random, directory: Path) -> None:
    path = directory / rng.choice(FILES)
    path.write_bytes(rng.randbytes(rng.randint(0, 500)))


def append(rng: random.Random, directory: Path) -> None:
    path = directory / rng.choice(FILES)
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 100)))


VALUES: tuple[Any, ...] = (
    None, -1, 0, 1, 2**31, 2**63, 10**30, 1e308, -0.5, "", "x" * 300, "../../etc/passwd", [], {}, [[]], True,
    [2**31] * 8, {"name": "pixels"}, ["0"] * 2000,
)  # fmt: skip


def mutate_json(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """Return a copy with one random entry replaced, removed, renamed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        action = rng.random()
        if action < 0.1:
            del changed[key]
        elif action < 0.2:
            changed[rng.choice(["a", "../x", key.upper(), "\u0000", "__proto__"])] = changed.pop(key)
        else:
            changed[key] = mutate_json(rng, value[key], depth + 1)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        index = rng.randrange(len(value))
        return [mutate_json(rng, v, depth + 1) if i == index else v for i, v in enumerate(value)]
    return rng.choice(VALUES)


def change_config(rng: random.Random, directory: Path) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(mutate_json(rng, json.loads(path.read_text()))))


def change_header(rng: random.Random, directory: Path) -> None:
    """Change the tensor file's header and make the hash fit again, as an attacker would."""
    path = directory / "summary.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(mutate_json(rng, json.loads(content[8 : 8 + length]))).encode()
    claimed = len(header) if rng.random() < 0.9 else rng.choice([0, 2**20, 2**40, 2**63])
    write_with_hash(directory, claimed.to_bytes(8, "little") + header + content[8 + length :])


def change_data(rng: random.Random, directory: Path) -> None:
    """Put other numbers (NaN and infinity among them) into the tensors, with a fitting hash."""
    path = directory / "summary.safetensors"
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[:8], "little")
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(8 + length, len(content) - 4)
        content[start : start + 4] = rng.choice([b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", rng.randbytes(4)])
    write_with_hash(directory, bytes(content))


def write_with_hash(directory: Path, content: bytes) -> None:
    (directory / "summary.safetensors").write_bytes(content)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"tensors_sha256": hashlib.sha256(content).hexdigest()}))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes, truncate, replace_by_noise, append, change_config, change_header, change_data,
)  # fmt: skip


class Fuzzer:
    """Mutates a good summary again and again in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.good = {name: (directory / name).read_bytes() for name in FILES}

    def mutate(self, seed: int) -> str:
        """Restore the good files, apply one to three mutations, and return their names."""
        rng = random.Random(seed)
        for name, content in self.good.items():
            (self.directory / name).write_bytes(content)
        names = []
        for mutation in rng.choices(MUTATIONS, k=rng.choice([1, 1, 1, 2, 3])):
            try:
                mutation(rng, self.directory)
            except (ValueError, KeyError, AttributeError, TypeError, IndexError):
                continue  # an earlier mutation left nothing that this one could change
            names.append(mutation.__name__)
        return "+".join(names)


def good_summaries(directory: Path) -> list[Path]:
    """Write one summary of each kind.

    Float, bytes with a span, soft labels, labels as logits with steps of their own, whitened, a
    union, tiles, generators, and what else items and shared parts make.
    """
    target = dd.load_data("digits").of_classes([0, 1, 7])
    plain = dd.distill(target, dd.Method(factorization=Pixels(ipc=1)))
    (part,) = plain.parts
    stretched = {**part.stored, "images": part.stored["images"] * 3}
    labels = {**part.stored, "labels": torch.full((3, 10), 0.1)}
    whitened = dd.load_data("digits", normalisation="zca").of_classes([0, 1])
    generator = TrainedGenerator(latent=2, width=2, steps=1)
    told = FreshGenerator(latent=2, width=1, conditional=True)
    soft = Part(Pixels(ipc=1, labels="soft"), labels)
    logits = Part(Pixels(ipc=1, labels="softmax"), labels)
    summaries = [
        plain,
        DataSummary((Part(part.factorization, stretched),), plain.spec).quantize("uint8"),
        DataSummary((soft,), plain.spec, Recipe("squared_error", 0.1), plain.record),
        DataSummary((logits,), plain.spec, Recipe(steps=Steps((0.1, 0.2), 1, 0.9)), plain.record),
        dd.distill(whitened, dd.Method(factorization=Pixels(ipc=1, storage="fp16"))),
        dd.concat([plain, DataSummary((soft,), plain.spec)]),
        dd.distill(target, dd.Method(factorization=MultiFormation(ipc=1, storage="uint8"))),
        dd.distill(target, dd.Method(factorization=GeneratorLatents(ipc=1, generator=generator, init="noise"))),
        dd.distill(
            target, dd.Method(factorization=GeneratorLatents(ipc=1, generator=told, init="noise", storage="uint8"))
        ),
        dd.distill(target, dd.Method(factorization=LinearBases(ipc=2, bases=2))),
        dd.distill(target, dd.Method(factorization=LinearBases(ipc=2, bases=2, storage="uint8"))),
        dd.distill(target, dd.Method(factorization=Hallucinators(ipc=1, hallucinators=2, width=1, storage="fp16"))),
        dd.distill(target, dd.Method(factorization=LatentCodes(ipc=1, width=1, init="noise"))),
        dd.distill(target, dd.Method(factorization=Frequencies(ipc=1, kept=5, storage="uint8"))),
    ]
    return [summary.save(directory / str(i)) for i, summary in enumerate(summaries)]


def use(directory: Path) -> None:
    """Load a summary and do with it what its owner would."""
    summary = dd.DataSummary.load(directory)
    inputs, _ = summary.tensors()
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("a loaded summary has examples that are not finite")
    repr(summary)
    if summary.recipe.steps is not None:
        summary.recipe.steps.batches(summary.members())
    as_text(summary, per_class=1).encode()
    try:
        dd.cite(summary)
    except dd.errors.UnknownNameError:
        return


def fuzz(directory: Path, count: int) -> dict[str, Any]:
    """Mutate and use ``count`` summaries, and count what came of them.

    ``others`` says which exceptions were not the loader's own.
    """
    fuzzers = [Fuzzer(path) for path in good_summaries(directory)]
    found: dict[str, Any] = {"refused": 0, "loaded": 0, "others": []}
    for fuzzer in fuzzers:
        use(fuzzer.directory)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(count):
        fuzzer = fuzzers[seed % len(fuzzers)]
        what = fuzzer.mutate(seed)
        try:
            use(fuzzer.directory)
            found["loaded"] += 1
        except SummaryFormatError:
            found["refused"] += 1
        except Exception as error:
            found["others"].append(f"seed {seed}: {what}: {type(error).__name__}: {error}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {**found, "grown_mb": round(grown)}


def report(directory: Path, count: int) -> None:
    print(json.dumps(fuzz(directory, count)))
