"""Estimators of scikit-learn beside networks: what people really use on tables."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ddcore.errors import SettingsError, UnknownNameError
from ddcore.ground import derive_seed
from ddcore.parts import Batch, Learner, Predictor, Spec, Task, Validate
from ddcore.settings import settings_pairs

PREFIX = "sklearn:"
SUFFIX = re.compile(r"(Classifier|Regressor)(CV)?$")


@dataclass(frozen=True)
class Estimator(Learner):
    """An estimator by name, or the caller's own as a template. Every run gets a new one.

    Attributes:
        title: shown in reports.
        kind: ``hist-gradient-boosting``, ``logistic-regression``, ``k-neighbors``, ... It is the
            name of the class in small letters, without Classifier or Regressor.
        settings: arguments of its constructor.
        template: the caller's object, in place of a name. It is copied for every run.
    """

    title: str
    kind: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    template: Any = None
    name: ClassVar[str] = "sklearn"

    @property
    def label(self) -> str:
        return self.title

    def build(self, task: Task, seed: int) -> Any:
        """Return a new estimator for ``task``. Its random state is ``seed``."""
        from sklearn.base import clone

        if self.template is None:
            known = _classes("regressor" if task.numeric else "classifier")
            if self.kind not in known:
                raise UnknownNameError(f"estimator for {task.name}", self.kind, known)
            try:
                estimator = known[self.kind]()
                estimator.set_params(**self.settings)
            except (TypeError, ValueError) as error:
                raise SettingsError(f"{self.title}: {error}") from error
        else:
            estimator = clone(self.template)
        random = [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
        return estimator.set_params(**dict.fromkeys(random, seed % 2**32))

    def fit(self, examples: Batch, spec: Spec, seed: int, validate: Validate | None) -> Predictor:
        """Train a new estimator, and return what predicts as a network does.

        Examples are flattened. A label that is a distribution counts as its likeliest class. Where
        a network has logits, an estimator has logarithms of probabilities.
        """
        if spec.task.numeric and spec.num_classes > 1:
            raise SettingsError(f"{self.title} predicts one class or one number, not a {spec.task.name}")
        x, y = examples.inputs.flatten(1).double().cpu().numpy(), examples.targets.cpu()
        built, numeric = self.build(spec.task, derive_seed(seed, "estimator", self.title)), spec.task.numeric
        wanted = y.double().squeeze(1) if numeric else (y.argmax(dim=1) if y.ndim == 2 else y)
        self._guarded(lambda: built.fit(x, wanted.numpy()), len(x))

        def predict(inputs: Tensor) -> Tensor:
            tested = inputs.flatten(1).double().cpu().numpy()
            if numeric:
                return torch.from_numpy(np.asarray(built.predict(tested), dtype=np.float64)).view(-1, 1)
            found = np.full((len(tested), spec.num_classes), -np.inf)
            found[:, built.classes_] = _log_probabilities(built, tested)
            return torch.from_numpy(np.maximum(found, -1e4))

        return lambda inputs: self._guarded(lambda: predict(inputs), len(x))

    def _guarded(self, call: Callable[[], Any], size: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence on few rows, which the scores show
            try:
                return call()
            except (ValueError, TypeError, AttributeError, IndexError) as error:
                raise SettingsError(f"{self.title} cannot be trained on {size} examples: {error}") from error

    def describe(self) -> dict[str, Any]:
        """Record the class and its settings, where they are plain."""
        if self.template is None:
            return {"type": "Estimator", "name": self.kind, "settings": dict(self.settings)}
        return {"type": "Estimator", "estimator": repr(self.template)}


@cache
def _classes(kind: str) -> dict[str, Any]:
    from sklearn.utils.discovery import all_estimators

    return {_dashed(name): found for name, found in all_estimators(type_filter=kind)}


def _dashed(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", SUFFIX.sub(r"\2", name)).lower()


def as_estimator(given: object) -> Estimator | None:
    """Return the estimator that is meant, or None if ``given`` means none.

    An estimator is given as ``sklearn:name(setting=value)``, or as an object of scikit-learn.
    """
    if isinstance(given, str) and given.strip().startswith(PREFIX):
        text = given.strip().removeprefix(PREFIX)
        name, settings = settings_pairs(text, "estimator")
        return Estimator(given.strip(), name, settings)
    if not isinstance(given, type) and all(hasattr(given, name) for name in ("fit", "predict", "get_params")):
        return Estimator(f"{PREFIX}{_dashed(type(given).__name__)}", template=given)
    return None


def _log_probabilities(built: Any, tested: Any) -> Any:
    if hasattr(built, "predict_proba"):
        return np.log(np.maximum(built.predict_proba(tested), 1e-300))
    if hasattr(built, "decision_function"):
        scores = built.decision_function(tested)
        return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
    return np.where(built.predict(tested)[:, None] == built.classes_[None, :], 0.0, -1e3)
