"""ddapps: applications on ddcore, and the command line."""

from ddcore import __version__

__all__ = ["__version__"]
