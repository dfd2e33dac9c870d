"""A run whose server keeps the models of all clients and averages what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median_low

import torch
from flwr.app import Message, MessageType
from torch import Tensor

from ddapps.federated.agreement import whole
from ddapps.federated.forms.weights import COUNTS
from ddapps.federated.global_model import Weights, with_weights
from ddapps.federated.server import Server
from ddapps.federated.strategy import connected
from ddapps.federated.traffic import MeteredGrid
from ddapps.federated.weights_strategy import sound_weights
from ddcore.errors import SummaryFormatError
from ddcore.evaluation import predict
from ddcore.ground import resolve_device
from ddcore.parts import accuracy


def ask_for_models(server: Server, grid: MeteredGrid) -> dict[int, tuple[Weights, tuple[int, ...]]]:
    """Ask clients once; return, by node, the model and the class sizes of each that answered well.

    Other replies are rejections of the server.
    """
    tasks = server.tasks(server.asks(connected(grid, server.settings), server.settings.seed))
    messages = [
        Message(task.to_content(), dst_node_id=node, message_type=MessageType.TRAIN, group_id="1")
        for node, task in tasks.items()
    ]
    return _sound_models(server, grid, grid.send_and_receive(messages, timeout=server.settings.timeout))


def _sound_models(
    server: Server, grid: MeteredGrid, replies: Iterable[Message]
) -> dict[int, tuple[Weights, tuple[int, ...]]]:
    found: dict[int, tuple[Weights, tuple[int, ...]]] = {}
    for reply in replies:
        node = grid.asked(reply)
        try:
            weights, _ = sound_weights(reply, server.weights)
            found[node] = weights, _sizes(reply, server.data.spec.num_classes)
        except SummaryFormatError as error:
            server.reject(node, str(error))
    return found


def _sizes(reply: Message, num_classes: int) -> tuple[int, ...]:
    record = reply.content.config_records.get(COUNTS)
    values = None if record is None else record.get(COUNTS)
    if not isinstance(values, list) or len(values) != num_classes:
        raise SummaryFormatError(f"class sizes are {num_classes} numbers")
    return tuple(map(whole, values))


def class_weights(sizes: Sequence[Sequence[int]], cap: float) -> Tensor:
    r"""Return how much of each class every model says, ``models x classes``.

    It is :math:`n_{kc} / \sum_j n_{jc}`, where no size counts for more than ``cap`` times the
    median of all that are not 0. A class that nobody has is shared equally.
    """
    limit = cap * median_low([size for each in sizes for size in each if size] or [1])
    counted = torch.tensor([[min(float(size), limit) for size in each] for each in sizes], dtype=torch.float64)
    counted[:, counted.sum(dim=0) == 0] = 1.0
    return counted / counted.sum(dim=0)


def ensemble_accuracy(server: Server, models: dict[int, tuple[Weights, tuple[int, ...]]]) -> float | None:
    r"""Return the accuracy of the ensemble on the server's test data, in percent; None of none.

    Its answer is the class :math:`c` with the largest :math:`\sum_k w_{kc} p_k(c \mid x)`, the
    probabilities of all models by `class_weights`. A model that gives numbers which are not finite
    is a rejection, and taken out of ``models``: it would silence all others.
    """
    device, settings = resolve_device(server.settings.device), server.settings
    said: dict[int, Tensor] = {}
    for node, (weights, _) in list(models.items()):
        network = with_weights(settings, server.data.spec, weights)
        logits = predict(network, server.data.test, server.data.spec, device).double()
        if bool(torch.isfinite(logits).all()):
            said[node] = logits.softmax(dim=1)
        else:
            del models[node]
            server.reject(node, "its model gives numbers that are not finite")
    if not models:
        return None
    shares = class_weights([sizes for _, sizes in models.values()], settings.weight_cap)
    answers = sum(share * said[node] for node, share in zip(models, shares, strict=True))
    return accuracy(torch.as_tensor(answers), server.data.test.targets)
