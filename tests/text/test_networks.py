"""Classifiers of sentences: padding, second derivatives, and torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import ddcore as dd
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.parts import Architecture
from ddcore.text import BiLSTM, TextCNN, TinyTransformer, TransformersClassifier

SHAPE = (7, 6)
ALL = [TextCNN(width=5), BiLSTM(width=4), TinyTransformer(width=8, depth=1, heads=2)]


def sentences(lengths: tuple[int, ...] = (7, 3, 5)) -> Tensor:
    inputs = torch.randn(len(lengths), *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for row, length in zip(inputs, lengths, strict=True):
        row[length:] = 0
    return inputs


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.name)
def test_derivatives_are_right_twice(architecture: Architecture) -> None:
    """Unrolled training needs them. `gradgradcheck` compares with differences."""
    network = architecture.build((5, 6), 3, seed=0, dtype=torch.float64)
    weights = [w.detach().requires_grad_() for w in network.module.parameters()]
    names = [name for name, _ in network.module.named_parameters()]

    def loss(inputs: Tensor, *held: Tensor) -> Tensor:
        logits = torch.func.functional_call(network.module, dict(zip(names, held, strict=True)), (inputs,))
        return torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2]))

    inputs = sentences((5, 5))[:, :5].contiguous().requires_grad_()  # a difference would turn padding into words
    some = [weights[0], weights[-1]]
    rest = dict(zip(names, weights, strict=True))

    def of_some(x: Tensor, first: Tensor, last: Tensor) -> Tensor:
        return loss(x, *{**rest, names[0]: first, names[-1]: last}.values())

    assert torch.autograd.gradgradcheck(of_some, (inputs, *some), atol=1e-5, nondet_tol=1e-9)


@pytest.mark.parametrize("architecture", ALL[1:], ids=lambda a: a.name)
def test_more_padding_changes_nothing(architecture: Architecture) -> None:
    network = architecture.build(SHAPE, 3, seed=0, dtype=torch.float64)
    short = sentences((3,))[:, :4]
    assert torch.allclose(network(sentences((3,))), _of_length(architecture, network, short), atol=1e-12)


def _of_length(architecture: Architecture, network: nn.Module, inputs: Tensor) -> Tensor:
    other = architecture.build((inputs.shape[1], SHAPE[1]), 3, seed=0, dtype=torch.float64)
    state = {k: v[: inputs.shape[1]] if k.endswith("positions") else v for k, v in network.state_dict().items()}
    other.load_state_dict(state)
    found: Tensor = other(inputs)
    return found


def test_the_lstm_is_torchs() -> None:
    ours = BiLSTM(width=4).build(SHAPE, 3, seed=0, dtype=torch.float64).module
    theirs = nn.LSTM(SHAPE[1], 4, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for way, ending in enumerate(("", "_reverse")):
            # torch has the gates in the order input, forget, cell, output; ours ends with the cell.
            order = torch.cat([torch.arange(0, 8), torch.arange(12, 16), torch.arange(8, 12)])
            back = torch.empty_like(order)
            back[order] = torch.arange(16)
            inward, recurrent = ours.inward[way], ours.recurrent[way]  # type: ignore[index]
            getattr(theirs, f"weight_ih_l0{ending}").copy_(inward.weight[back])
            getattr(theirs, f"bias_ih_l0{ending}").copy_(inward.bias[back])
            getattr(theirs, f"weight_hh_l0{ending}").copy_(recurrent.weight[back])
            getattr(theirs, f"bias_hh_l0{ending}").zero_()
    lengths = (7, 3, 5)
    packed = nn.utils.rnn.pack_padded_sequence(
        sentences(lengths), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    _, (hidden, _) = theirs(packed)
    wanted = ours.classifier(torch.cat([hidden[0], hidden[1]], dim=1))  # type: ignore[operator]
    assert torch.allclose(ours(sentences(lengths)), wanted, atol=1e-12)


def test_the_convolutions_read_every_window() -> None:
    """A filter's feature is the largest of its values on all windows, and at least zero."""
    module = TextCNN(width=5).build(SHAPE, 3, seed=0, dtype=torch.float64).module
    inputs = sentences()
    features = []
    for convolution, window in zip(module.convolutions, (3, 4, 5), strict=True):  # type: ignore[arg-type]
        values = [
            torch.einsum("nld,fdl->nf", inputs[:, at : at + window], convolution.weight) + convolution.bias
            for at in range(SHAPE[0] - window + 1)
        ]
        features.append(torch.stack(values).amax(dim=0).clamp_min(0))
    wanted = module.classifier(torch.cat(features, dim=1))  # type: ignore[operator]
    assert torch.allclose(module(inputs), wanted, atol=1e-12)


def test_a_model_of_transformers_reads_vectors() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=7, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    architecture = TransformersClassifier(config)
    network = architecture.build((7, 8), 3, seed=0)
    again = architecture.build((7, 8), 3, seed=0)
    inputs = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(0))
    inputs[1, 4:] = 0
    assert network(inputs).shape == (2, 3) and torch.equal(network(inputs), again(inputs))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    wanted = network.module.model(inputs_embeds=inputs, attention_mask=mask).logits  # type: ignore[operator, union-attr]
    assert torch.allclose(network(inputs), wanted)
    with pytest.raises(UnsupportedError, match="reads 7 vectors of 8"):
        architecture.build((8, 8), 3, seed=0)
    with pytest.raises(UnsupportedError, match="sentences are 7 x 6"):
        architecture.build((7, 6), 3, seed=0)


def test_other_data_and_impossible_sizes_are_refused(digits: dd.TargetData) -> None:
    with pytest.raises(UnsupportedError, match="is for sentences"):
        dd.evaluate(digits, digits, networks="textcnn", runs=1)
    with pytest.raises(UnsupportedError, match="takes sentences"):
        TextCNN().module((1, 8, 8), 3)
    with pytest.raises(SettingsError, match="do not divide"):
        TinyTransformer(width=10, heads=4)
