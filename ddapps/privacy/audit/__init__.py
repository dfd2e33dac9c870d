"""Attacks on summaries, and what their success says about epsilon."""

from ddapps.privacy.audit.attacks import Success, loss_scores, nearness_scores, success
from ddapps.privacy.audit.audit import Audit, audit
from ddapps.privacy.audit.bound import epsilon_lower_bound
from ddapps.privacy.audit.canaries import Canaries

__all__ = [
    "Audit",
    "Canaries",
    "Success",
    "audit",
    "epsilon_lower_bound",
    "loss_scores",
    "nearness_scores",
    "success",
]
