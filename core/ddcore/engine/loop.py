"""The one loop over steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ddcore.engine.average import Average
from ddcore.engine.back_off import micro_batches, set_micro_batches, take
from ddcore.engine.checkpoint import Checkpoint
from ddcore.engine.progress import Callback, Progress, flush
from ddcore.errors import DivergenceError, NumericalError, SettingsError
from ddcore.ground.devices import matmul_precision
from ddcore.parts import Method, Recipe, Run
from ddcore.summary import DataSummary

GPU_CHECK_INTERVAL = 50
"""Steps between two looks at the loss on a GPU. There every look makes the host wait."""


class Loop:
    """Drives one run: terms, updates, checkpoints, observers.

    Args:
        method: one with a matching.
        run: with its examples and networks.
        summarise: takes steps done, seconds and a recipe. Returns a summary of the present
            parameters.
        checkpoint: where state is kept, or None.
        callbacks: called after every step; told to write what they hold before every checkpoint.
    """

    def __init__(
        self,
        method: Method,
        run: Run,
        summarise: Callable[[int, float, Recipe], DataSummary],
        checkpoint: Checkpoint | None,
        callbacks: Sequence[Callback],
    ) -> None:
        if method.matching is None:
            raise SettingsError("a method without a matching has no loop to run")
        self._matching = method.matching
        self._steps = method.steps
        self._run = run
        self._state = method.matching.start(run)
        self._groups = {**run.examples.groups(), **self._state.groups()}
        self._optimiser = method.optimiser.build(self._groups)
        self._rates = method.optimiser
        stored = [p for group in run.examples.groups().values() for p in group]
        self._average = Average(stored, method.optimiser.average)
        self._make_summary = summarise
        self._checkpoint = checkpoint
        self._written = checkpoint if run.ranks.rank == 0 else None
        self._callbacks = callbacks
        self._check_every = 1 if run.device.type == "cpu" else GPU_CHECK_INTERVAL
        self._good, self._good_step = self._copy_parameters(), 0
        self._first_bad = torch.tensor(-1, device=run.device)
        self._seconds = 0.0

    def run(self, max_seconds: float | None = None, spent: float = 0.0) -> DataSummary:
        """Take the steps that are left, or as many as fit into ``max_seconds``.

        Args:
            max_seconds: of the whole run, the part before a resumption included.
            spent: seconds that initialisation took.
        """
        self._seconds = spent
        run, step = self._run, self._resume()
        started = time.monotonic() - self._seconds
        with matmul_precision(run.precision, run.device):
            while step < self._steps and not run.real.exhausted():
                if max_seconds is not None and run.ranks.largest(self._seconds, run.device) >= max_seconds:
                    break
                run.step = step
                try:
                    loss = self._step()
                except DivergenceError:
                    raise
                except NumericalError as error:
                    raise self._diverged(step, str(error)) from error
                step += 1
                self._seconds = time.monotonic() - started
                self._observe(step, loss)
        if step > 0:
            self._raise_if_bad(last=step - 1)
        if self._written is not None:
            self._write(step)
        return self.summarise(step)

    def _step(self) -> Tensor:
        """Take one step, in smaller micro-batches where it does not fit the memory.

        Networks move on in a part of their own, so that the update before it stands.
        """
        run = self._run
        marks = self._good, self._good_step, self._first_bad

        def clear() -> None:
            self._optimiser.zero_grad(set_to_none=True)
            self._good, self._good_step, self._first_bad = marks

        total = take(run, self._match, (run.examples, self._optimiser, self._state), clear)
        if run.step + 1 < self._steps:
            take(run, run.networks.advance, (run.networks,))
        return total

    def _match(self) -> Tensor:
        """Take the gradients of all terms, and the updates. Return the sum of the losses."""
        run = self._run
        total = torch.zeros((), device=run.device, dtype=run.dtype)
        self._optimiser.zero_grad(set_to_none=True)
        for group in self._optimiser.param_groups:
            group["lr"] = group["initial_lr"] * self._rates.factor_at(run.step, self._steps)
        pending = run.ranks.size > 1  # all processes take part in the sum, also without a term
        penalty = run.examples.penalty(run)
        if penalty is not None:
            if run.ranks.rank == 0:  # the others' gradients are added to it
                penalty.backward()
                total += penalty.detach()
            pending = True
        for term in self._matching.terms(run, self._state):
            term.loss.backward(inputs=[p for name in term.groups or self._groups for p in self._groups[name]])
            total += term.loss.detach()
            pending = True
            if term.update:
                self._update(total)
                pending = False
        if pending:
            self._update(total)
        run.examples.after_step(run.step)
        self._average.update()
        return total

    def _update(self, loss: Tensor) -> None:
        """Take a step of the optimiser. If the loss so far is finite, keep the state before it.

        That state is then the last good one.
        """
        run = self._run
        self._add_up(loss)
        bad = ~torch.isfinite(loss) & (self._first_bad < 0)
        self._first_bad = torch.where(bad, run.step, self._first_bad)
        if run.step % self._check_every == 0:
            self._raise_if_bad()
            self._good, self._good_step = self._copy_parameters(), run.step
        for name in self._rates.resting(run.networks.episode, self._groups):
            for parameter in self._groups[name]:
                parameter.grad = None  # an optimiser passes over what has no gradient
        if self._rates.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters(), self._rates.clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)

    def _add_up(self, loss: Tensor) -> None:
        """Put the sums over all processes in place of the loss and of the gradients."""
        run, held = self._run, self._parameters()
        if run.ranks.size == 1:
            return
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in held]
        total, *grads = run.ranks.sum([loss, *(grad.to(loss.dtype) for grad in grads)])
        loss.copy_(total)
        for parameter, grad in zip(held, grads, strict=True):
            parameter.grad = grad.to(parameter.dtype)

    def _observe(self, step: int, loss: Tensor) -> None:
        for callback in self._callbacks:
            callback(Progress(step, self._steps, loss, self._seconds, lambda: self._snapshot(step)))
        if self._written is not None and step < self._steps and self._written.due():
            self._raise_if_bad(last=step - 1)
            self._write(step)

    def _write(self, step: int) -> None:
        """Write a checkpoint, once the callbacks have written what they hold of its steps."""
        assert self._written is not None
        flush(self._callbacks)
        self._written.write(self._state_dict(step))

    def _snapshot(self, step: int) -> DataSummary:
        """Return the state after ``step`` steps, or raise `DivergenceError` if it is not finite."""
        self._raise_if_bad(last=step - 1)
        return self.summarise(step)

    def summarise(self, step: int) -> DataSummary:
        """Return the present state as a summary."""
        with self._average.applied():
            return self._make_summary(step, self._seconds, self._matching.recipe(self._state))

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self._groups.values() for p in group]

    def _copy_parameters(self) -> list[Tensor]:
        return [p.detach().clone() for p in self._parameters()]

    def _raise_if_bad(self, last: int | None = None) -> None:
        """Raise if a loss was not finite. After the ``last`` step, also if a parameter is not."""
        step = int(self._first_bad)
        if step < 0 and last is not None and not all(bool(torch.isfinite(p).all()) for p in self._parameters()):
            step = last
        if step >= 0:
            raise self._diverged(step)
        try:
            self._matching.recipe(self._state)
        except NumericalError as error:
            raise self._diverged(self._run.step, str(error)) from error

    def _diverged(self, step: int, reason: str | None = None) -> DivergenceError:
        """Go back to the last good state, and return the error that holds it."""
        with torch.no_grad():
            for parameter, good in zip(self._parameters(), self._good, strict=True):
                parameter.copy_(good)
        recipe = self._matching.recipe(self._state)
        return DivergenceError(step, self._make_summary(self._good_step, self._seconds, recipe), reason)

    def _state_dict(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "seconds": self._seconds,
            "optimiser": self._optimiser.state_dict(),
            "examples": dict(self._run.examples.state_dict()),
            "matching": self._state.state_dict(),
            "networks": self._run.networks.state_dict(),
            "real": self._run.real.state_dict(),
            "micro_batches": micro_batches(self._run),
            "average": self._average.state_dict(),
        }

    def _resume(self) -> int:
        saved = None if self._checkpoint is None else self._checkpoint.read()
        if saved is None:
            return 0
        self._seconds = saved["seconds"]
        self._run.examples.load_state_dict(saved["examples"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._state.load_state_dict(saved["matching"])
        self._run.networks.load_state_dict(saved["networks"])
        if "average" in saved:
            self._average.load_state_dict(saved["average"])
        self._run.real.load_state_dict(saved["real"])
        set_micro_batches(self._run, saved.get("micro_batches") or micro_batches(self._run))
        self._good, self._good_step = self._copy_parameters(), int(saved["step"])
        return int(saved["step"])
