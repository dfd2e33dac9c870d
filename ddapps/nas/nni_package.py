"""NNI, once it is needed: importing it takes seconds, and warns of what is not its user's fault."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

from ddcore.errors import MissingExtraError


def require_nni() -> None:
    """Import NNI's architecture search.

    Raises:
        MissingExtraError: it, or the package that it needs and does not declare, is not installed.
    """
    for package in ("nni", "pytorch_lightning"):
        if find_spec(package) is None:
            raise MissingExtraError("this search space", package.replace("_", "-"), "nas")
    with warnings.catch_warnings():
        # It lists the modules of torch that it was not made for. Its own dependencies announce
        # removals.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        import nni.nas.hub.pytorch  # noqa: F401
