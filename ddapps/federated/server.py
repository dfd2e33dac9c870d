"""What a server does with summaries: it checks and keeps them, trains on them, and tests."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from flwr.app import Message
from flwr.supercore.logger import log

import ddcore as dd
from ddapps.federated.agreement import Agreement
from ddapps.federated.caps import readable, shares
from ddapps.federated.forms import FORMS
from ddapps.federated.global_model import Weights, initial_network, with_weights
from ddapps.federated.journal import Journal, State
from ddapps.federated.participation import asked_at_once, in_turn
from ddapps.federated.roles import Coordinator
from ddapps.federated.server_data import ServerData
from ddapps.federated.settings import Settings
from ddapps.federated.transport import arrays_of, decoded, encoded
from ddapps.federated.union import example_weights, merged, trained_on
from ddapps.federated.weakness import asked_limit, class_errors, weak_shares
from ddapps.federated.wire import SUMMARY, Contribution, Rejection, Task, part_text, squeezed
from ddcore.errors import DistillationError, InputDataError, SummaryFormatError, UnsupportedError
from ddcore.evaluation import predict
from ddcore.ground import generator, resolve_device
from ddcore.parts import Network, accuracy
from ddcore.summary import DataSummary


class Server(Coordinator):
    """The state of one run.

    Args:
        settings: of the run.
        data: of the server.
        directory: where its state is written after every round; a server that was killed goes on
            from there. None: memory alone.
    """

    def __init__(self, settings: Settings, data: ServerData, directory: str | Path | None = None) -> None:
        settings.require_consistent()
        if settings.screening and data.validation is None:
            raise InputDataError("screening needs a validation split on the server: ServerData(..., validation=...)")
        self.settings: Settings = settings
        self.data = data
        if settings.supplement and data.validation is None:
            raise InputDataError(
                "a supplement asks for classes that are weak on a validation split of the server: "
                "ServerData(..., validation=...), or supplement = 0"
            )
        self.form = FORMS[settings.form]
        self.agreement = Agreement(settings, data.spec) if self.form.sends_summaries else None
        first = initial_network(settings, data.spec).module.state_dict()
        self.weights: Weights = self._as_sent({name: weight.clone() for name, weight in first.items()})
        self.contributions: dict[str, Contribution] = {}
        self.supplements: dict[tuple[str, int], Contribution] = {}
        self.weak: dict[int, float] = {}
        """Shares of the classes that the next round asks for."""
        self.rejections: list[Rejection] = []
        self.history: list[dict[str, Any]] = []
        self.round = 0
        self.arrived = 0
        self.method_name = ""
        """The method that clients are told, where the settings leave it to the server."""
        self._open: dict[int, dict[str, Task]] = {}
        self.journal = None if directory is None else Journal(Path(directory), self.facts())
        if self.journal is not None and self.agreement is not None:
            self._take_up(self.journal.read(self.agreement))

    # A round: tasks go out, replies come in, the global model moves on.

    def tasks(self, nodes: Iterable[int]) -> dict[int, Task]:
        """Begin a round; return what every asked node is to do."""
        self.round += 1
        self.arrived, tasks = 0, {}
        for node in nodes:
            task = Task(
                self.round,
                secrets.token_hex(8),
                self.weights if self.form.sends_weights else None,
                self._knowledge(node) if self.form.sends_knowledge else None,
                self.settings.transport,
                self.method_name,
                asked=self.asked_of(node),
            )
            tasks[node] = task
            self._open.setdefault(node, {})[task.nonce] = replace(task, weights=None, knowledge=None)
        return tasks

    def asks(self, nodes: Sequence[int], seed: int) -> list[int]:
        """Return which of the connected nodes the next round asks.

        Where one answer is enough, those that have given nothing yet come first. Then come those
        that have weak classes, where there are supplements.
        """
        if self.complete():
            return []
        chosen = in_turn(nodes, seed, self.round)
        if self.form.stays:
            given = {contribution.node for contribution in self.contributions.values()}
            first = [node for node in chosen if node not in given]
            chosen = first + [node for node in chosen if self.asked_of(node)]
        return sorted(chosen[: asked_at_once(self.settings, len(nodes))])

    def asked_of(self, node: int) -> dict[int, float]:
        """Return the shares of the weak classes of which a node has more than it has given.

        How many it has, its summary says. Nothing: it has not given its first summary, or its
        shares hold no item.
        """
        if not self.weak:
            return {}
        left = Counter[int]()
        for given in self.given():
            if given.node == node:
                left.update({} if given.supplement else given.counts)
                left.subtract(given.summary.counts)
        asked = {class_id: share for class_id, share in self.weak.items() if left[class_id] > 0}
        limit = asked_limit(self.settings, self.data.spec, asked) if asked else 0
        return asked if isinstance(limit, int) else {class_id: asked[class_id] for class_id in limit}

    def take(
        self,
        replies: Iterable[Message],
        connected: Iterable[int] = (),
        asked: Callable[[Message], int] = lambda reply: reply.metadata.src_node_id,
    ) -> list[Contribution]:
        """Check replies, keep those that are what was agreed, log the others.

        A reply to an earlier round counts where one answer is enough; a task is answered once.

        Args:
            replies: to tasks of this round or earlier ones.
            connected: nodes that are there now.
            asked: returns the node that a reply is from.
        """
        taken, present = [], set(connected)
        for reply in replies:
            node = asked(reply)
            try:
                task = self._task_of(reply, node)
                contribution = self._agreed().read(reply, task)
                if task.round != self.round and not self.form.stays:
                    raise SummaryFormatError(
                        "it came after its round, under weights that are no longer the global ones"
                    )
                self._require_own_name(contribution, present)
            except SummaryFormatError as error:
                self.reject(node, str(error))
                continue
            if self.form.stays:
                self._open[node].clear()
            else:
                del self._open[node][task.nonce]
            if contribution.supplement:
                self.supplements[contribution.client, contribution.round] = contribution
            else:
                self.contributions[contribution.client] = contribution
            self.arrived += 1
            taken.append(contribution)
        return taken

    def _task_of(self, reply: Message, node: int) -> Task:
        """Return the open task that a reply repeats the nonce of.

        Where it repeats none, it is the newest: checks then find the reason.
        """
        tasks = self._open.get(node, {})
        if reply.has_error():
            return Task(self.round, "")
        if not tasks:
            raise SummaryFormatError("nobody waits for it: a duplicate, or a reply that was never asked for")
        record = reply.content.config_records.get(SUMMARY)
        nonce = None if record is None else record.get("nonce")
        return tasks[nonce] if isinstance(nonce, str) and nonce in tasks else next(reversed(tasks.values()))

    def reject(self, node: int, reason: str) -> None:
        """Log a reply that does not count."""
        reason = readable(reason)
        self.rejections.append(Rejection(self.round, node, reason))
        log(logging.WARNING, "round %s: the reply of node %s does not count: %s", self.round, node, reason)

    def drop(self, contribution: Contribution, reason: str) -> None:
        """Take a contribution to this round out of the union, and log why."""
        self.reject(contribution.node, reason)
        del self.contributions[contribution.client]
        self.arrived -= 1

    def complete(self) -> bool:
        """Whether all clients have answered for good."""
        return self.heard() and not self.weak

    def heard(self) -> bool:
        """Whether all clients have answered what they were asked, so that a round need not wait."""
        waits = any(task.asked and task.round == self.round for open in self._open.values() for task in open.values())
        return self.form.stays and 0 < self.settings.clients <= len(self.contributions) and not waits

    def finish_round(self, bytes_up: int = 0, bytes_down: int = 0) -> None:
        """Move the global model on if anything has come, test it, and write the state to disk.

        Args:
            bytes_up: that came in this round, for the history.
            bytes_down: that went out in it.
        """
        if self.arrived:
            self._move_on()
        if self.settings.supplement and self.contributions:
            self.weak = self._weakness()
        accuracy = self.accuracy() if self.contributions else None
        entry = {"round": self.round, "accuracy": accuracy, "bytes_up": bytes_up, "bytes_down": bytes_down}
        self.history.append(
            {
                **entry,
                "clients": self.arrived,
                "in_union": len(self.contributions),
                **self._of_supplements(),
                **self._work(),
            }
        )
        if self.journal is not None:
            self.journal.write(self.state())

    def begin_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Let the global model begin from these weights.

        Raises:
            UnsupportedError: the form sends none: what it trains begins from the settings' seed.
        """
        if not self.form.sends_weights:
            raise UnsupportedError(f"form {self.settings.form!r} sends no weights: leave initial_arrays out")
        network = with_weights(self.settings, self.data.spec, weights)
        self.weights = self._as_sent({name: weight.cpu() for name, weight in network.module.state_dict().items()})

    def _move_on(self) -> None:
        try:
            weights = {name: weight.cpu() for name, weight in self.form.next_weights(self).items()}
        except (DistillationError, ValueError, ArithmeticError, RuntimeError) as error:
            log(logging.WARNING, "round %s: the global model stays as it was: %s", self.round, readable(str(error)))
            return
        if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
            log(
                logging.WARNING,
                "round %s: the global model stays as it was: training on the union has diverged",
                self.round,
            )
            return
        self.weights = self._as_sent(weights)

    def _as_sent(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return weights as clients see them: both sides go on from the same numbers."""
        if not self.form.sends_weights:
            return dict(weights)
        return decoded(arrays_of(encoded(weights, self.settings.transport)), weights)

    # What the round is made of.

    def answers(self) -> list[Contribution]:
        """Return the contributions to the present round."""
        return [contribution for contribution in self.given() if contribution.round == self.round]

    def union(self) -> DataSummary:
        """Return one summary of all clients' last ones, and their supplements."""
        return merged(self.given())

    def given(self) -> list[Contribution]:
        """Return the last contribution of every client, by their names; then all supplements."""
        first = [self.contributions[name] for name in sorted(self.contributions)]
        return first + [self.supplements[key] for key in sorted(self.supplements)]

    def shares(self, sizes: Sequence[int]) -> list[float]:
        """Return the weights of clients, which add up to 1.

        They are what clients say of themselves, capped at a multiple of the median.
        """
        return shares(sizes, self.settings.weight_cap)

    def trained(self, network: Network) -> dict[str, torch.Tensor]:
        """Train a network on the union; return its weights."""
        weights = example_weights(self.given(), self.settings, self.data)
        random = generator(self.settings.seed, "union", self.round)
        trained_on(self.union(), network, self.settings, random, weights)
        return {name: weight.detach().cpu().clone() for name, weight in network.module.state_dict().items()}

    def accuracy(self, weights: Mapping[str, torch.Tensor] | None = None) -> float:
        """Return the accuracy of the global model on the test data, in percent."""
        network = with_weights(self.settings, self.data.spec, self.weights if weights is None else weights)
        logits = predict(network, self.data.test, self.data.spec, resolve_device(self.settings.device))
        return accuracy(logits, self.data.test.targets)

    def _weakness(self) -> dict[int, float]:
        """Return the shares of classes in which the union is weak on the validation split."""
        assert self.data.validation is not None
        network = with_weights(self.settings, self.data.spec, self.weights)
        device = resolve_device(self.settings.device)
        return weak_shares(class_errors(network, self.data.validation, self.data.spec, device))

    def _of_supplements(self) -> dict[str, Any]:
        """Return what a round got of supplements, and what the next one asks, for the history."""
        if not self.settings.supplement:
            return {}
        came = sum(contribution.supplement for contribution in self.answers())
        return {"supplements": came, "weak": {str(class_id): round(s, 4) for class_id, s in self.weak.items()}}

    def _work(self) -> dict[str, Any]:
        """Return what a round's history says of the clients' time, where it is limited."""
        if not self.settings.max_seconds:
            return {}
        return {"work": [{"client": c.client, "seconds": c.seconds, "steps": c.steps} for c in self.answers()]}

    def _require_own_name(self, contribution: Contribution, connected: set[int]) -> None:
        """Raise if a client takes the name of another that is still there, or a second name."""
        others = [name for name, c in self.contributions.items() if c.node == contribution.node]
        if others and contribution.client not in others:
            raise SummaryFormatError(
                f"its connection has answered as {others[0]!r} before, now it calls itself {contribution.client!r}"
            )
        holder = self.contributions.get(contribution.client)
        if holder is None or holder.node == contribution.node:
            return
        if holder.round == self.round or holder.node in connected:
            raise SummaryFormatError(
                f"the name {contribution.client!r} belongs to another client that is still connected"
            )

    def _knowledge(self, node: int) -> tuple[bytes, str] | None:
        others = [name for name, c in sorted(self.contributions.items()) if c.node != node]
        if not others:
            return None
        random = generator(self.settings.seed, "knowledge", self.round, node)
        (part,) = self.contributions[others[int(torch.randint(len(others), (1,), generator=random))]].summary.parts
        return squeezed(part), part_text(part)

    def _agreed(self) -> Agreement:
        if self.agreement is None:
            raise SummaryFormatError("this form sends no summaries")
        return self.agreement

    def facts(self) -> dict[str, Any]:
        """Return what tells this run from another in the same directory.

        Rounds and patience are left out: a run may go on with more of them.
        """
        lasting = {**dd.describe(self.settings)}
        for name in ("rounds", "timeout", "min_clients", "clients"):
            del lasting[name]
        return {"settings": lasting, "spec": dd.describe(self.data.spec)}

    def state(self) -> State:
        """Return what the run has come to."""
        return State(self.round, self.weights, self.given(), self.rejections, self.history)

    def _take_up(self, state: State | None) -> None:
        """Go on from the state of a run that was interrupted, where there is one."""
        if state is None:
            return
        self.round, self.weights = state.round, state.weights
        self.contributions = {given.client: given for given in state.contributions if not given.supplement}
        self.supplements = {(given.client, given.round): given for given in state.contributions if given.supplement}
        if self.settings.supplement and self.contributions:
            self.weak = self._weakness()
        self.rejections, self.history = state.rejections, state.history
