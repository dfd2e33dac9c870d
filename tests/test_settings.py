from __future__ import annotations

import pytest

import ddcore as dd
from ddcore.errors import SettingsError


def test_a_path_reaches_an_entry_of_a_tuple() -> None:
    method = dd.methods.idc(ipc=1, preset="paper", data="fashion-mnist")
    changed = dd.override(method, "networks.augmentation.augmentations.1.probability", 1.0)
    assert changed.networks.augmentation.augmentations[1].probability == 1.0  # type: ignore[attr-defined]
    assert changed.networks.augmentation.augmentations[0] == method.networks.augmentation.augmentations[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("optimiser.drops", ["a"]),
        ("optimiser.betas", [0.1]),
        ("networks.augmentation.augmentations.7.probability", 1.0),
        ("matching.real_batch", 2.5),
        ("networks.outer", 0),
    ],
)
def test_values_of_another_kind_are_refused(path: str, value: object) -> None:
    with pytest.raises(SettingsError):
        dd.override(dd.methods.idc(ipc=1, preset="paper"), path, value)
