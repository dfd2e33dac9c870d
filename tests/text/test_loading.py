"""Sentences from every source, their words and vectors, and what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ddcore as dd
from ddcore.errors import DistillationError, InputDataError, SettingsError, UnknownNameError
from ddcore.text import TextSpec
from ddcore.text.tokens import cut_by
from tests.text.data import sentences, topics, vectors


class Dataset:
    """What the library asks of a ``datasets.Dataset``."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.column_names, self.features = frame, list(frame.columns), dict[str, object]()

    def __len__(self) -> int:
        return len(self.frame)

    def to_pandas(self) -> pd.DataFrame:
        return self.frame


def spec_of(target: dd.TargetData) -> TextSpec:
    assert isinstance(target.spec, TextSpec)
    return target.spec


def read(target: dd.TargetData, row: int = 0) -> list[str]:
    return [spec_of(target).words[i] for i in target.train.inputs[row].tolist() if i]


def test_every_source_gives_the_same_sentences(tmp_path: Path) -> None:
    frame = sentences()
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame.to_parquet(tmp_path / "all.parquet")
    (tmp_path / "all").write_text("".join(f"{label}\t{text}\n" for text, label in frame.to_numpy()))
    options = {"embeddings": vectors(), "length": 10, "name": "the same"}
    wanted = dd.load_data(frame, **options).fingerprint()
    renamed = frame.rename(columns={"label": "kind"})
    for source in (tmp_path / "all.csv", str(tmp_path / "all.parquet"), tmp_path / "all", Dataset(frame)):
        assert dd.load_data(source, **options).fingerprint() == wanted, source
    assert dd.load_data(renamed, modality="sentences", target="kind", **options).fingerprint() == wanted


def test_folders_and_dictionaries_of_datasets_keep_their_splits(tmp_path: Path) -> None:
    train, test = sentences(20), sentences(7, seed=1)
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    for source in (tmp_path, {"train": Dataset(train), "test": Dataset(test)}):
        target = dd.load_data(source, embeddings=vectors())
        assert (len(target.train), len(target.test)) == (60, 21)  # type: ignore[arg-type]
        assert "split" not in target.spec.read_from_examples


def test_words_are_lowered_cut_and_counted_on_training_sentences_only() -> None:
    frame = pd.DataFrame(
        {
            "text": ["The cat, the dog!", "A cat's dog", "unheard dog"] * 2,
            "label": ["x", "y", "x"] * 2,
            "split": ["train", "train", "test"] * 2,
        }
    )
    target = dd.load_data(frame, length=6)
    assert cut_by(None)(["The cat, the DOG's!"]) == [["the", "cat", ",", "the", "dog", "'", "s", "!"]]
    assert "unheard" not in spec_of(target).words
    assert read(target) == ["the", "cat", ",", "the", "dog", "!"]
    assert target.test is not None and target.test.inputs[0].tolist()[:2] == [1, spec_of(target).words.index("dog")]
    assert spec_of(target).mean_length == 5.5
    assert dd.load_data(frame, length=2).train.inputs.shape[1] == 2
    few = spec_of(dd.load_data(frame, vocabulary_size=2))
    assert few.words == ("[padding]", "[unknown]", "cat", "dog")


def test_vectors_come_from_files_pairs_mappings_and_models(tmp_path: Path) -> None:
    words, matrix = vectors()
    np.savez(tmp_path / "vectors.npz", words=np.array(words), vectors=matrix.astype(np.float16))
    (tmp_path / "vectors.txt").write_text(
        "".join(f"{w} {' '.join(map(str, v))}\n" for w, v in zip(words, matrix, strict=True))
    )
    wanted = spec_of(dd.load_data(sentences(), embeddings=(words, matrix)))
    mapping = dict(zip(words, matrix, strict=True))
    for given in (tmp_path / "vectors.npz", tmp_path / "vectors.txt", (words, torch.from_numpy(matrix)), mapping):
        found = spec_of(dd.load_data(sentences(), embeddings=given))
        assert found.words == wanted.words
        assert torch.allclose(found.embedding.vectors, wanted.embedding.vectors, atol=2e-3)
    known = wanted.words.index("cat")
    assert wanted.embedding.vectors[known].tolist() == pytest.approx(matrix[words.index("cat")].tolist())
    assert not wanted.embedding.vectors[0].any()
    assert torch.allclose(wanted.embedding.vectors[1], wanted.embedding.vectors[2:].mean(dim=0))


def test_a_tokenizer_and_its_models_vectors_can_be_given() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    frame = sentences()
    own = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.train_from_iterator(
        frame["text"], tokenizers.trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"])
    )

    class Model:
        def get_input_embeddings(self) -> torch.nn.Embedding:
            return torch.nn.Embedding.from_pretrained(torch.arange(60.0)[:, None].expand(60, 3).clone())

    target = dd.load_data(frame, tokenizer=own, embeddings=Model())
    spec = spec_of(target)
    assert spec.tokenizer == "own" and spec.shape == (30, 3)
    number = own.get_vocab()[spec.words[5]]
    assert spec.embedding.vectors[5].tolist() == [number] * 3
    with pytest.raises(SettingsError, match="give the same, tokenizer="):
        dd.load_data(frame, like=spec)
    assert torch.equal(dd.load_data(frame, like=spec, tokenizer=own).train.inputs, target.train.inputs)


def test_vectors_learned_on_the_task_tell_the_topics_apart() -> None:
    spec = spec_of(dd.load_data(sentences()))
    held = torch.nn.functional.normalize(spec.embedding.vectors[2:])
    place = {word: i for i, word in enumerate(spec.words[2:])}
    animals, food = [place[w] for w in ("cat", "dog", "horse")], [place[w] for w in ("bread", "cheese", "soup")]
    same, other = float((held[animals] @ held[animals].T).mean()), float((held[animals] @ held[food].T).mean())
    assert same > other + 0.3
    assert dd.load_data(sentences()).fingerprint() == dd.load_data(sentences()).fingerprint()


def test_words_go_to_vectors_and_back() -> None:
    target = topics()
    embedding = spec_of(target).embedding
    inputs = embedding.apply(target.train.inputs)
    known = target.train.inputs.long()
    assert inputs.shape == (*known.shape, 8)
    assert torch.equal(embedding.invert(inputs), known)
    near = (
        inputs + 0.01 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0)) * (known > 0)[:, :, None]
    )
    assert torch.equal(embedding.invert(near)[known > 1], known[known > 1])


BAD: list[tuple[pd.DataFrame, dict[str, Any], type[DistillationError], str]] = [
    (sentences().assign(text="  "), {}, InputDataError, "180 sentences are empty"),
    (sentences().drop(columns="label"), {"modality": "sentences"}, InputDataError, "which column holds the classes"),
    (sentences().drop(columns="text"), {"modality": "sentences"}, InputDataError, "stand in a column 'text'"),
    (sentences(), {"target": "kind"}, UnknownNameError, "kind"),
    (sentences().assign(label=None), {}, InputDataError, "values are missing in 'label'"),
    (sentences().iloc[:0], {}, InputDataError, "there are no sentences"),
    (sentences(), {"class_names": ["animals", "food"]}, InputDataError, "'travel' is not among the classes"),
    (sentences().assign(split="dev"), {}, InputDataError, "holds 'dev'"),
    (sentences(), {"embeddings": (["zebra"], np.ones((1, 4)))}, InputDataError, "no word of the training sentences"),
    (sentences(), {"embeddings": (["cat"], np.ones((2, 4)))}, InputDataError, "words x dimension"),
    (sentences(), {"embeddings": (["cat", "dog"], np.full((2, 4), np.nan))}, InputDataError, "NaN or infinity"),
    (sentences(), {"embeddings": {"cat": np.ones(3), "dog": np.ones(4)}}, InputDataError, "differ in their shapes"),
    (sentences(), {"embeddings": "nowhere.npz"}, InputDataError, "is not there"),
    (sentences(), {"embeddings": 7}, InputDataError, "is no embedding"),
    (sentences(), {"tokenizer": 7}, InputDataError, "is no tokenizer"),
    (sentences(), {"length": 0}, SettingsError, "length"),
]


@pytest.mark.parametrize(("source", "options", "error", "said"), BAD)
def test_what_cannot_be_used_is_said(
    source: pd.DataFrame, options: dict[str, Any], error: type[DistillationError], said: str
) -> None:
    with pytest.raises(error, match=said):
        dd.load_data(source, **options)


def test_broken_files_are_said(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("ham\tone two\nno tab here\n")
    with pytest.raises(InputDataError, match="line 2 is no label"):
        dd.load_data(tmp_path / "lines")
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(InputDataError, match="cannot be read as word vectors"):
        dd.load_data(sentences(), embeddings=tmp_path / "broken.npz")
    with pytest.raises(SettingsError, match="like= says words"):
        dd.load_data(sentences(), like=topics().spec, length=3)
