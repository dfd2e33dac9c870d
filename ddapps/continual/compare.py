"""``compare``: distilled memory and baselines on one stream of classes, at equal bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import ddcore as dd
from ddapps.continual.budget import MemoryBudget
from ddapps.continual.kinds import RANDOM, RULE, Kind
from ddapps.continual.outcomes import Comparison, Outcome, Row
from ddapps.continual.planned import Strategy, baseline_named, chooses_its_storage, rows_of_methods
from ddapps.continual.rows import Recall, Replay
from ddapps.continual.setting import Setting
from ddapps.continual.streams import benchmark, class_incremental
from ddapps.grids import Axis, combinations, numbers, search
from ddapps.kept_results import KeptResults, file_name
from ddapps.side_by_side import Processes, Relayed
from ddcore.choosing import clearly_above
from ddcore.errors import BudgetError, SettingsError
from ddcore.evaluation import Protocol, as_protocol, held_out_split
from ddcore.ground import (
    Tally,
    default_generator_seeded,
    derive_seed,
    matmul_precision,
    precision_facts,
    resolve_device,
)
from ddcore.parts import architecture_label, as_architecture
from ddcore.settings import describe, require, require_counts

Tuned = tuple[Strategy, tuple[str, ...]]
"""A strategy, and its settings whose best value lies on the edge of a grid."""
ACCURACY = "Top1_Acc_Stream/eval_phase/test_stream/Task000"
OF_EXPERIENCE = "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{:03d}"
LEAST_RATE, MOST_RATE = 1e-5, 1.0
"""Where a grid of learning rates ends."""


@dataclass(frozen=True)
class Grid:
    """Settings of replay and of recall that are tried on a validation split.

    The accuracy at the end of the first order of classes decides.

    Attributes:
        learning_rates, updates: all pairs are tried, and where the best lies on the edge, those
            beyond (`ddapps.grids`). Of replay these are the updates on each experience, of recall
            those of a training. An update sees `ddapps.continual.rows.BATCH` examples.
        validation: share of the training split.
        most_updates: no more are tried beyond the grid.
    """

    learning_rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    updates: tuple[int, ...] = (100, 400)
    validation: float = 0.2
    most_updates: int = 400

    def axes(self) -> dict[str, Axis]:
        """Return what is searched."""
        return {
            "learning_rate": numbers(self.learning_rates, LEAST_RATE, MOST_RATE),
            "updates": numbers(self.updates, 1, self.most_updates),
        }


TUNING = "tuning"
USUAL_GRID = Grid()


def compare(
    target: dd.TargetData,
    methods: Sequence[str | dd.Method],
    *,
    tasks: int = 5,
    memory: int | str | dd.Budget | MemoryBudget = "10-per-class",
    baselines: Sequence[str] = ("random", "herding", "reservoir", "class-balanced"),
    seeds: int = 3,
    network: object = "convnet(width=16)",
    protocol: str | Protocol = "dc",
    grid: Grid | None = None,
    tune_recall: bool = True,
    final_only: bool = False,
    tune_auto: bool = False,
    mixed: float | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    float32: bool = True,
    replay: bool = True,
    split: str = "test",
    seed: int = 0,
    device: str | torch.device = "auto",
    workers: int = 1,
    directory: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    each_row: Callable[[Row], None] | None = None,
) -> Comparison:
    """Run distilled memories and baselines through streams of classes, in several orders.

    A memory in examples is turned into the bytes of as many real images. Every memory keeps within
    them, save that of the row in float32, which may take four times as many. Rows are each method
    under compress-then-recall and in replay, and each baseline.

    Args:
        target: the data, with a held-out split.
        methods: names, `ddcore.Method`, or ``auto``, which is chosen on the first experience of
            each order. Replay of those whose labels are learned is `SoftReplayPlugin`.
        tasks: experiences.
        memory: see `MemoryBudget.parse`.
        baselines: ``naive`` has no memory. Selection rules (``random``, ``herding``, ...), the same
            through the codec (``random-codec``, ...), ``gdumb``, and real images in files (``png``,
            ``jpeg``) are recalled as methods are. Avalanche's buffers (``reservoir``,
            ``class-balanced``, ``experience-balanced``), its strategies ``er-ace`` and ``der`` with
            their own, and memories for streams (``sample-condensation``, ``composite-memory``)
            replay.
        seeds: orders of classes; weights and draws go with them.
        network: in any form that ``ddcore.networks.as_architecture`` takes.
        protocol: of recall.
        grid: what tuning tries: of replay, and of recall in place of the protocol's learning rate
            and epochs. What a memory's recipe says itself is not tried. A grid of a single pair is
            taken as it is.
        tune_recall: whether anything is tried for recall; else it trains by the protocol as it is.
        final_only: whether networks are scored, and recalled, after the last experience alone. That
            takes a part of the time; rows then have no average accuracy and no forgetting.
        tune_auto: whether ``auto`` is chosen by the accuracy at the end of the stream, on the
            validation split, as baselines are tuned; else on the first experience. A few classes
            are told apart by what is too coarse for all. The method must be clearly above random
            selection in all orders (`ddcore.choosing.clearly_above`).
        mixed: each method has a further row, in which random real images take this share of the
            memory.
        steps: replaces the number of steps of methods.
        max_seconds: of the distillations of each experience; see `DistilledMemory`.
        float32: whether the first method has a second row, with numbers in four bytes instead of
            one.
        replay: whether each method has a row of replay; ``auto`` that is tuned has none.
        split: ``test``, or ``validation``.
        seed: the first of the seeds.
        device: as in ``ddcore.distill``.
        workers: processes on this machine's processor, among which orders and trials are
            shared. A script that asks for several must guard its calls by
            ``if __name__ == "__main__"``, since each process imports it.
        directory: where memories and outcomes are written as they come. A comparison that was
            killed goes on from there.
        progress: called with lines of text as experiences are done: how many of how many, and what
            time is left (`ddcore.ground.Tally`). Searches that leave their grid add to them. It
            also hears how long a distillation takes.
        each_row: called with every row when it is finished.

    Raises:
        BudgetError: a memory does not hold one example of each class, of some row. Nothing was run,
            but for rows that choose how examples are stored: these find out with their first one.
    """
    require_counts(tasks=tasks, seeds=seeds, workers=workers)
    require(
        workers == 1 or resolve_device(device).type == "cpu",
        f"several workers are for a processor: they would share one device ({device})",
    )
    held_out_split(target, split)
    limit = MemoryBudget.parse(memory).in_bytes(target.spec)
    most = limit.amount * (len(target.spec.classes) if limit.per_class else 1)
    setting = Setting(target.spec, limit, most, as_architecture(network), steps, max_seconds, device, progress or False)
    wider = replace(setting, limit=replace(limit, amount=4 * limit.amount))
    how = as_protocol(protocol)
    planned = [
        *rows_of_methods(methods, how, setting, wider if float32 else None, replay, mixed, tune_auto),
        *((name, baseline_named(name, how), setting) for name in baselines),
    ]
    classes = len(target.spec.classes)
    for name, strategy, _ in planned:
        if not chooses_its_storage(strategy) and most < classes * strategy.image_bytes(target.spec):
            raise BudgetError(
                f"a memory of {limit} does not hold one real image of each of {classes} classes, as {name} needs"
            )
    names = [name for name, _, _ in planned]
    if len(set(names)) < len(names):
        raise SettingsError(f"two rows have the same name among {', '.join(names)}: give methods names of their own")
    parts = class_incremental(target, tasks, seed=seed)
    for name, strategy, its in planned:
        if isinstance(strategy, Recall):
            try:
                strategy.memory.require_room(its, parts)
            except BudgetError as error:
                raise BudgetError(f"{name}: {error}") from error
    grid = grid or USUAL_GRID
    temporary = TemporaryDirectory() if directory is None else nullcontext(directory)
    with temporary as place, Processes(workers) as processes:
        tally = Tally(progress, 0, "experiences")
        work = _Work(target, tasks, range(seed, seed + seeds), split, split, final_only, Path(place), tally, processes)
        searched = {Replay: grid.axes(), Recall: grid.axes() if tune_recall else {}}
        tally.expect(sum(work.expected(one, searched[type(one)]) for _, one, _ in planned))
        rows = []
        for name, strategy, its in planned:
            rows.append(work.tuned_row(name, strategy, its, searched[type(strategy)], grid.validation))
            if each_row is not None:
                each_row(rows[-1])
    return Comparison(target.name, tasks, most, architecture_label(setting.network), tuple(rows))


def _titled(name: str, values: Mapping[str, Any]) -> str:
    return f"{name} at " + ", ".join(f"{axis} {value}" for axis, value in values.items())


@dataclass(frozen=True)
class _Work:
    """Runs strategies, and finds again what was run before."""

    target: dd.TargetData
    tasks: int
    seeds: range
    split: str
    stage: str
    final_only: bool
    directory: Path
    tally: Tally
    processes: Processes = field(default_factory=Processes, compare=False)

    def expected(self, strategy: Strategy, tried: Mapping[str, Axis]) -> int:
        """Return how many experiences a row takes, if no search leaves its grid."""
        searches = map(combinations, strategy.axes(tried, self.target.spec))
        return self.tasks * (len(self.seeds) + sum(n for n in searches if n > 1))

    def tuned_row(
        self, name: str, strategy: Strategy, setting: Setting, tried: Mapping[str, Axis], validation: float
    ) -> Row:
        """Return the row of the settings that are best on a validation split.

        It is a part of the training split, whatever is reported on. The first order decides, but
        for the method of ``auto``.
        """
        held = replace(self.target, validation=None).with_validation(validation, seed=self.seeds[0])
        tuning = replace(self, target=held, split="validation", stage=TUNING, final_only=True)
        searches = strategy.axes(tried, self.target.spec)
        # The training is searched last. Before that it has values of the grid.
        middle = {axis: one.values[len(one.values) // 2] for axis, one in searches[-1].items()}
        best = tuning._searched(name, strategy.tuned(middle), setting, searches)
        if any(RULE in axes and RANDOM in axes[RULE].values for axes in searches):
            best = tuning._above_random(name, best, setting, searches[-1])
        strategy, at_edge = best
        self._ahead([(name, strategy, setting, seed) for seed in self.seeds])
        outcomes = tuple(self._outcome(name, strategy, setting, seed) for seed in self.seeds)
        return Row(name, outcomes, describe(strategy), at_edge=at_edge)

    def _searched(
        self, name: str, strategy: Strategy, setting: Setting, searches: Sequence[Mapping[str, Axis]]
    ) -> Tuned:
        """Return the best settings of one search after the other, and which lie on an edge."""
        at_edge: list[str] = []
        for axes in searches:
            if combinations(axes) == 1:
                strategy = strategy.tuned({axis: only.values[0] for axis, only in axes.items()})
                continue
            before = strategy

            def cost(values: Mapping[str, Any], before: Strategy = before) -> float:
                try:
                    found = self._outcome(_titled(name, values), before.tuned(values), setting, self.seeds[0])
                except BudgetError:
                    # A way to store that does not hold one example of each class.
                    self.tally.found(self.tasks)
                    return math.inf
                return -found.accuracies[-1]

            # Trials of one memory would write it at the same time: the first one does.
            one_memory = axes is searches[-1] and isinstance(before.memory, Kind)

            def ahead(wave: list[dict[str, Any]], before: Strategy = before, one_memory: bool = one_memory) -> None:
                runs = [(_titled(name, values), before.tuned(values), setting, self.seeds[0]) for values in wave]
                for together in (runs[:one_memory], runs[one_memory:]):
                    self._ahead(together)

            best = search(axes, cost, lambda: self.tally.expect(self.tasks), ahead)
            strategy = before.tuned(best.values)
            at_edge += best.at_edge
        return strategy, tuple(at_edge)

    def _above_random(self, name: str, best: Tuned, setting: Setting, training: Mapping[str, Axis]) -> Tuned:
        """Return the best method's settings; random selection's where it is not clearly above it.

        One order chose the method, in the middle of the training's grid. All orders compare it with
        random selection, either in its own best training.
        """
        plain = best[0].tuned({RULE: RANDOM})
        if best[0] == plain:
            return best
        trials = combinations(training)
        self.tally.expect(self.tasks * (2 * len(self.seeds) + (trials if trials > 1 else 0)))
        named = {name: best, f"{name} of random": self._searched(f"{name} of random", plain, setting, [training])}
        runs = [[(title, one, setting, seed) for seed in self.seeds] for title, (one, _) in named.items()]
        self._ahead([run for of_one in runs for run in of_one])
        ours, theirs = ([self._outcome(*run).accuracies[-1] for run in of_one] for of_one in runs)
        return best if clearly_above(ours, theirs) else named[f"{name} of random"]

    def _ahead(self, runs: Sequence[tuple[str, Strategy, Setting, int]]) -> None:
        """Make runs side by side whose outcomes are then found where they are kept."""
        tally = Relayed()
        alone = replace(self, tally=tally, processes=Processes())
        calls = [
            (name, strategy, replace(setting, progress=tally.note), seed) for name, strategy, setting, seed in runs
        ]
        self.processes.make(alone._outcome, calls, self._is_kept, self.tally, pieces=self.tasks)

    def _is_kept(self, run: tuple[Any, ...]) -> bool:
        name, strategy, setting, seed = run
        return self._kept.find(self._title(name, seed), self._facts(strategy, setting, seed)) is not None

    @property
    def _kept(self) -> KeptResults:
        return KeptResults(self.directory / "outcomes")

    def _title(self, name: str, seed: int) -> str:
        return f"{name} {self.stage} {seed}"

    def _facts(self, strategy: Strategy, setting: Setting, seed: int) -> dict[str, Any]:
        """Return what an outcome depends on."""
        held_out = replace(self.target, train=held_out_split(self.target, self.split))
        return {
            "data": self.target.fingerprint(),
            "held_out": held_out.fingerprint(),
            "tasks": self.tasks,
            "final_only": self.final_only,
            "strategy": describe(strategy),
            **{name: describe(getattr(setting, name)) for name in ("limit", "most", "network", "steps", "max_seconds")},
            "version": dd.__version__,
            "device": resolve_device(setting.device).type,
            **precision_facts(resolve_device(setting.device)),
            "seed": seed,
        }

    def _outcome(self, name: str, strategy: Strategy, setting: Setting, seed: int) -> Outcome:
        def run() -> dict[str, Any]:
            self.tally.note(f"{name}, order {seed} begins")
            return asdict(self._run(name, strategy, setting, seed))

        before = self.tally.done_so_far
        found = self._kept.get(self._title(name, seed), self._facts(strategy, setting, seed), run)
        if self.processes.count == 1 and self.tally.done_so_far == before:
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
            last = len(stream.train_stream) - 1
            for index, experience in enumerate(stream.train_stream):
                early = self.final_only and index < last
                if early and isinstance(strategy, Recall):
                    learner.buffer.post_adapt(learner, experience)  # recall begins anew each time
                else:
                    learner.train(experience)
                if early:
                    self.tally.done(f"{name}, order {seed}, {index + 1} of {self.tasks}")
                    continue
                metrics = learner.eval(stream.test_stream[: index + 1])
                accuracies.append(100 * float(metrics[ACCURACY]))
                matrix.append(tuple(100 * float(metrics[OF_EXPERIENCE.format(seen)]) for seen in range(index + 1)))
                told = f"{name}, order {seed}, {index + 1} of {self.tasks}, accuracy {accuracies[-1]:.2f}"
                self.tally.done(told, always=index + 1 == self.tasks)
        seconds = time.monotonic() - started + memory.seconds_saved
        chosen = getattr(memory, "choice", None)
        return Outcome(tuple(accuracies), tuple(matrix), memory.stored_bytes, seconds, chosen)
