"""What processes of the command line import.

A server that has done so forks one in milliseconds.
"""

import torch._dynamo  # noqa: F401 - torch's optimisers import it when the first of them is made

import ddapps.cli.main  # noqa: F401
