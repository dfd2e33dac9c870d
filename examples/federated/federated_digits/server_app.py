"""The server: it trains a model on the union of the summaries, and tests it."""

from flwr.app import Context

from ddapps.federated import ServerData, server_app
from federated_digits.data import whole


def load_evaluation(context: Context) -> ServerData:
    """Return what the server has of real data: a test split."""
    return ServerData.of(whole(context))


app = server_app(load_evaluation)
