"""`DataSummary`: the result of distillation, with the recipe to train on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ddcore.errors import InputDataError, UnsupportedError
from ddcore.ground import counted
from ddcore.labels import ClassLabels
from ddcore.parts import Batch, Factorization, Labelling, modality_named
from ddcore.settings import describe
from ddcore.summary.compression import compressed_bytes
from ddcore.summary.content import Content, Part
from ddcore.summary.decoded import DecodedWhenAsked, Transformed
from ddcore.summary.files import read_summary, write_summary


@dataclass(frozen=True, eq=False)
class DataSummary(Content):
    """A distilled dataset. Its fields are those of `Content`."""

    def as_dataset(
        self, *, transform: Callable[[Tensor], Any] | None = None, lazy: bool = False
    ) -> Dataset[tuple[Any, ...]]:
        """Return a torch ``Dataset`` of inputs and targets.

        Args:
            transform: None: inputs are normalised already; do not normalise them again. Else a
                function of one example before the normalisation, as with torchvision's datasets: of
                images it takes pixels in [0, 1], ``channels x height x width``, clipped as in
                `to_pixels`. What it returns is the input. Nothing is normalised after it, so let it
                end with `normalise`.
            lazy: whether examples are decoded each time they are asked for. Else all are decoded
                once, here.

        Example:
            ``summary.as_dataset(transform=v2.Compose([v2.RandomCrop(8, 1), summary.normalise]))``
        """
        if self.spec.connected:
            raise UnsupportedError("connected examples are no rows of a Dataset: take to_pyg(), or tensors()")
        dataset = DecodedWhenAsked(self) if lazy else TensorDataset(*self.tensors())
        return dataset if transform is None else Transformed(dataset, self.denormalise, transform)

    def normalise(self, values: Tensor) -> Tensor:
        """Return what networks see of real examples, under the normalisation of this summary.

        Args:
            values: as the data hold them: of images, floats in [0, 1] or bytes. They are several,
                ``n x ...``, or one, without ``n``.

        Raises:
            InputDataError: they do not have the shape of such data, or pixels leave [0, 1].
        """
        lot, alone = self._lot(values, self.spec.input_shape)
        self.spec.check_inputs(lot, "given")
        inputs = self.spec.normalisation.apply(lot)
        return inputs[0] if alone else inputs

    def denormalise(self, inputs: Tensor) -> Tensor:
        """Return what data would hold, from what networks see: several examples, or one.

        Pixels are clipped to [0, 1].
        """
        lot, alone = self._lot(inputs, self.spec.shape)
        values = self.spec.within_range(self.spec.normalisation.invert(lot))
        return values[0] if alone else values

    @staticmethod
    def _lot(given: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, bool]:
        """Return examples as ``n x ...``, and whether it was one alone."""
        alone = given.ndim == len(shape)
        lot = given[None] if alone else given
        if tuple(lot.shape[1:]) != shape:
            raise InputDataError(
                f"examples of this summary have shape {shape}, these are of {tuple(given.shape)}: resize or convert them first"
            )
        return lot, alone

    def to_pixels(self) -> Tensor:
        """Return all examples as pixels in [0, 1] (clipped), ``n x channels x height x width``."""
        pixels: Tensor = self._as("pixels")
        return pixels

    def to_dataframe(self) -> Any:
        """Return all examples as a pandas ``DataFrame``, in the columns and units of the data."""
        return self._as("dataframe")

    def to_pyg(self) -> Any:
        """Return the synthetic graph as a ``Data`` of PyTorch Geometric."""
        return self._as("pyg")

    def _as(self, form: str) -> Any:
        forms = modality_named(self.spec.modality).forms()
        if form not in forms:
            raise UnsupportedError(f"{self.spec.modality} do not become {form}: choose of {', '.join(forms) or 'none'}")
        return forms[form](self.decoded())

    def compressed_bytes(self) -> int:
        """Return the bytes after lossless compression.

        Pixels that are stored as bytes become PNG, the rest goes through LZMA.
        """
        return compressed_bytes([tensor for _, tensor in self.held()]) + self.recipe.stored_bytes

    def quantize(self, to: str) -> DataSummary:
        """Return the summary stored as ``uint8`` or ``fp16``, as each factorization does it.

        Embedded sentences are also stored as ``words``: the nearest one in place of every vector.
        Labels by teachers stay as they were made.
        """
        parts = tuple(Part(*part.factorization.quantize(part.stored, self.spec, to)) for part in self.parts)
        return replace(self, parts=parts, record={**self.record, "quantised": to})

    def labelled(
        self, labelling: Labelling | None, *, seed: int = 0, device: str | torch.device = "cpu"
    ) -> DataSummary:
        """Return the same examples with other labels. None takes `labels` away.

        A certificate of privacy is not kept: what labels the examples has seen others.

        Args:
            labelling: what makes the labels, such as `ddcore.labels.TeacherLabelling`.
            seed: of order and views, where labels depend on them.
            device: where labels are computed.

        Raises:
            BudgetError: the labels take more bytes than the labelling allows.
            TeacherError: no teacher is given, or one reads other data.
            UnsupportedError: the recipe has steps of its own, which are for its own labels.
        """
        if labelling is None:
            return replace(self, labels=None, recipe=replace(self.recipe, temperature=1.0))
        if self.recipe.steps is not None or self.recipe.loss != "cross_entropy":
            raise UnsupportedError(
                f"the recipe of this summary ({self.recipe.loss}, {'its own steps' if self.recipe.steps else 'no steps'}) is "
                "for its own labels: others would not fit it"
            )
        examples = Batch(*self.as_stored(device))
        labels = labelling.label(examples, self.spec, seed=seed)
        record = {name: fact for name, fact in self.record.items() if name != "privacy"}
        record["labelled"] = {"by": describe(labelling), "seed": seed}
        recipe = replace(self.recipe, temperature=labels.temperature)
        return replace(self, labels=labels, recipe=recipe, record=record)

    def hard(self) -> DataSummary:
        """Return the same examples under the class ids that they are stored with.

        Raises:
            UnsupportedError: the targets are numbers, or the recipe is for labels of its own.
        """
        if self.spec.task.numeric or self.recipe.loss != "cross_entropy" or self.recipe.steps is not None:
            raise UnsupportedError("these examples have no class ids to train on, or a recipe for labels of their own")
        plain = self.labelled(None)
        if plain.tensors()[1].ndim == 1:
            return plain
        return replace(plain, labels=ClassLabels(self.decoded().owners, self.spec.num_classes))

    def sha256(self) -> str:
        """Return the SHA-256 of the stored tensors, and of what labels and initial weights are."""
        digest = hashlib.sha256()
        if self.labels is not None:
            digest.update(json.dumps([self.labels.kind, self.labels.config()], sort_keys=True).encode())
        if self.initial is not None:
            digest.update(json.dumps(["initial", self.initial.architecture]).encode())
        for name, tensor in self.held():
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write the summary to a directory (docs/summary.md).

        A summary that is there already is an error unless ``overwrite``.
        """
        return write_summary(self, Path(directory), overwrite=overwrite)

    @classmethod
    def load(
        cls, directory: str | Path, *, factorizations: Mapping[str, type[Factorization]] | None = None
    ) -> DataSummary:
        """Read a summary from a directory. Everything in it is checked before use.

        Args:
            directory: where `save` wrote it.
            factorizations: the caller's own classes by their ``name``. Beside the library's own
                the file can name no other code.

        Raises:
            SummaryFormatError: it is damaged, hostile, or of an unknown version. The message names
                the fault.
        """
        read = read_summary(Path(directory), factorizations or {})
        return cls(read.parts, read.spec, read.recipe, read.record, read.labels, read.initial)

    def __repr__(self) -> str:
        name, data = self.record.get("method", {}).get("name", "custom"), self.record.get("data", "?")
        return f"DataSummary({name} of {data}: {counted(len(self), 'example')}, {counted(len(self.counts), 'class', 'classes')}, {self.stored_bytes} bytes)"
