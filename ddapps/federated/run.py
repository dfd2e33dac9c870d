"""One run of a server, whatever its form; and ``server_app``, which wraps it for Flower."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.logger import log

import ddcore as dd
from ddapps.federated.ensemble import ask_for_models, ensemble_accuracy
from ddapps.federated.forms import FORMS
from ddapps.federated.global_model import Weights
from ddapps.federated.server import Server
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.federated.strategy import DistillationStrategy, as_arrays
from ddapps.federated.traffic import MeteredGrid, Transfer
from ddapps.federated.transport import arrays_of, decoded
from ddapps.federated.weights_strategy import GuardedFedAvg, GuardedFedProx, weights_strategy
from ddapps.federated.wire import Rejection, nothing_came
from ddcore.errors import NoReplyError
from ddcore.ground import write_atomically
from ddcore.summary import DataSummary

Stop = Callable[[float, int], bool]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave.

    Attributes:
        settings: of the run.
        history: of each round: ``round``, ``accuracy`` in percent (None before anything has come),
            ``bytes_up``, ``bytes_down``. Where summaries are sent, also ``clients`` that answered
            and ``in_union``.
        transfers: every message with its bytes.
        weights: of the global model; of an ensemble those of all models, ``node/name``.
        union: of all clients' last summaries; None where weights are sent.
        rejections: replies that did not count.
        seconds: that it took.
        choice: the record of a method that the server has chosen; None: the settings name it.
    """

    settings: Settings
    history: tuple[dict[str, Any], ...]
    transfers: tuple[Transfer, ...]
    weights: Weights
    union: DataSummary | None
    rejections: tuple[Rejection, ...] = ()
    seconds: float = 0.0
    choice: Mapping[str, Any] | None = None

    @property
    def accuracy(self) -> float:
        """Accuracy of the last global model, in percent; NaN before anything has come."""
        last = self.history[-1]["accuracy"] if self.history else None
        return float("nan") if last is None else float(last)

    @property
    def privacy(self) -> tuple[float, float] | None:
        """Epsilon and delta of the union, where clients are private and share no record.

        See `ddapps.federated.private.union_epsilon`.
        """
        if self.union is None or not self.settings.private:
            return None
        from ddapps.federated.private import union_epsilon

        records = self.union.record.get("union_of", [])
        return union_epsilon([replace(self.union, record=record) for record in records])

    @property
    def bytes_up(self) -> int:
        """All bytes from clients to the server."""
        return sum(entry["bytes_up"] for entry in self.history)

    @property
    def bytes_down(self) -> int:
        """All bytes from the server to clients."""
        return sum(entry["bytes_down"] for entry in self.history)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: settings, history, rejections."""
        return {
            "settings": self.settings.to_config(),
            "accuracy": None if math.isnan(self.accuracy) else self.accuracy,
            **({} if self.privacy is None else {"privacy": dict(zip(("epsilon", "delta"), self.privacy, strict=True))}),
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "seconds": round(self.seconds, 2),
            **({} if self.choice is None else {"choice": dict(self.choice)}),
            "history": list(self.history),
            "rejections": [{"round": r.round, "node": r.node, "reason": r.reason} for r in self.rejections],
        }


def run_server(
    grid: Grid, settings: Settings, data: ServerData, directory: str | Path | None = None, *, stop: Stop | None = None
) -> Outcome:
    """Run all rounds of any form and return what they gave.

    Args:
        grid: of Flower.
        settings: of the run, those that the clients have.
        data: of the server.
        directory: for the state (forms that send summaries), the union (``union``) and
            ``results.json``. The same call goes on from there.
        stop: called after each round with accuracy and the bytes so far; True ends a run that sends
            weights.

    Raises:
        NoReplyError: no reply of any client has counted. ``results.json`` is written all the same.
    """
    started, metered = time.monotonic(), MeteredGrid(grid)
    place = None if directory is None else Path(directory)
    if FORMS[settings.form].keeps_models:
        outcome = _run_ensemble(metered, settings, data)
    elif not FORMS[settings.form].sends_summaries:
        outcome = _run_weights(metered, settings, data, stop)
    else:
        strategy = DistillationStrategy(settings, data, None if place is None else place / "state")
        with suppress(NoReplyError):
            strategy.start(metered)
        server = strategy.server
        union = server.union() if server.contributions else None
        outcome = Outcome(
            settings,
            tuple(server.history),
            tuple(metered.transfers),
            server.weights,
            union,
            tuple(server.rejections),
            choice=strategy.choice,
        )
    outcome = replace(outcome, seconds=time.monotonic() - started)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
        if outcome.union is not None:
            outcome.union.save(place / "union", overwrite=True)
        # Last: whoever finds it finds the rest.
        write_atomically(place / "results.json", json.dumps(outcome.to_json(), indent=1).encode())
    if math.isnan(outcome.accuracy):
        raise nothing_came(outcome.rejections, len(outcome.history))
    return outcome


def server_app(load_evaluation: Callable[[Context], ServerData], *, method: dd.Method | None = None) -> ServerApp:
    """Return a ``ServerApp`` for every form. Its settings are those of the run.

    Args:
        load_evaluation: returns what the server has of real data.
        method: in place of the settings' ``method``; give the clients the same.

    Settings stand in the run's configuration under ``distillation.``. It may also name a directory
    (``out``) for the state, the union and ``results.json``: a run that was interrupted goes on from
    there.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        settings = Settings.from_config(context.run_config)
        if method is not None:
            settings = replace(settings, method=method)
        out = str(context.run_config.get("out", ""))
        outcome = run_server(grid, settings, load_evaluation(context), out or None)
        log(
            logging.INFO,
            "accuracy %.2f %% after %s round(s): %s bytes up, %s bytes down, %s replies rejected",
            outcome.accuracy,
            len(outcome.history),
            outcome.bytes_up,
            outcome.bytes_down,
            len(outcome.rejections),
        )

    return app


class _EnoughError(Exception):
    """Ends a run early."""


@dataclass
class _Watch:
    """Tests the global model of Flower's own strategies after each round."""

    server: Server
    strategy: GuardedFedAvg | GuardedFedProx
    grid: MeteredGrid
    stop: Stop | None
    history: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        if server_round == 0:
            return None
        self.server.weights = decoded(arrays_of(arrays), self.server.weights)
        accuracy, now = self.server.accuracy() if self.strategy.taken else None, self.grid.round
        up, down = (self.grid.bytes_by_round(up=up).get(now, 0) for up in (True, False))
        self.history.append({"round": server_round, "accuracy": accuracy, "bytes_up": up, "bytes_down": down})
        if accuracy is None:
            return None
        if self.stop is not None and self.stop(accuracy, sum(t.bytes for t in self.grid.transfers)):
            raise _EnoughError
        return MetricRecord({"accuracy": accuracy})


def _run_weights(grid: MeteredGrid, settings: Settings, data: ServerData, stop: Stop | None) -> Outcome:
    server = Server(settings, data)
    strategy = weights_strategy(server, grid)
    watch = _Watch(server, strategy, grid, stop)
    with suppress(_EnoughError):
        strategy.start(
            grid,
            as_arrays(server.weights),
            settings.rounds,
            settings.timeout,
            ConfigRecord(),
            ConfigRecord(),
            watch,
        )
    return Outcome(
        settings, tuple(watch.history), tuple(grid.transfers), server.weights, None, tuple(server.rejections)
    )


def _run_ensemble(grid: MeteredGrid, settings: Settings, data: ServerData) -> Outcome:
    server = Server(settings, data)
    models = ask_for_models(server, grid)
    entry = {
        "round": 1,
        "accuracy": ensemble_accuracy(server, models),
        "bytes_up": grid.total(up=True),
        "bytes_down": grid.total(up=False),
        "clients": len(models),
    }
    weights = {f"{node}/{name}": weight for node, (model, _) in models.items() for name, weight in model.items()}
    return Outcome(settings, (entry,), tuple(grid.transfers), weights, None, tuple(server.rejections))
