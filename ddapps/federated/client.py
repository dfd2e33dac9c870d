"""`client_app`: a Flower ``ClientApp`` that distils the data of its node."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flwr.app import Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable, Mod
from flwr.common.constant import ErrorCode
from flwr.supercore.logger import log

import ddcore as dd
from ddapps.federated.forms import FORMS
from ddapps.federated.forms.weights import NUM_EXAMPLES, weights_in
from ddapps.federated.roles import Client
from ddapps.federated.settings import Settings
from ddapps.federated.transport import PLAIN, arrays_of
from ddapps.federated.wire import refusal
from ddcore.errors import InputDataError, UnsupportedError
from ddcore.evaluation import predict
from ddcore.ground import resolve_device
from ddcore.parts import accuracy
from ddcore.settings import require

LoadPartition = Callable[[Context], dd.TargetData]


def client_app(
    load_partition: LoadPartition, *, method: dd.Method | None = None, mods: list[Mod] | None = None
) -> ClientApp:
    """Return a ``ClientApp`` that answers every form.

    Settings stand in the run's configuration under ``distillation.``. Strategies that ask clients
    to evaluate a global model are answered, too (`held_out_accuracy`).

    Args:
        load_partition: returns a node's data; ``context.node_config`` has ``partition-id`` and
            ``num-partitions`` in simulations. Class ids and normalisation must be those of all
            clients: ``load_data(..., num_classes=10, normalisation=...)``.
        method: in place of the settings' ``method``; give the server the same.
        mods: of Flower, around every call. Those that clip or noise weights (``LocalDpMod``,
            ``fixedclipping_mod``, ``adaptiveclipping_mod``) work where weights travel as Flower's
            arrays. Elsewhere they refuse, and the reply says so: for summaries that are private,
            set ``epsilon``.

    A node's ``node_config`` may name it (``name``; default: its ``partition-id``): then it is known
    again after a restart. It may give it a folder of its own (``directory``), where what it has
    spent and sent outlives the process. ``max-epsilon`` and ``max-delta`` are the client's own
    limits: it gives nothing to runs without privacy, or with larger ones.
    """
    app = ClientApp(mods=[explained, *mods] if mods else None)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        private = is_private(context)
        try:
            client = client_of(context, load_partition, method)
            return Message(FORMS[client.settings.form].reply(client, message.content), reply_to=message)
        except Exception as error:
            if not private:
                raise
            # Raised, it would tell the server more than was paid for. Flower would also forget what
            # this client has spent.
            log(logging.ERROR, "nothing is sent: %s: %s", type(error).__name__, error)
            return Message(refusal(), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        if is_private(context):
            raise UnsupportedError("a private client tells no accuracy: test the global model on the server")
        client = client_of(context, load_partition, method)
        return Message(RecordDict({"metrics": held_out_accuracy(client, message.content)}), reply_to=message)

    return app


def is_private(context: Context) -> bool:
    """Whether what a client tells is paid for: nothing else of it, nor of its failures, is sent."""
    return "max-epsilon" in context.node_config or Settings.from_config(context.run_config).private


def explained(message: Message, context: Context, call: ClientAppCallable) -> Message:
    """Say what to do, where a mod refuses a message because it expects arrays of weights."""
    reply = call(message, context)
    if not reply.has_error() or reply.error.code != ErrorCode.MOD_FAILED_PRECONDITION:
        return reply
    settings = Settings.from_config(context.run_config)
    if FORMS[settings.form].sends_summaries:
        remedy = (
            f"form {settings.form!r} sends no weights that a mod could change: leave it out; for privacy set epsilon"
        )
    else:
        remedy = f"weights travel as {settings.transport!r}: leave the mod out, or set transport = {PLAIN!r}"
    return Message(Error(reply.error.code, f"{remedy} ({reply.error.reason})"), reply_to=message)


def held_out_accuracy(client: Client, content: RecordDict) -> MetricRecord:
    """Return the global model's accuracy in percent on a client's own held-out data.

    It is tested on the client's test split, else on its validation split.

    Raises:
        InputDataError: its data has neither split.
    """
    split = client.target.test or client.target.validation
    if split is None:
        raise InputDataError("this client's data has neither a test nor a validation split: see with_validation")
    network, spec = client.network(arrays_of(weights_in(content))), client.target.spec
    logits = predict(network, split, spec, resolve_device(client.settings.device))
    return MetricRecord({"accuracy": accuracy(logits, split.targets), NUM_EXAMPLES: len(split)})


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
