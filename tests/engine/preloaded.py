"""What processes of the command line import: a server that has done so forks one in milliseconds."""


import ddapps.cli.main  # noqa: F401
