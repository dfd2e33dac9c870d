"""``compare``: distilled memory and baselines on one stream of classes, at equal bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.outcomes import Comparison, Outcome, Row
from ddapps.continual.rows import BUFFERS, ONLINE, Recall, Replay, Setting
from ddapps.continual.streams import benchmark, class_incremental
from ddapps.grids import Axis, combinations, numbers, search
from ddapps.kept_results import KeptResults, file_name
from ddcore.errors import BudgetError, SettingsError, UnknownNameError
from ddcore.evaluation import Protocol, as_protocol, held_out_split
from ddcore.ground import (
    Tally,
    default_generator_seeded,
    derive_seed,
    matmul_precision,
    precision_facts,
    resolve_device,
)
from ddcore.methods import METHODS
from ddcore.parts import architecture_label, as_architecture
from ddcore.settings import describe, require_counts
from ddcore.summary import original_bytes

Strategy = Recall | Replay

ACCURACY = "Top1_Acc_Stream/eval_phase/test_stream/Task000"
OF_EXPERIENCE = "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{:03d}"
LEAST_RATE, MOST_RATE = 1e-5, 1.0
"""Where a grid of learning rates ends."""


@dataclass(frozen=True)
class Grid:
    """Settings of replay that are tried on a validation split.

    The final accuracy on the first order of classes decides.

    Attributes:
        learning_rates, epochs: all pairs are tried, and where the best lies on the edge, those
            beyond (`ddapps.grids`).
        validation: share of the training split.
        most_epochs: no more are tried.
    """

    learning_rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    epochs: tuple[int, ...] = (1, 5, 20)
    validation: float = 0.2
    most_epochs: int = 100

    def axes(self) -> dict[str, Axis]:
        """Return what is searched."""
        return {
            "learning_rate": numbers(self.learning_rates, LEAST_RATE, MOST_RATE),
            "epochs": numbers(self.epochs, 1, self.most_epochs),
        }


def compare(
    target: dd.TargetData,
    methods: Sequence[str | dd.Method],
    *,
    tasks: int = 5,
    memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
    baselines: Sequence[str] = ("random", "herding", "reservoir", "class-balanced"),
    seeds: int = 3,
    network: object = "convnet(width=32)",
    protocol: str | Protocol = "dc",
    grid: Grid | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    float32: bool = True,
    split: str = "test",
    seed: int = 0,
    device: str | torch.device = "auto",
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run distilled memories and baselines through streams of classes, in several orders.

    A memory in examples is turned into the bytes of as many real images. Every memory keeps within
    them, save that of the row in float32, which may take four times as many. Rows are each method
    under compress-then-recall and in Avalanche's replay, and each baseline.

    Args:
        target: the data, with a held-out split.
        methods: names or `ddcore.Method`. Those whose numbers are learned labels have no row of
            replay.
        tasks: experiences.
        memory: see `MemoryBudget.parse`.
        baselines: ``naive`` has no memory. Selection rules (``random``, ``herding``, ...) are
            recalled as methods are. Avalanche's buffers (``reservoir``, ``class-balanced``,
            ``experience-balanced``) and memories for streams (``sample-condensation``,
            ``composite-memory``) replay, tuned on a validation split.
        seeds: orders of classes; weights and draws go with them.
        network: in any form that ``ddcore.networks.as_architecture`` takes.
        protocol: of recall.
        grid: what tuning tries for replay.
        steps: replaces the number of steps of methods.
        max_seconds: of each distillation.
        float32: whether the first method has a second row, with numbers in four bytes instead of
            one.
        split: ``test``, or ``validation``.
        seed: the first of the seeds.
        device: as in ``ddcore.distill``.
        directory: where memories and outcomes are written as they come. A comparison that was
            killed goes on from there.
        progress: called with lines of text as experiences are done: how many of how many, and what
            time is left (`ddcore.ground.Tally`). Searches that leave their grid add to them.
    """
    require_counts(tasks=tasks, seeds=seeds)
    known = {*BUFFERS, *ONLINE, *SELECTION, "naive"}
    for name in baselines:
        if name not in known:
            raise UnknownNameError("baseline", name, known)
    held_out_split(target, split)
    made = [Recall(method, as_protocol(protocol)) for method in methods]
    replayed = {recall.name: recall.replays for recall in made}
    names = [*(recall.name for recall in made), *baselines]
    if len(set(names)) < len(names):
        raise SettingsError(f"two rows have the same name among {', '.join(names)}: give methods names of their own")
    limit = in_bytes(MemoryBudget.parse(memory), target.spec)
    most = limit.amount * (len(target.spec.classes) if limit.per_class else 1)
    if most < original_bytes(target.spec, len(target.spec.classes)):
        raise BudgetError(
            f"a memory of {limit} does not hold one real image of each of {len(target.spec.classes)} classes"
        )
    setting = Setting(target.spec, limit, most, as_architecture(network), steps, max_seconds, device)
    wider = replace(setting, limit=replace(limit, amount=4 * limit.amount))
    grid, rows = grid or Grid(), []
    temporary = TemporaryDirectory() if directory is None else nullcontext(directory)
    with temporary as place:
        tally = Tally(progress, 0, "experiences")
        work = _Work(target, tasks, range(seed, seed + seeds), split, split, Path(place), tally)
        plain = len(made) + bool(float32 and made) + sum(name in SELECTION for name in baselines)
        tuned = sum(replayed.values()) + sum(name not in SELECTION for name in baselines)
        tally.expect(tasks * (seeds * (plain + tuned) + combinations(grid.axes()) * tuned))
        for index, recall in enumerate(made):
            name = recall.name
            rows.append(work.row(name, recall, setting))
            if float32 and index == 0:
                rows.append(work.row(f"{name} float32", replace(recall, storage="float32"), wider))
            if replayed[name]:
                rows.append(work.tuned_row(f"{name} replay", Replay(recall), setting, grid))
        for name in baselines:
            if name in SELECTION:
                rows.append(work.row(name, Recall(name, as_protocol(protocol)), setting))
            else:
                rows.append(work.tuned_row(name, Replay(None if name == "naive" else name), setting, grid))
    return Comparison(target.name, tasks, most, architecture_label(setting.network), tuple(rows))


SELECTION = tuple(name for name, published in METHODS.items() if published.build(ipc=1, preset="cpu").matching is None)


def in_bytes(memory: MemoryBudget, spec: dd.Spec) -> MemoryBudget:
    """Return a memory in examples as one of the bytes that as many real images take."""
    if memory.unit == "bytes":
        return memory
    return MemoryBudget(original_bytes(spec, memory.amount), "bytes", memory.per_class)


@dataclass(frozen=True)
class _Work:
    """Runs strategies, and finds again what was run before."""

    target: dd.TargetData
    tasks: int
    seeds: range
    split: str
    stage: str
    directory: Path
    tally: Tally

    def row(self, name: str, strategy: Strategy, setting: Setting) -> Row:
        outcomes = tuple(self._outcome(name, strategy, setting, seed) for seed in self.seeds)
        return Row(name, outcomes, describe(strategy))

    def tuned_row(self, name: str, replay: Replay, setting: Setting, grid: Grid) -> Row:
        """Return the row of the settings that are best on a validation split.

        It is a part of the training split, whatever is reported on.
        """
        held = replace(self.target, validation=None).with_validation(grid.validation, seed=self.seeds[0])
        tuning = replace(self, target=held, split="validation", stage="tuning")

        def with_settings(values: dict[str, Any]) -> Replay:
            return replace(replay, training=replace(replay.training, **values))

        def cost(values: dict[str, Any]) -> float:
            title = f"{name} at {values['learning_rate']:g}, {values['epochs']} epochs"
            return -tuning._outcome(title, with_settings(values), setting, self.seeds[0]).accuracies[-1]

        best = search(grid.axes(), cost, lambda: self.tally.expect(self.tasks))
        return replace(self.row(name, with_settings(best.values), setting), at_edge=best.at_edge)

    def _outcome(self, name: str, strategy: Strategy, setting: Setting, seed: int) -> Outcome:
        held_out = replace(self.target, train=held_out_split(self.target, self.split))
        facts = {
            "data": self.target.fingerprint(),
            "held_out": held_out.fingerprint(),
            "tasks": self.tasks,
            "strategy": describe(strategy),
            **{name: describe(getattr(setting, name)) for name in ("limit", "most", "network", "steps", "max_seconds")},
            "version": dd.__version__,
            "device": resolve_device(setting.device).type,
            **precision_facts(resolve_device(setting.device)),
            "seed": seed,
        }

        def run() -> dict[str, Any]:
            self.tally.note(f"{name}, order {seed} begins")
            return asdict(self._run(name, strategy, setting, seed))

        before = self.tally.done_so_far
        found = KeptResults(self.directory / "outcomes").get(f"{name} {self.stage} {seed}", facts, run)
        if self.tally.done_so_far == before:
            self.tally.found(self.tasks)
        matrix = tuple(tuple(map(float, after)) for after in found["by_experience"])
        return Outcome(**{**found, "accuracies": tuple(map(float, found["accuracies"])), "by_experience": matrix})

    def _run(self, name: str, strategy: Strategy, setting: Setting, seed: int) -> Outcome:
        memories = self.directory / "memories"
        started, accuracies, matrix = time.monotonic(), [], []
        stream = benchmark(class_incremental(self.target, self.tasks, seed=seed), split=self.split)
        products = matmul_precision(None, resolve_device(setting.device))
        with products, default_generator_seeded(derive_seed(seed, "continual")):
            # Strategies that keep the same memory find it distilled.
            memory_place = memories / file_name(f"{strategy.memory_name} {self.stage} {seed}")
            learner, memory = strategy.strategy(setting, seed, memory_place)
            for index, experience in enumerate(stream.train_stream):
                learner.train(experience)
                metrics = learner.eval(stream.test_stream[: index + 1])
                accuracies.append(100 * float(metrics[ACCURACY]))
                matrix.append(tuple(100 * float(metrics[OF_EXPERIENCE.format(seen)]) for seen in range(index + 1)))
                told = f"{name}, order {seed}, {index + 1} of {self.tasks}, accuracy {accuracies[-1]:.2f}"
                self.tally.done(told, always=index + 1 == self.tasks)
        seconds = time.monotonic() - started + memory.seconds_saved
        return Outcome(tuple(accuracies), tuple(matrix), memory.stored_bytes, seconds)
