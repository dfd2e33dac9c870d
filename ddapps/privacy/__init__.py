"""Differentially private distillation.

```python
import ddcore as dd
from ddapps import privacy

target = dd.load_data("digits", normalisation=privacy.PUBLIC_NORMALISATION)
private = privacy.privatize(dd.methods.psg(ipc=10, preset="cpu"), epsilon=10, delta=1e-4)
summary = private.distill(target, seed=0, out="private-digits")
print(privacy.verify(summary))
```
"""

from importlib.util import find_spec

from ddcore.errors import MissingExtraError

if find_spec("opacus") is None:
    raise MissingExtraError("ddapps.privacy", "opacus", "privacy")

from ddapps.privacy import baselines
from ddapps.privacy.accounting import ACCOUNTANTS, epsilon_of, noise_multiplier_for
from ddapps.privacy.audit import Audit, Canaries, audit, epsilon_lower_bound
from ddapps.privacy.certificate import Certificate
from ddapps.privacy.compare import Comparison, accuracy, compare
from ddapps.privacy.counts import release_counts
from ddapps.privacy.entropy import Entropy, RepeatableEntropy, SystemEntropy
from ddapps.privacy.home import NO_LEDGER, ledger_home, ledger_of
from ddapps.privacy.ledger import Ledger
from ddapps.privacy.plan import PUBLIC_NORMALISATION
from ddapps.privacy.privatize import PrivateMethod, private_folder, privatize
from ddapps.privacy.signal import Mechanism, PrivateSignal
from ddapps.privacy.subspace import PublicSubspace, public_subspace
from ddapps.privacy.verify import Verification, verify

__all__ = [
    "ACCOUNTANTS",
    "NO_LEDGER",
    "PUBLIC_NORMALISATION",
    "Audit",
    "Canaries",
    "Certificate",
    "Comparison",
    "Entropy",
    "Ledger",
    "Mechanism",
    "PrivateMethod",
    "PrivateSignal",
    "PublicSubspace",
    "RepeatableEntropy",
    "SystemEntropy",
    "Verification",
    "accuracy",
    "audit",
    "baselines",
    "compare",
    "epsilon_lower_bound",
    "epsilon_of",
    "ledger_home",
    "ledger_of",
    "noise_multiplier_for",
    "private_folder",
    "privatize",
    "public_subspace",
    "release_counts",
    "verify",
]
