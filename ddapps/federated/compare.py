"""``compare``: summaries and baselines on the same partitions, in bytes that travelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flwr.app import Message, MessageType

import ddcore as dd
from ddapps.federated.agreement import Agreement
from ddapps.federated.client import client_app
from ddapps.federated.in_process import InProcessGrid, simulate
from ddapps.federated.outcomes import Comparison, Course, Row
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.federated.traffic import MeteredGrid
from ddapps.federated.wire import Task
from ddapps.grids import Axis, combinations, numbers, search
from ddapps.kept_results import KeptResults
from ddcore.errors import NoReplyError, SettingsError, UnknownNameError, UnsupportedError
from ddcore.evaluation import held_out_split
from ddcore.ground import Tally
from ddcore.methods import METHODS
from ddcore.parts import architecture_label, as_architecture, require_fitting
from ddcore.settings import require_counts

SELECTION = tuple(name for name, published in METHODS.items() if published.build(ipc=1, preset="cpu").matching is None)
WEIGHTS = {
    "fedavg": ("fedavg", "float32"),
    "fedavg-8bit": ("fedavg", "uint8"),
    "fedprox": ("fedprox", "float32"),
    "fedprox-8bit": ("fedprox", "uint8"),
}
"""Baselines that send weights: form and transport."""
BASELINES = (*WEIGHTS, *SELECTION, "everything")
NEVER, MOST_IPC = 2**62, 4096
RUN = ("network", "fraction", "min_clients", "timeout", "seed", "device")
UNION = (*RUN, "protocol", "weighting", "weight_cap", "screening")
IMAGES = (*UNION, "epochs", "storage", "levels")
WEIGHTS_SHARED = (*RUN, "batch_size", "momentum", "proximal_mu")
"""What baselines have of the first row's settings."""
RATES, MUS, MOST_WIDTH = (1e-4, 1.0), (1e-5, 10.0), 256
"""Where grids of learning rates, of the proximal term's weights and of networks end."""
EVERYTHING_EPOCHS = 20
"""Of the server's training on all real examples."""


@dataclass(frozen=True)
class Grid:
    """What is tried for baselines that send weights, on a validation split of one partition.

    The fewest bytes to the first row's accuracy there decide, and a trial ends once it has sent
    more than the best so far. Where none reaches that accuracy, the highest decides. The partition
    is the first.

    Attributes:
        networks: from small to large.
        local_epochs, learning_rates: all combinations are tried, and where the best lies on the
            edge, those beyond (`ddapps.grids`).
        proximal_mus: of FedProx, too.
        rounds: of each trial.
        validation: share of the training split, for data that has no validation split.
        most_local_epochs: no more are tried.
    """

    networks: tuple[str, ...] = ("convnet(width=8)", "convnet(width=16)")
    local_epochs: tuple[int, ...] = (1, 5)
    learning_rates: tuple[float, ...] = (0.03, 0.1)
    proximal_mus: tuple[float, ...] = (0.001, 0.01, 0.1)
    rounds: int = 20
    validation: float = 0.2
    most_local_epochs: int = 50

    @classmethod
    def usual(cls, settings: Settings, spec: dd.Spec) -> Grid:
        """Return what is tried on such data. Networks for others than images are not guessed."""
        return cls() if isinstance(spec, dd.images.ImageSpec) else cls(networks=(settings.network,))

    def axes(self, proximal: bool) -> dict[str, Axis]:
        """Return what is searched; the pull of the proximal term only where the form has one."""
        axes = {
            "network": Axis(self.networks, wider_or_narrower),
            "local_epochs": numbers(self.local_epochs, 1, self.most_local_epochs),
            "learning_rate": numbers(self.learning_rates, *RATES),
        }
        return {**axes, "proximal_mu": numbers(self.proximal_mus, *MUS)} if proximal else axes


def compare(
    target: dd.TargetData,
    settings: Settings,
    *,
    clients: int = 10,
    alpha: float = 0.1,
    baselines: Sequence[str] = ("fedavg", "random", "herding"),
    variants: Mapping[str, Settings] | None = None,
    seeds: int = 3,
    rounds: int = 100,
    grid: Grid | None = None,
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run summaries and baselines on Dirichlet partitions of some data, all in this process.

    Args:
        target: the data, with a test split.
        settings: of the first row.
        clients: how many parts.
        alpha: of the Dirichlet distribution of each class over clients; small: few classes per
            client.
        baselines: of ``BASELINES``. Weights by Flower's own strategies are tuned on a validation
            split, and run until they have reached the first row's accuracy on the same partition,
            or for ``rounds``. Selection rules take as many images as their messages hold in the
            first row's bytes, one per class at least. ``everything``: all real examples.
        variants: further rows by their names.
        seeds: partitions; weights and draws go with them.
        rounds: most rounds of baselines that send weights.
        grid: what tuning tries.
        directory: where results are kept as they come; the same comparison goes on from there.
        progress: called with lines of text as runs are done: how many of how many, and what time is
            left (`ddcore.ground.Tally`). Searches that leave their grid add to them.
    """
    require_counts(clients=clients, seeds=seeds, rounds=rounds)
    for name in baselines:
        if name not in BASELINES:
            raise UnknownNameError("baseline", name, BASELINES)
    variants = variants or {}
    names = [settings.chosen_method, *variants, *baselines]
    if len(set(names)) < len(names):
        raise SettingsError(f"two rows have the same name among {', '.join(names)}")
    held_out_split(target, "test")
    for checked in (settings, *variants.values()):
        checked.require_consistent()
        require_fitting(as_architecture(checked.network), target.spec)
        Agreement(checked, target.spec)
    if settings.private and baselines:
        raise UnsupportedError(
            f"baselines are not private: compare private summaries without them, not with {', '.join(baselines)}"
        )
    with TemporaryDirectory() as temporary:
        place = Path(temporary if directory is None else directory)
        tally = Tally(progress, seeds * len(names), "runs")
        for name in set(baselines) & set(WEIGHTS):
            axes = (grid or Grid.usual(settings, target.spec)).axes(WEIGHTS[name][0] == "fedprox")
            tally.expect(1 + combinations(axes))
        work = _Work(target, settings, clients, alpha, range(settings.seed, settings.seed + seeds), place, tally)
        rows = [work.row(settings.chosen_method, settings)]
        rows += [work.row(name, replace(variant, seed=settings.seed)) for name, variant in variants.items()]
        for name in baselines:
            if name in WEIGHTS:
                form, transport = WEIGHTS[name]
                untuned = sending(settings, WEIGHTS_SHARED, form=form, transport=transport, rounds=rounds)
                tuned, at_edge = work.tuned(name, untuned, grid or Grid.usual(settings, target.spec))
                rows.append(replace(work.row(name, tuned, until=rows[0].final), at_edge=at_edge))
            elif name == "everything":
                rows.append(work.row(name, sending(settings, UNION, form=name, epochs=EVERYTHING_EPOCHS)))
            else:
                rows.append(work.equal_row(name, [course.total[-1] for course in rows[0].courses]))
    return Comparison(target.name, clients, alpha, tuple(rows))


@dataclass(frozen=True)
class _Work:
    """Runs settings on partitions, and finds again what was run before."""

    target: dd.TargetData
    settings: Settings
    clients: int
    alpha: float
    seeds: range
    directory: Path
    tally: Tally
    split: str = "test"

    def row(self, name: str, settings: Settings, until: Sequence[float] | None = None) -> Row:
        courses = tuple(
            self.course(name, replace(settings, seed=seed), None if until is None else until[index])
            for index, seed in enumerate(self.seeds)
        )
        return Row(name, courses, settings.to_config())

    def equal_row(self, name: str, limits: Sequence[int]) -> Row:
        """Return the row of a selection rule that sends at most the first row's bytes."""
        courses, sizes = [], []
        for seed, limit in zip(self.seeds, limits, strict=True):
            settings = sending(self.settings, IMAGES, method=name, seed=seed)
            parts = self.parts(seed)
            count = largest(partial(_bytes_at, settings, parts), limit)
            sizes.append(count)
            courses.append(self.course(name, replace(settings, ipc=count)))
        return Row(name, tuple(courses), {**self.settings.to_config(), "method": name, "ipc": sizes})

    def parts(self, seed: int) -> list[dd.TargetData]:
        """Return one partition."""
        return dd.data.partitions.dirichlet(self.target, self.clients, self.alpha, seed=seed)

    def tuned(self, name: str, settings: Settings, grid: Grid) -> tuple[Settings, tuple[str, ...]]:
        """Return the settings that need the fewest bytes, and which of them lie on an edge.

        Bytes are those to the first row's accuracy, all on a validation split.
        """
        held = self.target if self.target.validation is not None else self.target.with_validation(grid.validation)
        tuning = replace(self, target=held, split="validation")
        seed = self.seeds[0]
        wanted = tuning.course("first row", replace(self.settings, seed=seed)).accuracies[-1]
        fewest = NEVER

        def cost(values: dict[str, Any]) -> tuple[int, float]:
            nonlocal fewest
            candidate = replace(settings, **values, seed=seed, rounds=min(grid.rounds, settings.rounds))
            title = " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values.values())
            course = tuning.course(f"{name} {title}", candidate, wanted, fewest)
            reached = course.bytes_to_reach(wanted)
            fewest = min(fewest, NEVER if reached is None else reached)
            return NEVER if reached is None else reached, -max(course.accuracies)

        best = search(grid.axes(settings.form == "fedprox"), cost, lambda: self.tally.expect(1))
        return replace(settings, **best.values), best.at_edge

    def course(self, name: str, settings: Settings, until: float | None = None, most_bytes: int = NEVER) -> Course:
        """Return the course of one run.

        It ends once it has the accuracy ``until``, or has sent ``most_bytes``.
        """
        facts = {
            "data": self.target.fingerprint(),
            "held_out": replace(self.target, train=held_out_split(self.target, self.split)).fingerprint(),
            "clients": self.clients,
            "alpha": self.alpha,
            "split": self.split,
            "settings": dd.describe(settings),
            "until": until,
            "most_bytes": most_bytes,
            "version": dd.__version__,
        }

        def run() -> dict[str, Any]:
            title = f"{name}, partition {settings.seed}, {self.split} split"
            data = ServerData.of(self.target, self.split)
            stop = None
            if until is not None:
                stop = partial(_over, until, most_bytes)
            parts = self.parts(settings.seed)
            try:
                outcome = simulate(
                    settings, parts, data, stop=stop, progress=lambda text: self.tally.note(f"{title}: {text}")
                )
            except NoReplyError as error:
                raise NoReplyError(f"{title}: {error}") from error
            refused = ""
            if outcome.rejections:
                refused = f", {len(outcome.rejections)} replies did not count: {outcome.rejections[0].reason}"
            self.tally.done(f"{title}, accuracy {outcome.accuracy:.2f}{refused}", always=True)
            return asdict(Course.of(outcome.history, outcome.seconds, len(outcome.rejections)))

        before = self.tally.done_so_far
        kept = KeptResults(self.directory).get(f"{name} {self.split} {settings.seed}", facts, run)
        if self.tally.done_so_far == before:
            self.tally.found(1)
        return Course(
            tuple(kept["accuracies"]),
            tuple(kept["bytes_up"]),
            tuple(kept["bytes_down"]),
            kept["seconds"],
            kept["rejected"],
        )


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


def sent_bytes(settings: Settings, parts: Sequence[dd.TargetData]) -> int:
    """Return the bytes of one exchange: every client is asked once. Nothing is trained."""
    app = client_app(lambda context: parts[int(context.node_config["partition-id"])])
    grid = MeteredGrid(InProcessGrid(app, len(parts), settings.to_config()))
    asked = [
        Message(Task(1, "0" * 16).to_content(), dst_node_id=node, message_type=MessageType.TRAIN, group_id="1")
        for node in grid.get_node_ids()
    ]
    for reply in grid.send_and_receive(asked):
        if reply.has_error():
            raise SettingsError(f"a client failed: {reply.error.reason}")
    return grid.total(up=True) + grid.total(up=False)


def largest(cost: Callable[[int], int], limit: int) -> int:
    """Return the largest whole number from 1 whose cost is within a limit; 1 if none is.

    The cost must grow with the number.
    """
    low, high = 1, 2
    while cost(high) <= limit and high < MOST_IPC:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= limit else (low, middle)
    return low


def _over(until: float, most_bytes: int, accuracy: float, sent: int) -> bool:
    return accuracy >= until or sent >= most_bytes


def _bytes_at(settings: Settings, parts: Sequence[dd.TargetData], ipc: int) -> int:
    return sent_bytes(replace(settings, ipc=ipc), parts)
