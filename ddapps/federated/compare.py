"""``compare``: summaries and baselines on the same partitions, in bytes that travelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ddcore as dd
from ddapps.federated.agreement import Agreement
from ddapps.federated.baselines import (
    BASELINES,
    ENSEMBLE,
    EVERYTHING_EPOCHS,
    IMAGES,
    NEVER,
    SMALLER,
    SMALLER_SELECTION,
    UNION,
    WEIGHTS,
    WEIGHTS_SHARED,
    Grid,
    ensemble_within,
    fraction_heard,
    name_of,
    sending,
    smaller,
    trials,
    within,
)
from ddapps.federated.choosing import named
from ddapps.federated.forms import FORMS
from ddapps.federated.in_process import flower_unheard, simulate
from ddapps.federated.outcomes import Comparison, Course, Row
from ddapps.federated.portfolio import method_named, require_open_choice
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.federated.terms import AUTO
from ddapps.grids import search
from ddapps.kept_results import KeptResults
from ddapps.side_by_side import Processes, Relayed
from ddcore.choosing import Candidate, clearly_above
from ddcore.errors import BudgetError, NoReplyError, SettingsError, UnknownNameError, UnsupportedError
from ddcore.evaluation import held_out_split
from ddcore.ground import Tally, resolve_device
from ddcore.parts import as_architecture, require_fitting
from ddcore.settings import require, require_counts

Size = Callable[[Settings, Sequence[dd.TargetData], int], Settings]
Run = tuple[str, Settings, float | None, int]
"""Its name, its settings, the accuracy and the bytes that end it."""
TOGETHER = 4
"""Trials of weights that end at the same bytes, and so can be made side by side."""


def compare(
    target: dd.TargetData,
    settings: Settings,
    *,
    clients: int = 10,
    alpha: float = 0.1,
    baselines: Sequence[str | dd.Method] = ("fedavg", "random", "herding"),
    variants: Mapping[str, Settings] | None = None,
    seeds: int = 3,
    rounds: int = 100,
    grid: Grid | None = None,
    tune_auto: bool = False,
    workers: int = 1,
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
            or for ``rounds``. Selection rules, and methods that are given, take as many examples as
            their messages hold in the first row's bytes, one per class at least. They have one
            round, which asks as many clients as the first row's rounds hear.
            ``random-smaller`` and its like choose on a validation split how small images are.
            ``ensemble``: a model of every client, once, as wide as these bytes hold, tuned as
            weights are. ``everything``: all real examples.
        variants: further rows by their names.
        seeds: partitions; weights and draws go with them.
        rounds: most rounds of baselines that send weights.
        grid: what tuning tries.
        tune_auto: whether ``auto`` is chosen by whole runs on a validation split, as baselines are
            tuned: how random images are stored, then the method, which must be clearly above random
            selection on all partitions (`ddcore.choosing.clearly_above`). Else the server chooses
            from its validation split alone, as in a run between machines.
        workers: processes on this machine's processor, among which partitions and trials are
            shared. A script that asks for several must guard its calls by
            ``if __name__ == "__main__"``, since each process imports it.
        directory: where results are kept as they come; the same comparison goes on from there.
        progress: called with lines of text as runs are done: how many of how many, and what time is
            left (`ddcore.ground.Tally`). Searches that leave their grid add to them.
    """
    require_counts(clients=clients, seeds=seeds, rounds=rounds, workers=workers)
    require(
        workers == 1 or resolve_device(settings.device).type == "cpu",
        f"several workers are for a processor: they would share one device ({settings.device})",
    )
    for name in baselines:
        if not isinstance(name, dd.Method) and name not in BASELINES:
            raise UnknownNameError("baseline", name, BASELINES)
    variants = variants or {}
    names = [settings.chosen_method, *variants, *map(name_of, baselines)]
    if len(set(names)) < len(names):
        raise SettingsError(f"two rows have the same name among {', '.join(names)}")
    held_out_split(target, "test")
    for checked in (settings, *variants.values()):
        checked.require_consistent()
        if not FORMS[checked.form].sends_summaries:
            raise UnsupportedError(
                f"form {checked.form!r} sends no summaries to compare with: name it among the baselines, and a form of "
                "summaries for the first row, such as one-shot"
            )
        require_fitting(as_architecture(checked.network), target.spec)
        if checked.method == AUTO:
            require_open_choice(replace(checked, clients=clients))
        else:
            Agreement(checked, target.spec)
    if settings.private and baselines:
        raise UnsupportedError(
            f"baselines are not private: compare private summaries without them, not with {', '.join(map(name_of, baselines))}"
        )
    grid = (grid or Grid.usual(settings, target.spec)).suited_to(settings)
    with TemporaryDirectory() as temporary, Processes(workers) as processes:
        place = Path(temporary if directory is None else directory)
        tally = Tally(progress, seeds * len(names), "runs")
        tally.expect(sum(trials(name, grid, target.spec) for name in baselines))
        every = range(settings.seed, settings.seed + seeds)
        work = _Work(target, settings, clients, alpha, every, place, tally, grid, tune_auto, processes=processes)
        rows = [work.row(settings.chosen_method, settings)]
        rows += [work.row(name, replace(variant, seed=settings.seed)) for name, variant in variants.items()]
        rows += [work.baseline(name, rows[0], rounds) for name in baselines]
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
    grid: Grid
    tune_auto: bool = False
    split: str = "test"
    processes: Processes = field(default_factory=Processes, compare=False)

    def row(self, name: str, settings: Settings, until: Sequence[float] | None = None) -> Row:
        settings, choice = self.settled(name, settings)
        goals: Sequence[float | None] = [None] * len(self.seeds) if until is None else until
        runs = [(name, replace(settings, seed=seed), goal, NEVER) for seed, goal in zip(self.seeds, goals, strict=True)]
        self.ahead(runs)
        courses = tuple(self.course(*run) for run in runs)
        return Row(name, courses, {**settings.to_config(), **({"choice": choice} if choice else {})})

    def settled(self, name: str, settings: Settings) -> tuple[Settings, dict[str, Any]]:
        """Return settings that name a method, and the record of its choice if it was chosen.

        The server's validation split is that of the first partition's tuning.
        """
        if settings.method != AUTO:
            return settings, {}
        settings = replace(settings, clients=self.clients)
        if self.tune_auto:
            return self.simulated(name, settings)
        data = ServerData.of(self.tuning.target, self.tuning.split)
        found = named(settings, data, self.tally.note, directory=self.directory, row=name)
        return found.settings, dict(found.record)

    def simulated(self, name: str, settings: Settings) -> tuple[Settings, dict[str, Any]]:
        """Return settings that name the method that is best in whole runs on a validation split.

        The first partition chooses. All partitions compare what it chose with random selection.
        """
        tuning, scores = self.tuning, dict[str, float]()

        def by(candidate: Candidate) -> Settings:
            return replace(settings, method=method_named(self.target.spec, candidate.name, settings.network))

        def run_of(candidate: Candidate, seed: int) -> Run:
            return f"{name} as {candidate.name}", replace(by(candidate), seed=seed), None, NEVER

        def best(candidates: Sequence[Candidate]) -> Candidate:
            runs = [run_of(candidate, self.seeds[0]) for candidate in candidates]
            self.tally.expect(len(runs))
            tuning.ahead(runs)
            for candidate, run in zip(candidates, runs, strict=True):
                try:
                    scores[candidate.name] = tuning.course(*run).accuracies[-1]
                except NoReplyError:  # so few bytes do not hold what such clients have
                    self.tally.found(1)
            scored = [candidate for candidate in candidates if candidate.name in scores]
            if not scored:
                raise BudgetError(f"{settings.bytes} bytes hold no summary of a client: give more")
            return max(scored, key=lambda candidate: scores[candidate.name])

        every = list(dd.portfolio(self.target.spec, joint=False).values())
        stored = best([candidate for candidate in every if candidate.plain])
        chosen = best([candidate for candidate in every if candidate.storage == stored.storage])
        if not chosen.plain:
            compared = [[run_of(c, seed) for seed in self.seeds] for c in (chosen, stored)]
            self.tally.expect(sum(map(len, compared)))
            tuning.ahead([run for runs in compared for run in runs])
            if not clearly_above(*([tuning.course(*run).accuracies[-1] for run in runs] for runs in compared)):
                chosen = stored
        record = {"chosen": chosen.name, "score": scores[chosen.name], "scores": scores}
        return by(chosen), record

    def baseline(self, baseline: str | dd.Method, first: Row, rounds: int) -> Row:
        """Return the row of a baseline, in the first row's bytes or up to its accuracy."""
        name, limits = name_of(baseline), [course.total[-1] for course in first.courses]
        if name in WEIGHTS:
            form, transport = WEIGHTS[name]
            untuned = sending(self.settings, WEIGHTS_SHARED, form=form, transport=transport, rounds=rounds)
            tuned, at_edge = self.tuned(name, untuned)
            return replace(self.row(name, tuned, until=first.final), at_edge=at_edge)
        once = partial(sending, self.settings, fraction=fraction_heard(self.settings, self.clients))
        if name == "everything":
            return self.row(name, once(UNION, form=name, epochs=EVERYTHING_EPOCHS))
        if name == ENSEMBLE:
            untuned = once(WEIGHTS_SHARED, form=ENSEMBLE, transport="uint8")
            tuned, at_edge = self.tuned(name, untuned, limits[0])
            return replace(self.equal_row(name, tuned, limits, ensemble_within, "network"), at_edge=at_edge)
        rule = name.removesuffix(SMALLER) if baseline in SMALLER_SELECTION else baseline
        selecting = once(IMAGES, method=rule)
        if baseline in SMALLER_SELECTION:
            selecting = self.best(name, smaller(selecting, str(rule), self.target.spec), limits[0])
        return self.equal_row(name, selecting, limits, within, "ipc")

    def equal_row(self, name: str, settings: Settings, limits: Sequence[int], size: Size, sized: str) -> Row:
        """Return a row that sends at most the first row's bytes.

        Args:
            name: of the row.
            settings: before their size is known.
            limits: bytes on each partition.
            size: returns the settings of the largest size within a limit.
            sized: the setting that says the size.
        """
        fitting = [
            size(replace(settings, seed=seed), self.parts(seed), limit)
            for seed, limit in zip(self.seeds, limits, strict=True)
        ]
        self.ahead([(name, one, None, NEVER) for one in fitting])
        courses = tuple(self.course(name, one) for one in fitting)
        described = {**settings.to_config(), "method": name, sized: [getattr(one, sized) for one in fitting]}
        if isinstance(settings.method, dd.Method):
            described["factorization"] = dd.describe(settings.method.factorization)
        return Row(name, courses, described)

    def parts(self, seed: int) -> list[dd.TargetData]:
        """Return one partition."""
        return dd.data.partitions.dirichlet(self.target, self.clients, self.alpha, seed=seed)

    @property
    def tuning(self) -> _Work:
        """The same on the first partition of data with a validation split, tested on that."""
        target = self.target
        held = target if target.validation is not None else target.with_validation(self.grid.validation)
        return replace(self, target=held, split="validation")

    def best(self, name: str, candidates: Sequence[Settings], limit: int) -> Settings:
        """Return the settings that are best in so many bytes, on a validation split."""
        tuning, seed = self.tuning, self.seeds[0]
        parts = tuning.parts(seed)
        fitting = [within(replace(settings, seed=seed), parts, limit) for settings in candidates]
        runs = [(f"{name} {number}", one, None, NEVER) for number, one in enumerate(fitting, start=1)]
        tuning.ahead(runs)
        found = [tuning.course(*run).accuracies[-1] for run in runs]
        return candidates[found.index(max(found))]

    def tuned(self, name: str, settings: Settings, limit: int | None = None) -> tuple[Settings, tuple[str, ...]]:
        """Return the best settings of local training, and which of them lie on an edge.

        Without a limit, those that need the fewest bytes to the first row's accuracy; with one, the
        most accurate in so many bytes. All is measured on a validation split.
        """
        tuning, seed, grid = self.tuning, self.seeds[0], self.grid
        first, _ = self.settled(self.settings.chosen_method, self.settings)
        wanted = None
        if not limit:
            run: Run = ("first row", replace(first, seed=seed), None, NEVER)
            tuning.ahead([run])
            wanted = tuning.course(*run).accuracies[-1]
        costs: list[tuple[int, float]] = []
        runs: dict[str, Run] = {}

        def title(values: dict[str, Any]) -> str:
            words = (f"{value:g}" if isinstance(value, float) else str(value) for value in values.values())
            return " ".join((name, *words))

        def ahead(wave: list[dict[str, Any]]) -> None:
            most_bytes = min((nbytes for nbytes, _ in costs), default=NEVER)
            for values in wave:
                candidate = replace(settings, **values, seed=seed, rounds=min(grid.rounds, settings.rounds))
                if limit:
                    candidate = ensemble_within(candidate, tuning.parts(seed), limit)
                runs[title(values)] = (title(values), candidate, wanted, most_bytes)
            tuning.ahead([runs[title(values)] for values in wave])

        def cost(values: dict[str, Any]) -> tuple[int, float]:
            course = tuning.course(*runs[title(values)])
            reached = None if wanted is None else course.bytes_to_reach(wanted)
            costs.append((NEVER if reached is None else reached, -max(course.accuracies)))
            return costs[-1]

        best = search(grid.axes(settings.form), cost, lambda: self.tally.expect(1), ahead, TOGETHER)
        return replace(settings, **best.values), best.at_edge

    def ahead(self, runs: Sequence[Run]) -> None:
        """Make runs side by side whose courses are then found where they are kept."""
        alone = replace(self, tally=Relayed(), processes=Processes())
        self.processes.make(alone.course, runs, self.is_kept, self.tally)

    def is_kept(self, run: Run) -> bool:
        """Whether a run was made before."""
        name, settings, until, most_bytes = run
        facts = self.facts(settings, until, most_bytes)
        return KeptResults(self.directory).find(self.title(name, settings), facts) is not None

    def title(self, name: str, settings: Settings) -> str:
        """Return what the file of a run is called by."""
        return f"{name} {self.split} {settings.seed}"

    def facts(self, settings: Settings, until: float | None = None, most_bytes: int = NEVER) -> dict[str, Any]:
        """Return what the course of a run depends on."""
        return {
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

    def course(self, name: str, settings: Settings, until: float | None = None, most_bytes: int = NEVER) -> Course:
        """Return the course of one run.

        It ends once it has the accuracy ``until``, or has sent ``most_bytes``.
        """

        def run() -> dict[str, Any]:
            title = f"{name}, partition {settings.seed}, {self.split} split"
            data = ServerData.of(self.target, self.split)
            stop = None
            if until is not None:
                stop = partial(_over, until, most_bytes)
            parts = self.parts(settings.seed)
            try:
                with flower_unheard():
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
        facts = self.facts(settings, until, most_bytes)
        kept = KeptResults(self.directory).get(self.title(name, settings), facts, run)
        if self.processes.count == 1 and self.tally.done_so_far == before:
            self.tally.found(1)
        return Course(
            tuple(kept["accuracies"]),
            tuple(kept["bytes_up"]),
            tuple(kept["bytes_down"]),
            kept["seconds"],
            kept["rejected"],
        )


def _over(until: float, most_bytes: int, accuracy: float, sent: int) -> bool:
    return accuracy >= until or sent >= most_bytes
