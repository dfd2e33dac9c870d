"""The client: it distils its part, and sends the summary."""

from ddapps.federated import client_app
from federated_digits.data import load_partition

app = client_app(load_partition)
