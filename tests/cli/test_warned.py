"""What the library warns of is one line of a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddapps.cli.main import main


@pytest.mark.filterwarnings("default::ddcore.errors.DistillationWarning")
def test_a_warning_is_one_line_and_names_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, file = np.random.default_rng(0), str(tmp_path / "one.npz")
    images = numbers.integers(0, 255, (6, 8, 8), dtype=np.uint8)
    labels = np.repeat([1, 2, 3], 2)
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    words = ["distill", file, "--method", "random", "--ipc", "1", "--quiet", "--out", str(tmp_path / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.showwarning", _as_python_does)
        assert main(words) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ddapps distill: warning: one: class ids begin at 0, and the training labels are 1, 2, 3: ")


def _as_python_does(*given: object) -> None:
    raise AssertionError(given)
