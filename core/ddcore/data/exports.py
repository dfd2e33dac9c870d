"""Examples as files of others: tables of pandas, and folders of Hugging Face ``datasets``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ddcore.errors import MissingExtraError
from ddcore.parts import Decoded, Export, Spec

PARQUET = "data/train-00000-of-00001.parquet"
"""Where ``datasets`` looks for the training split of a folder."""


def exports_of(
    frame_of: Callable[[Decoded], pd.DataFrame], class_column: Callable[[Spec], str | None]
) -> dict[str, Export]:
    """Return the forms of files that a ``DataFrame`` becomes.

    Args:
        frame_of: makes it of examples.
        class_column: names the column that holds the names of classes; None: there is none.
    """

    def csv(decoded: Decoded, path: Path, card: str) -> None:
        frame_of(decoded).to_csv(path, index=False)

    def parquet(decoded: Decoded, path: Path, card: str) -> None:
        try:
            frame_of(decoded).to_parquet(path, index=False)
        except ImportError as error:
            raise MissingExtraError("writing .parquet", "pyarrow", "parquet") from error

    def huggingface(decoded: Decoded, path: Path, card: str) -> None:
        datasets, frame, spec = datasets_package(), frame_of(decoded), decoded.spec
        named = class_column(spec)
        features: dict[str, Any] = {}
        for column in frame.columns:
            kind = (
                "float64"
                if frame[column].dtype.kind == "f"
                else "int64"
                if frame[column].dtype.kind == "i"
                else "string"
            )
            features[column] = class_label(spec) if column == named else datasets.Value(kind)
        write_dataset({name: frame[name].tolist() for name in frame.columns}, features, path, card)

    return {"csv": Export(csv, ".csv"), "parquet": Export(parquet, ".parquet"), "huggingface": Export(huggingface)}


def datasets_package() -> Any:
    """Return the package ``datasets``, or raise `MissingExtraError`."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("a folder of Hugging Face datasets", "datasets", "huggingface") from error
    return datasets


def class_label(spec: Spec) -> Any:
    """Return the feature of class ids that knows the names of all classes."""
    return datasets_package().ClassLabel(names=[spec.name_of(c) for c in range(spec.num_classes)])


def write_dataset(columns: Mapping[str, Sequence[Any]], features: Mapping[str, Any], path: Path, card: str) -> None:
    """Write a folder that ``datasets.load_dataset`` reads: a split ``train``, and a card.

    Args:
        columns: values by name. Those of a class may be its names.
        features: their kinds, of the package ``datasets``.
        path: of the folder.
        card: text below the card's header.
    """
    datasets = datasets_package()
    import pyarrow.parquet as pq
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    held = datasets.Dataset.from_dict(dict(columns), features=datasets.Features(dict(features)))
    (path / PARQUET).parent.mkdir(parents=True)
    pq.write_table(held.data.table, path / PARQUET)
    files = [{"split": "train", "path": "data/train-*"}]
    header = DatasetCardData(tags=["dataset-distillation"], configs=[{"config_name": "default", "data_files": files}])
    DatasetInfosDict({"default": datasets.DatasetInfo(features=held.features)}).to_dataset_card_data(header)
    (path / "README.md").write_text(f"---\n{header.to_yaml()}\n---\n\n{card}", encoding="utf-8")
