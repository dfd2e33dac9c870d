"""Where the networks of a run come from."""

from ddcore.networks.sources.base import Networks, NetworkSource
from ddcore.networks.sources.fresh import FreshNetworks

__all__ = ["FreshNetworks", "NetworkSource", "Networks"]
