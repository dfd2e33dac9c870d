"""Forms of exchange, by name."""

from ddapps.federated.forms.base import Form
from ddapps.federated.forms.ensemble import Ensemble
from ddapps.federated.forms.iterative import FedDM, FedMK
from ddapps.federated.forms.one_shot import DOSFL, Everything, FedD3, OneShot
from ddapps.federated.forms.updates import SyntheticUpdate
from ddapps.federated.forms.weights import ModelWeights

FORMS: dict[str, Form] = {
    "one-shot": OneShot(),
    "dosfl": DOSFL(),
    "fedd3": FedD3(),
    "feddm": FedDM(),
    "fedmk": FedMK(),
    "goetz-tewari": SyntheticUpdate(inner_steps=1),
    "fedsynth": SyntheticUpdate(inner_steps=5),
    "fedavg": ModelWeights(),
    "fedprox": ModelWeights(proximal=True),
    "ensemble": Ensemble(),
    "everything": Everything(),
}

__all__ = ["FORMS", "Form"]
