from __future__ import annotations

import pytest

import ddcore as dd
from ddcore.errors import SettingsError, UnknownNameError, did_you_mean


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("dmm", ["cafe", "dm", "dsa"], " (did you mean 'dm'?)"),
        ("MNIST", ["digits", "mnist"], " (did you mean 'mnist'?)"),
        ("convent(width=16)", ["convnet", "lenet"], " (did you mean 'convnet'?)"),
        ("data.npz", ["digits", "path/to/data.npz"], ""),
        ("wine", ["digits", "cifar10"], ""),
        ("1", [0, 1, 2], " (did you mean '1'?)"),
    ],
)
def test_the_name_that_is_most_like_the_given_one_is_offered(given: str, known: list[object], meant: str) -> None:
    assert did_you_mean(given, known) == meant


def test_every_kind_of_name_is_offered() -> None:
    method = dd.methods.dm(ipc=1)
    for call, meant in (
        (lambda: dd.methods.build_method("herdng"), "'herding'"),
        (lambda: dd.load_data("digit"), "'digits'"),
        (lambda: method.on_networks("convnett(width=16)"), "'convnet'"),
        (lambda: dd.methods.compose("distributon", "pixels"), "'distribution'"),
        (lambda: dd.methods.compose("distribution", "pixel"), "'pixels'"),
        (lambda: dd.evaluate(dd.load_data("digits"), dd.load_data("digits"), protocol="quik"), "'quick'"),
    ):
        with pytest.raises(UnknownNameError) as caught:
            call()
        assert f" (did you mean {meant}?): choose one of " in str(caught.value)


def test_a_setting_of_another_name_is_offered() -> None:
    with pytest.raises(SettingsError, match=r"no setting 'learning_rat' \(did you mean 'learning_rate'\?\): choose"):
        dd.override(dd.methods.dm(ipc=1), "optimiser.learning_rat", 1.0)
    with pytest.raises(SettingsError, match=r"without 'normalization' \(did you mean 'normalisation'\?\): choose of"):
        dd.load_data("digits", normalization="none")
