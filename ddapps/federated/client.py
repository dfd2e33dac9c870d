"""`client_app`: a Flower ``ClientApp`` that distils the data of its node."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from flwr.supercore.logger import log

import ddcore as dd
from ddapps.federated.forms import FORMS
from ddapps.federated.forms.weights import ModelWeights
from ddapps.federated.roles import Client
from ddapps.federated.settings import Settings
from ddapps.federated.wire import Task, refusal
from ddcore.errors import InputDataError
from ddcore.settings import require

LoadPartition = Callable[[Context], dd.TargetData]


def client_app(
    load_partition: LoadPartition, *, method: dd.Method | None = None, mods: list[Mod] | None = None
) -> ClientApp:
    """Return a ``ClientApp`` that answers every form.

    Settings stand in the run's configuration under ``distillation.``.

    Args:
        load_partition: returns a node's data; ``context.node_config`` has ``partition-id`` and
            ``num-partitions`` in simulations. Class ids and normalisation must be those of all
            clients: ``load_data(..., num_classes=10, normalisation=...)``.
        method: in place of the settings' ``method``; give the server the same.
        mods: of Flower, around every call.

    A node's ``node_config`` may name it (``name``; default: its ``partition-id``): then it is known
    again after a restart. It may give it a folder of its own (``directory``), where what it has
    spent and sent outlives the process. ``max-epsilon`` and ``max-delta`` are the client's own
    limits: it gives nothing to runs without privacy, or with larger ones.
    """
    app = ClientApp(mods=mods)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        private = "max-epsilon" in context.node_config or Settings.from_config(context.run_config).private
        try:
            return Message(_answer(message.content, client_of(context, load_partition, method)), reply_to=message)
        except Exception as error:
            if not private:
                raise
            # Raised, it would tell the server more than was paid for. Flower would also forget what
            # this client has spent.
            log(logging.ERROR, "nothing is sent: %s: %s", type(error).__name__, error)
            return Message(refusal(), reply_to=message)

    return app


def _answer(content: RecordDict, client: Client) -> RecordDict:
    form = FORMS[client.settings.form]
    if isinstance(form, ModelWeights):
        return form.train(client, content)
    return form.answer(client, Task.of(content))


def client_of(context: Context, load_partition: LoadPartition, method: dd.Method | None = None) -> Client:
    """Return the client that a context describes."""
    settings = Settings.from_config(context.run_config)
    if method is not None:
        settings = replace(settings, method=method)
    node = context.node_config
    for name, asked in (("epsilon", settings.epsilon), ("delta", settings.delta)):
        most = node.get(f"max-{name}")
        require(
            most is None or (settings.private and asked <= float(most)),
            f"this client gives nothing beyond {name} {most} (max-{name} in its node_config), the run's is {asked if settings.private else 'none'}",
        )
    target = load_partition(context)
    if not isinstance(target, dd.TargetData):
        raise InputDataError(
            f"load_partition must return a ddcore.TargetData, not {type(target).__name__}: see load_data"
        )
    name = str(node.get("name", node.get("partition-id", context.node_id)))
    directory = node.get("directory")
    return Client(target, settings, name, context.state, None if directory is None else Path(str(directory)))
