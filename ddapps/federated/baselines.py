"""What summaries are compared with: names of baselines, and how each gets its settings and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from flwr.app import Context, Message, MessageType
from flwr.clientapp import ClientApp

import ddcore as dd
from ddapps.federated.client import client_app
from ddapps.federated.forms.ensemble import model_content
from ddapps.federated.global_model import initial_network
from ddapps.federated.in_process import InProcessGrid
from ddapps.federated.participation import asked_at_once, in_turn
from ddapps.federated.settings import Settings
from ddapps.federated.traffic import MeteredGrid
from ddapps.federated.wire import Task
from ddapps.grids import Axis, choices, combinations, numbers
from ddcore.choosing import codecs, through
from ddcore.errors import SettingsError, UnsupportedError
from ddcore.ground import generator
from ddcore.methods import SELECTION
from ddcore.parts import NoAugmentation, architecture_label, as_architecture

SMALLER = "-smaller"
SMALLER_SELECTION = tuple(f"{name}{SMALLER}" for name in ("random", "herding", "k_center"))
"""Selected images through the codec whose size and levels do best (`ddcore.choosing.codecs`)."""
WEIGHTS = {
    "fedavg": ("fedavg", "packed"),
    "fedavg-8bit": ("fedavg", "uint8"),
    "fedprox": ("fedprox", "packed"),
    "fedprox-8bit": ("fedprox", "uint8"),
}
"""Baselines that send weights round after round: form and transport."""
ENSEMBLE = "ensemble"
BASELINES = (*WEIGHTS, *SELECTION, *SMALLER_SELECTION, ENSEMBLE, "everything")
NEVER, MOST_IPC = 2**62, 4096
RUN = ("network", "fraction", "min_clients", "timeout", "seed", "device")
UNION = (*RUN, "protocol", "weighting", "weight_cap", "screening")
IMAGES = (*UNION, "epochs", "updates", "storage", "levels")
WEIGHTS_SHARED = (*RUN, "protocol", "batch_size", "momentum", "proximal_mu")
"""What baselines have of the first row's settings."""
RATES, MUS, MOST_WIDTH = (1e-4, 1.0), (1e-5, 10.0), 256
"""Where grids of learning rates, of the proximal term's weights and of networks end."""
EVERYTHING_EPOCHS = 20
"""Of the server's training on all real examples."""


@dataclass(frozen=True)
class Grid:
    """What is tried for baselines that send weights, on a validation split of one partition.

    The fewest bytes to the first row's accuracy there decide. Trials are made in groups; one ends
    once it has sent more than the best of the groups before. Where none reaches that accuracy, the
    highest decides. The partition is the first.

    Attributes:
        networks: from small to large.
        local_updates, learning_rates: all combinations are tried, and where the best lies on the
            edge, those beyond (`ddapps.grids`). Updates of a client in a round: epochs of large and
            of small clients take unlike times.
        proximal_mus: of FedProx, too.
        rounds: of each trial.
        validation: share of the training split, for data that has no validation split.
        most_local_updates: no more are tried beyond the grid.
        augmented: whether local training is under the augmentation of the first row's protocol.
    """

    networks: tuple[str, ...] = ("convnet(width=8)", "convnet(width=16)")
    local_updates: tuple[int, ...] = (20, 100)
    learning_rates: tuple[float, ...] = (0.03, 0.1)
    proximal_mus: tuple[float, ...] = (0.001, 0.01, 0.1)
    rounds: int = 20
    validation: float = 0.2
    most_local_updates: int = 500
    augmented: tuple[bool, ...] = (False, True)

    @classmethod
    def usual(cls, settings: Settings, spec: dd.Spec) -> Grid:
        """Return what is tried on such data. Networks for others than images are not guessed."""
        return cls() if isinstance(spec, dd.images.ImageSpec) else cls(networks=(settings.network,))

    def suited_to(self, settings: Settings) -> Grid:
        """Return the grid without augmentation, where the first row's protocol has none."""
        plain = isinstance(settings.training.training.augmentation, NoAugmentation)
        return replace(self, augmented=(False,)) if plain else self

    def axes(self, form: str) -> dict[str, Axis]:
        """Return what is searched for a form.

        The pull of the proximal term where it has one; no networks for an ensemble, whose network
        follows from the bytes.
        """
        networks = {} if form == ENSEMBLE else {"network": Axis(self.networks, wider_or_narrower)}
        axes = {
            **networks,
            "augmented": choices(self.augmented),
            "local_updates": numbers(self.local_updates, 1, self.most_local_updates),
            "learning_rate": numbers(self.learning_rates, *RATES),
        }
        return {**axes, "proximal_mu": numbers(self.proximal_mus, *MUS)} if form == "fedprox" else axes


def wider_or_narrower(end: str, neighbour: str) -> str | None:
    """Return the network beyond one end of a row of them; None if it has no width.

    It is twice as wide as the widest, or half as wide as the narrowest.
    """
    architecture = as_architecture(end)
    width, other = (getattr(one, "width", None) for one in (architecture, as_architecture(neighbour)))
    if not isinstance(width, int) or not isinstance(other, int) or width == other:
        return None
    following = 2 * width if width > other else width // 2
    return architecture_label(dd.override(architecture, "width", following)) if 1 <= following <= MOST_WIDTH else None


def sending(settings: Settings, shared: Sequence[str], **changes: Any) -> Settings:
    """Return settings of a baseline: what it shares with the first row, and what it does not."""
    return Settings(**{**{name: getattr(settings, name) for name in shared}, **changes})


def fraction_heard(settings: Settings, clients: int) -> float:
    """Return the share of clients that a run hears if it asks none twice.

    Baselines of one round ask as many at once.
    """
    return min(1.0, asked_at_once(settings, clients) * settings.rounds / clients)


def _asked(settings: Settings, clients: int) -> list[int]:
    """Return the nodes that the first round of a run in this process asks."""
    return in_turn(range(1, clients + 1), settings.seed, 0)[: asked_at_once(settings, clients)]


def sent_bytes(settings: Settings, parts: Sequence[dd.TargetData]) -> int:
    """Return the bytes of one round: those that it would ask answer.

    Where the method selects examples, nothing is trained for it.
    """
    method = settings.method if isinstance(settings.method, dd.Method) else None
    app = client_app(lambda context: parts[int(context.node_config["partition-id"])], method=method)
    return _exchanged(app, settings, len(parts))


def _exchanged(app: ClientApp, settings: Settings, clients: int) -> int:
    grid = MeteredGrid(InProcessGrid(app, clients, settings.to_config()))
    asked = [
        Message(Task(1, "0" * 16).to_content(), dst_node_id=node, message_type=MessageType.TRAIN, group_id="1")
        for node in _asked(settings, clients)
    ]
    for reply in grid.send_and_receive(asked):
        if reply.has_error():
            raise SettingsError(f"a client failed: {reply.error.reason}")
    return grid.total(up=True) + grid.total(up=False)


def largest(cost: Callable[[int], int], limit: int, most: int = MOST_IPC) -> int:
    """Return the largest whole number below ``most`` whose cost is within a limit; 1 if none is.

    The cost must grow with the number.
    """
    low, high = 1, 2
    while high < most and cost(high) <= limit:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= limit else (low, middle)
    return low


def _bytes_at(settings: Settings, parts: Sequence[dd.TargetData], ipc: int) -> int:
    return sent_bytes(replace(settings, ipc=ipc), parts)


def within(settings: Settings, parts: Sequence[dd.TargetData], limit: int) -> Settings:
    """Return settings of a method that selects examples, at the size whose messages fit a limit."""
    most = max(max(part.counts().values()) for part in parts)
    return replace(settings, ipc=largest(partial(_bytes_at, settings, parts), limit, min(most, MOST_IPC) + 1))


def smaller(settings: Settings, rule: str, spec: dd.Spec) -> list[Settings]:
    """Return the ways to send what a rule selects in fewer bytes each: see `SMALLER_SELECTION`.

    Raises:
        UnsupportedError: the data are no images.
    """
    if not isinstance(spec, dd.images.ImageSpec):
        raise UnsupportedError(f"only images are made smaller: choose {rule!r} in place of {rule + SMALLER!r}")
    return [
        replace(settings, method=through(rule, codec), storage="uint8", levels=256) for codec in codecs(spec).values()
    ]


def ensemble_within(settings: Settings, parts: Sequence[dd.TargetData], limit: int) -> Settings:
    """Return settings of an ensemble: of the widest network whose messages fit a limit, or width 1.

    They are counted with uniform noise for weights, which nothing trained is harder to compress
    than. Weights as they are first drawn will not do: their biases and norms compress to nothing.

    Raises:
        UnsupportedError: the network has no width.
    """
    architecture = as_architecture(settings.network)
    if not isinstance(getattr(architecture, "width", None), int):
        raise UnsupportedError(f"an ensemble is made narrow enough for its bytes, and {settings.network} has no width")

    def at(width: int) -> Settings:
        return replace(settings, network=architecture_label(dd.override(architecture, "width", width)))

    def cost(width: int) -> int:
        state, app = initial_network(at(width), parts[0].spec).module.state_dict(), ClientApp()

        @app.train()
        def train(message: Message, context: Context) -> Message:
            random = generator(settings.seed, "size of an ensemble")
            noise = {name: torch.rand(weight.shape, generator=random) for name, weight in state.items()}
            part = parts[int(context.node_config["partition-id"])]
            return Message(model_content(noise, settings, part), reply_to=message)

        return _exchanged(app, settings, len(parts))

    return at(largest(cost, limit, MOST_WIDTH))


def name_of(baseline: str | dd.Method) -> str:
    """Return what a baseline's row is called."""
    return baseline.name if isinstance(baseline, dd.Method) else baseline


def trials(baseline: str | dd.Method, grid: Grid, spec: dd.Spec) -> int:
    """Return how many runs tell a baseline's settings, beyond those that are reported."""
    if baseline in SMALLER_SELECTION:
        return len(codecs(spec))
    if baseline == ENSEMBLE:
        return combinations(grid.axes(ENSEMBLE))
    return 1 + combinations(grid.axes(WEIGHTS[str(baseline)][0])) if baseline in WEIGHTS else 0
