"""``python -m ddapps``, as ``torchrun -m`` calls it."""

import sys

from ddapps.cli.main import main

sys.exit(main())
