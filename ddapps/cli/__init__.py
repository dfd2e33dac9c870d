"""The command line: ``ddapps``."""
