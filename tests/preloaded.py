"""What processes of ``tests.forked`` have imported, and the command line in one of them."""

import sys

import scipy.stats  # noqa: F401 - evaluations import it
import sklearn.datasets  # noqa: F401 - digits are read by it
import torch._dynamo  # noqa: F401 - torch's optimisers import it when the first of them is made

from ddapps.cli.main import main


def command_without(package: str, words: list[str]) -> None:
    """Run the command line as if a package were not installed."""
    sys.modules[package] = None  # type: ignore[assignment]
    sys.exit(main(words))
