"""A summary on disk. No file of it is pickle.

It is ``summary.safetensors``, ``config.json``, a card ``README.md``, and ``examples.png`` where
the examples have a picture. A normalisation with tensors adds ``normalisation.safetensors``, and
evaluations that are kept add ``evaluations.json``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from ddcore.errors import DAMAGES, DistillationError, OutputExistsError, SummaryFormatError
from ddcore.ground.tensorfile import (
    checked_text,
    read_json,
    read_limited,
    read_tensors,
    write_atomically,
    write_tensors,
)
from ddcore.parts import (
    FACTORIZATIONS,
    LABELS,
    MODALITIES,
    Factorization,
    InitialWeights,
    Labels,
    Recipe,
    Spec,
    modality_named,
)
from ddcore.settings import describe
from ddcore.summary.card import write_card
from ddcore.summary.content import Content, Part
from ddcore.summary.measured import EVALUATIONS

SCHEMA = 1
TENSORS, CONFIG, NORMALISATION = "summary.safetensors", "config.json", "normalisation.safetensors"
LABELLED = "labels."
"""What the names of the labels' tensors begin with."""
INITIAL = "initial."
"""What the names of the initial weights begin with."""
MAX_PARTS = 1024
MAX_CONFIG = 2**24
MAX_LABELS = 2**28
MAX_STEP_EXAMPLES = 2**24
MAX_DECODED = 2**28
"""Most numbers that a part of a summary decodes to. `MAX_RATIO` may allow more."""
MAX_RATIO = 16
"""A part may always decode to this many times the numbers that it stores."""
_OPTIONAL = {"labels", "initial"}
_KEYS = {"schema", "parts", "spec", "recipe", "record", "tensors_sha256"}


def write_summary(summary: Content, directory: Path, *, overwrite: bool) -> Path:
    """Write ``summary``.

    It is written aside and loaded again first. If that fails, no file of ``directory`` is touched.
    """
    if (directory / CONFIG).exists() and not overwrite:
        raise OutputExistsError(f"{directory} holds a summary already: choose another directory, or overwrite it")
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".writing-", dir=directory) as place:
        draft = Path(place)
        stored = {f"part{i}.{name}": t for i, part in enumerate(summary.parts) for name, t in part.stored.items()}
        if summary.labels is not None:
            stored |= {LABELLED + name: tensor for name, tensor in summary.labels.stored().items()}
        if summary.initial is not None:
            stored |= {INITIAL + name: tensor for name, tensor in summary.initial.weights.items()}
        write_tensors(draft / TENSORS, stored)
        whitening = summary.spec.normalisation.tensors()
        if whitening:
            write_tensors(draft / NORMALISATION, whitening)
        write_atomically(draft / CONFIG, json.dumps(_config(summary, draft), indent=1).encode())
        read_summary(draft, {part.factorization.name: part.factorization.loader() for part in summary.parts})
        write_card(summary, draft)
        # The configuration names the hash of the tensors. It goes first and comes last, so that a
        # torn write is noticed.
        # What was measured of an earlier summary is not true of this one.
        for file in (directory / CONFIG, directory / EVALUATIONS):
            file.unlink(missing_ok=True)
        for file in sorted(draft.iterdir(), key=lambda f: f.name == CONFIG):
            file.replace(directory / file.name)
    return directory


def _config(summary: Content, directory: Path) -> dict[str, Any]:
    spec = summary.spec
    return {
        "schema": SCHEMA,
        "parts": [{"name": p.factorization.name, **p.factorization.decoder()} for p in summary.parts],
        "spec": {**spec.to_json(), **({} if modality_named(spec.modality).first else {"modality": spec.modality})},
        "recipe": summary.recipe.to_json(),
        "record": describe(summary.record),
        "tensors_sha256": hashlib.sha256((directory / TENSORS).read_bytes()).hexdigest(),
        **({} if summary.labels is None else {"labels": {"kind": summary.labels.kind, **summary.labels.config()}}),
        **({} if summary.initial is None else {"initial": {"architecture": summary.initial.architecture}}),
    }


def read_summary(directory: Path, own: Mapping[str, type[Factorization]]) -> Content:
    """Read and check a summary. See `DataSummary.load`."""
    config = read_json(directory / CONFIG, MAX_CONFIG)
    if config.get("schema") != SCHEMA:
        raise SummaryFormatError(f"{CONFIG} has schema {str(config.get('schema'))[:20]!r}; this version reads {SCHEMA}")
    if set(config) - _OPTIONAL != _KEYS:
        raise SummaryFormatError(
            f"{CONFIG} has unknown or missing entries: {sorted((set(config) - _OPTIONAL) ^ _KEYS)[:5]}"
        )
    digest = hashlib.sha256(read_limited(directory / TENSORS, 2**32)).hexdigest()
    if digest != config["tensors_sha256"]:
        raise SummaryFormatError(
            f"{TENSORS} does not have the hash that {CONFIG} names: one of them was changed or torn"
        )
    stored = read_tensors(directory / TENSORS)
    try:
        spec = _spec(config["spec"], directory)
        of_parts = {name: tensor for name, tensor in stored.items() if not name.startswith((LABELLED, INITIAL))}
        parts = _parts(config["parts"], of_parts, {**FACTORIZATIONS, **own})
        summary = Content(parts, spec, Recipe.restore(config["recipe"]), _record(config["record"]))
        check_examples(summary)
        of_labels = {n.removeprefix(LABELLED): t for n, t in stored.items() if n.startswith(LABELLED)}
        of_weights = {n.removeprefix(INITIAL): t for n, t in stored.items() if n.startswith(INITIAL)}
        if "initial" in config:
            summary = replace(summary, initial=InitialWeights.restore(config["initial"], of_weights, spec))
        elif of_weights:
            raise SummaryFormatError(f"{TENSORS} holds initial weights that {CONFIG} does not describe")
        summary = replace(summary, labels=_labels(config.get("labels"), of_labels, summary))
        wanted = 1.0 if summary.labels is None else summary.labels.temperature
        if summary.recipe.temperature != wanted:
            raise SummaryFormatError(
                f"the recipe has temperature {summary.recipe.temperature:g}, the labels {wanted:g}"
            )
    except SummaryFormatError:
        raise
    except (DistillationError, *DAMAGES) as error:
        raise SummaryFormatError(f"{CONFIG} does not describe a summary: {error}") from error
    return summary


def _check_keys(config: Mapping[str, Any], allowed: set[str], what: str) -> None:
    if set(config) != allowed:
        raise SummaryFormatError(
            f"{CONFIG}: {what} has unknown or missing entries: {sorted(set(config) ^ allowed)[:5]}"
        )


def _record(config: Any) -> dict[str, Any]:
    """Check the entries of the record that the library reads. Others are the maker's notes."""
    record = dict(config)
    method = record.get("method", {})
    named = isinstance(method, dict) and isinstance(method.get("name", ""), str)
    cites = record.get("cites", [])
    if not named or not isinstance(record.get("data", ""), str) or not isinstance(cites, list):
        raise SummaryFormatError(f"{CONFIG}: data, method.name and cites of the record must be texts")
    for text in (record.get("data", ""), method.get("name", ""), *cites):
        checked_text(text, CONFIG)
    return record


def check_examples(summary: Content) -> None:
    """Raise `SummaryFormatError` unless a summary's examples are what its spec declares.

    They must be finite, of the declared shape and classes, and not too many.
    """
    classes, spec = set(summary.spec.classes), summary.spec
    soft = False
    for part, examples in zip(summary.parts, summary.examples(), strict=True):
        decoded = sum(examples.counts.values()) * math.prod(spec.shape)
        if decoded > max(MAX_DECODED, MAX_RATIO * sum(t.numel() for t in part.stored.values())):
            raise SummaryFormatError(
                f"{decoded} decoded numbers from {part.nbytes} bytes: a summary may not grow so much"
            )
        with torch.no_grad():
            batch = examples.decode()
        soft = soft or batch.targets.ndim == 2
        if tuple(batch.inputs.shape[1:]) != spec.shape or not bool(torch.isfinite(batch.inputs).all()):
            raise SummaryFormatError("the decoded examples are not finite, or not of the declared shape")
        if not set(examples.counts) <= classes:
            raise SummaryFormatError("the stored class ids are not among the declared classes")
    if summary.recipe.loss != spec.task.loss(summary.recipe.loss):
        raise SummaryFormatError(f"a task of {spec.task.name} is not learned by the loss {summary.recipe.loss!r}")
    steps = summary.recipe.steps
    if steps is not None and len(steps.rates) * len(summary) > MAX_STEP_EXAMPLES:
        raise SummaryFormatError(f"a recipe of {len(steps.rates)} steps on {len(summary)} examples is too long")
    if soft and len(summary) * spec.num_classes > MAX_LABELS:
        raise SummaryFormatError(f"soft labels of {len(summary)} examples over {spec.num_classes} classes are too many")


def _labels(config: Any, stored: Mapping[str, Tensor], summary: Content) -> Labels | None:
    """Return the labels of a summary. Their number is that of its examples."""
    if config is None:
        if stored:
            raise SummaryFormatError(f"{TENSORS} holds labels that {CONFIG} does not describe: {sorted(stored)[:5]}")
        return None
    kind, settings = str(config["kind"]), {name: value for name, value in config.items() if name != "kind"}
    if kind not in LABELS or summary.spec.task.numeric:
        raise SummaryFormatError(f"labels of kind {kind[:40]!r} are unknown, or not for {summary.spec.task.name}")
    if len(summary) * summary.spec.num_classes > MAX_LABELS:
        raise SummaryFormatError(
            f"labels of {len(summary)} examples over {summary.spec.num_classes} classes are too many"
        )
    return LABELS[kind].restore(settings, stored, len(summary), summary.spec)


def _spec(config: Mapping[str, Any], directory: Path) -> Spec:
    named = config.get("modality")
    modality = next(m for m in MODALITIES.values() if m.first) if named is None else MODALITIES.get(str(named))
    if modality is None:
        raise SummaryFormatError(f"{CONFIG}: modality {str(named)[:40]!r} is unknown")
    facts = {key: value for key, value in config.items() if key != "modality"}
    whole = [*facts["shape"], facts["num_classes"], *facts["classes"]]
    if not all(type(number) is int for number in whole):
        raise SummaryFormatError(f"{CONFIG}: shape, num_classes and classes must be whole numbers")
    for name in facts["class_names"]:
        checked_text(name, CONFIG)
    spec = modality.read_spec(facts, lambda: read_tensors(directory / NORMALISATION))
    _check_keys(facts, set(spec.to_json()), "spec")
    return spec


def _parts(
    configs: Sequence[Mapping[str, Any]], stored: Mapping[str, Tensor], table: Mapping[str, type[Factorization]]
) -> tuple[Part, ...]:
    if not 0 < len(configs) <= MAX_PARTS:
        raise SummaryFormatError(f"{CONFIG} lists {len(configs)} parts: allowed are 1 to {MAX_PARTS}")
    parts, used = [], set()
    for i, config in enumerate(configs):
        kind = table.get(str(config["name"]))
        if kind is None:
            raise SummaryFormatError(
                f"factorization {str(config['name'])[:40]!r} is unknown: pass your own class as factorizations={{name: class}}"
            )
        settings = {k: v for k, v in config.items() if k != "name"}
        prefix = f"part{i}."
        tensors = {name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)}
        used |= {prefix + name for name in tensors}
        parts.append(Part(kind.from_decoder(settings), tensors))
    if used != set(stored):
        raise SummaryFormatError(f"{TENSORS} holds tensors that no part uses: {sorted(set(stored) - used)[:5]}")
    return tuple(parts)
