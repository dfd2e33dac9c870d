"""What a reply must be: every check that stands between a stranger's bytes and the union."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flwr.app import Message

import ddcore as dd
from ddapps.federated.squeezing import unsqueezed
from ddapps.federated.terms import Terms
from ddapps.federated.weakness import asked_limit
from ddapps.federated.wire import (
    REFUSAL,
    REFUSED,
    SUMMARY,
    Contribution,
    Task,
    facts_of,
)
from ddcore.errors import DistillationError, SummaryFormatError
from ddcore.factorization import AsStored
from ddcore.ground import unpack_tensors
from ddcore.images import Pixels
from ddcore.summary import DataSummary, Part, check_examples

HEADERS = 4096
"""Bytes that names and shapes may take beside the agreed size."""
MAX_COUNT = 10**9
MAX_NUMBER, MAX_LABEL = 100.0, 10.0
"""The largest normalised number of an example, unless it is a pixel in [0, 1]; and of a label."""
AGREED_WORDS = ("labels", "storage", "factor", "levels", "palette", "size")
"""A decoder's settings that must be the agreed method's; others are sizes, which may differ."""
MAX_WHOLE = 2**28
"""Bytes that a client may send where it sends all of its examples."""
MAX_TEXT = 2**16
EDGE = 0.01
MOST_EXAMPLES = 64
"""Examples per real image that the agreed bytes would hold."""


class Agreement:
    """What a reply must be, as client and server know it before the run.

    Args:
        settings: of the run.
        spec: of the server's data.
    """

    def __init__(self, settings: Terms, spec: dd.Spec) -> None:
        self.spec = spec = replace(spec, classes=tuple(range(spec.num_classes)))
        compression = settings.compression.suited_to(spec)
        self._settings, self._compression = settings, compression
        self._factorization = compression.factorization
        # Of what is compressed, bytes do not bound how many examples there are.
        stored = getattr(self._factorization, "of", None) if self._factorization.wraps else self._factorization
        self._counted = isinstance(stored, AsStored)
        method = compression.at(1)
        self._method = {"name": method.name}
        self._cites = list(dict.fromkeys([*method.cites, *settings.cites]))
        self._recipe = compression.first_recipe
        self._per_class = None if settings.bytes or settings.whole else settings.ipc
        most = compression.most_bytes(settings.limit(spec), spec)
        self.max_bytes = min(most, MAX_WHOLE) if settings.whole else most
        # A coded example takes a byte at least.
        dense = self.max_bytes if self._factorization.wraps else MOST_EXAMPLES * self.max_bytes // math.prod(spec.shape)
        self._max_examples = max(dense, MOST_EXAMPLES)
        self._budget = (settings.epsilon, settings.delta) if settings.private else None

    def read(self, message: Message, task: Task) -> Contribution:
        """Return what a reply holds.

        Raises:
            SummaryFormatError: it is not what was agreed; the message says why.
        """
        try:
            return self._read(message, task)
        except SummaryFormatError:
            raise
        except (
            DistillationError,
            LookupError,
            TypeError,
            ValueError,
            ArithmeticError,
            RuntimeError,
            MemoryError,
        ) as error:
            raise SummaryFormatError(f"malformed: {error}") from error

    def _read(self, message: Message, task: Task) -> Contribution:
        if message.has_content() and REFUSAL in message.content.config_records:
            raise SummaryFormatError(REFUSED)
        if message.has_error():
            raise SummaryFormatError(failure_of(message))
        content = message.content
        if list(content) != [SUMMARY] or SUMMARY not in content.config_records:
            raise SummaryFormatError(
                f"the reply holds {sorted(map(str, content))[:5]}, wanted is one record {SUMMARY!r}"
            )
        record = content.config_records[SUMMARY]
        wanted = {"round", "nonce", "client", "facts", "tensors", "part", "recipe", "num-examples"}
        if not wanted <= set(record) <= wanted | {"record", "counts", "seconds", "steps"}:
            raise SummaryFormatError(f"its record has unknown or missing entries: {sorted(set(record) ^ wanted)[:5]}")
        if record["round"] != task.round:
            raise SummaryFormatError(
                f"it answers round {str(record['round'])[:20]}, asked was round {task.round}: a replayed reply"
            )
        if record["nonce"] != task.nonce:
            raise SummaryFormatError("it does not repeat the nonce of its task: a replayed reply")
        if record["facts"] != facts_of(self.spec):
            raise SummaryFormatError(
                "its data has another shape, number of classes or normalisation than the server's: load both with one normalisation= and num_classes="
            )
        tensors = record["tensors"]
        if not isinstance(tensors, bytes):
            raise SummaryFormatError("its tensors are no bytes")
        given = (tensors, parsed(record["part"]), parsed(record["recipe"]), record.get("record"))
        summary = self._summary(*given, task.asked)
        return Contribution(
            client=_name(record["client"]),
            node=message.metadata.src_node_id,
            round=task.round,
            summary=summary,
            counts=self._counts(record.get("counts")),
            num_examples=whole(record["num-examples"]),
            supplement=bool(task.asked),
            **self._work(record),
        )

    def _summary(
        self, tensors: bytes, part: dict[str, Any], recipe: dict[str, Any], record: object, asked: Mapping[int, float]
    ) -> DataSummary:
        summary = self.summary_of(tensors, part, dd.Recipe.restore(recipe), self._kept(record))
        most, each = self._bounds(asked)
        if summary.stored_bytes > most:
            raise SummaryFormatError(f"it stores {summary.stored_bytes} bytes, agreed are {most}")
        if not summary.recipe.same_form(self._recipe):
            raise SummaryFormatError(
                f"its recipe ({summary.recipe.loss}) does not have the form of the agreed method's ({self._recipe.loss})"
            )
        strangers = set(summary.counts) - set(asked)
        if asked and strangers:
            raise SummaryFormatError(f"it has examples of class {min(strangers)}, asked were {sorted(asked)}")
        self._check(summary, each)
        return summary

    def _bounds(self, asked: Mapping[int, float]) -> tuple[int, Mapping[int, int] | None]:
        """Return the most bytes, and the most examples of each class.

        None: bytes alone bound them.
        """
        if not asked:
            return self.max_bytes, None if self._per_class is None else dict.fromkeys(
                self.spec.classes, self._per_class
            )
        limit = asked_limit(self._settings, self.spec, asked)
        most = min(self.max_bytes, self._compression.most_bytes(limit, self.spec))
        return most, None if isinstance(limit, int) else limit

    def summary_of(
        self,
        tensors: bytes,
        part: Mapping[str, Any],
        recipe: dd.Recipe | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> DataSummary:
        """Return the summary that tensors and decoding settings make.

        Only what decoding needs is checked.
        """
        known = {"data": "client", "method": self._method, "cites": self._cites}
        return DataSummary((self.part(tensors, part),), self.spec, recipe or dd.Recipe(), {**known, **(record or {})})

    def part(self, tensors: bytes, settings: Mapping[str, Any]) -> Part:
        """Return the part that tensors and decoding settings make."""
        if settings.get("name") != self._factorization.name:
            raise SummaryFormatError(
                f"it stores {str(settings.get('name'))[:40]!r}, agreed is {self._factorization.name!r}"
            )
        decoder = {name: value for name, value in settings.items() if name != "name"}
        agreed = self._factorization.decoder()
        _require_agreed(decoder, agreed)
        stored = unpack_tensors(unsqueezed(tensors, self.max_bytes + HEADERS), "the reply")
        return Part(self._factorization.loader().from_decoder(decoder), stored)

    def _check(self, summary: DataSummary, most: Mapping[int, int] | None) -> None:
        (examples,) = summary.examples()
        if sum(examples.counts.values()) > self._max_examples:
            raise SummaryFormatError(
                f"it decodes to {sum(examples.counts.values())} examples, more than {self._max_examples}"
            )
        if most is not None and self._counted:
            for class_id, count in examples.counts.items():
                if count > most.get(class_id, 0):
                    raise SummaryFormatError(
                        f"it has {count} examples of one class, agreed are {most.get(class_id, 0)}"
                    )
        check_examples(summary)
        inputs, targets = summary.tensors()
        if targets.ndim == 2 and float(targets.abs().max()) > MAX_LABEL:
            raise SummaryFormatError(f"a soft label of {float(targets.abs().max()):.3g} is out of range")
        normalisation = self.spec.normalisation
        if isinstance(self._factorization, Pixels) and self._factorization.clip and normalisation.exact:
            pixels = normalisation.invert(inputs)
            low, high = float(pixels.min()), float(pixels.max())
            if low < -EDGE or high > 1 + EDGE:
                raise SummaryFormatError(f"its pixels reach from {low:.3g} to {high:.3g}, agreed are pixels in [0, 1]")
        elif float(inputs.abs().max()) > MAX_NUMBER:
            raise SummaryFormatError(f"a normalised pixel of {float(inputs.abs().max()):.3g} is out of range")

    def _counts(self, values: object) -> dict[int, int]:
        if values is None:
            return {}
        if not isinstance(values, list) or len(values) != self.spec.num_classes:
            raise SummaryFormatError(f"class sizes are {self.spec.num_classes} numbers, or none")
        return {class_id: n for class_id, value in enumerate(values) if (n := whole(value))}

    def _work(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a client says of its work, where there is a time limit."""
        if not self._settings.max_seconds:
            return {}
        seconds = record.get("seconds")
        if type(seconds) is not float or not 0 <= seconds <= MAX_COUNT:
            raise SummaryFormatError(f"a time limit was agreed, and it says {str(seconds)[:40]!r} seconds")
        return {"seconds": seconds, "steps": whole(record.get("steps"))}

    def _kept(self, record: object) -> dict[str, Any]:
        """Return the entries that a private summary keeps of its record: certificate and steps."""
        if self._budget is None:
            return {}
        kept = {} if record is None else parsed(record)
        if set(kept) != {"privacy", "steps"}:
            raise SummaryFormatError("a private run was agreed, and the reply carries no certificate")
        from ddapps.privacy import Certificate

        certificate = Certificate.from_json(kept["privacy"])
        epsilon, delta = self._budget
        if certificate.epsilon > epsilon * (1 + 1e-6) or certificate.delta > delta:
            raise SummaryFormatError(
                f"its certificate claims epsilon {certificate.epsilon:.4g} at delta {certificate.delta:.3g}, agreed are {epsilon:g} and {delta:g}"
            )
        return {"privacy": certificate.to_json(), "steps": whole(kept["steps"])}


def _require_agreed(decoder: Mapping[str, Any], agreed: Mapping[str, Any]) -> None:
    """Raise unless a decoder's settings, and those of what it wraps, are the agreed method's."""
    for name in AGREED_WORDS:
        if decoder.get(name) != agreed.get(name):
            raise SummaryFormatError(f"its {name} is {str(decoder.get(name))[:40]!r}, agreed is {agreed.get(name)!r}")
    if "of" in agreed:
        inner = decoder.get("of")
        if not isinstance(inner, Mapping) or inner.get("name") != agreed["of"]["name"]:
            raise SummaryFormatError(f"it compresses {str(inner)[:60]}, agreed is {agreed['of']['name']!r}")
        _require_agreed(inner, agreed["of"])


def parsed(text: object) -> dict[str, Any]:
    """Return the JSON object in a text from a stranger."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise SummaryFormatError("its settings are no text of reasonable length")
    try:
        value = json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise SummaryFormatError("its settings are nested too deeply") from error
    if not isinstance(value, dict):
        raise SummaryFormatError("its settings are no JSON object")
    return value


def _refused(constant: str) -> float:
    raise SummaryFormatError(f"its settings hold {constant}, which is not a JSON number")


def failure_of(message: Message) -> str:
    """Return what an error reply says, in one line."""
    lines = (message.error.reason or "").strip().splitlines()
    return f"the client failed: {lines[-1][:300] if lines else 'it gave no reason'}"


def whole(value: object) -> int:
    """Return a number of examples that a stranger says, or raise `SummaryFormatError`."""
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise SummaryFormatError(f"{str(value)[:40]!r} stands where a number of examples belongs")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 80 or not value.isprintable():
        raise SummaryFormatError("a client's name is printable text of at most 80 characters")
    return value
