"""Independent calls side by side, in processes of Ray, or one after another in this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from ddcore.errors import MissingExtraError, WorkerError
from ddcore.ground.devices import warm_allocator
from ddcore.settings import require

R = TypeVar("R")
Job = tuple[Callable[..., R], tuple[Any, ...]]

RETRIES = 2
"""How often a call whose process has died is made again."""


@dataclass(frozen=True)
class Workers:
    """Processes of Ray that make calls side by side. Each uses one thread, and one GPU if asked.

    What a call returns depends on its arguments alone, so it is the same in any process of one
    thread.

    Attributes:
        count: processes at a time. 0: none, calls are made in this process one after another.
        address: of a running Ray cluster. None: Ray is started on this machine.
    """

    count: int = 0
    address: str | None = None

    def __post_init__(self) -> None:
        require(self.count >= 0, f"workers must not be negative, it is {self.count}")
        require(self.count > 0 or self.address is None, "a Ray cluster needs workers: say how many calls run at a time")
        if self.count > 0:
            _ray()

    def __bool__(self) -> bool:
        return self.count > 0

    def device_of_call(self, device: torch.device) -> torch.device:
        """Return a device as calls find it: Ray shows each process its own GPU alone."""
        return torch.device("cuda") if self and device.type == "cuda" else device

    def calls(
        self,
        jobs: Iterable[Job[R]],
        device: torch.device,
        died: Callable[[str], R] | None = None,
    ) -> Iterator[tuple[int, R]]:
        """Make calls, and yield each one's number and what it returned, as they are done.

        Args:
            jobs: a callable and its arguments. A callable that several jobs in a row share, such
                as a bound method, is sent once.
            device: what calls compute on. For a GPU each asks Ray for one
                (`device_of_call`).
            died: what a call has returned whose process died again and again, from the reason.
                None: that is an error.

        Raises:
            WorkerError: a process died again and again.
        """
        if not self:
            for number, (function, arguments) in enumerate(jobs):
                yield number, function(*arguments)
            return
        with self._cluster() as ray:
            yield from self._side_by_side(ray, jobs, device, died)

    def _side_by_side(
        self, ray: Any, jobs: Iterable[Job[R]], device: torch.device, died: Callable[[str], R] | None
    ) -> Iterator[tuple[int, R]]:
        task = ray.remote(num_cpus=1, num_gpus=int(device.type == "cuda"), max_retries=RETRIES)(_on_one_thread)
        waiting, running = enumerate(jobs), dict[Any, int]()
        sent: tuple[Any, Any] = (None, None)
        left = True
        while left or running:
            while left and len(running) < self.count:
                number, job = next(waiting, (-1, None))
                if job is None:
                    left = False
                    break
                function, arguments = job
                if function != sent[0]:
                    sent = function, ray.put(function)
                running[task.remote(sent[1], arguments)] = number
            if not running:
                return
            (done, *_), _ = ray.wait(list(running))
            number = running.pop(done)
            try:
                yield number, ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                reason = f"its process died {RETRIES + 1} times: {type(error).__name__}"
                if died is None:
                    raise WorkerError(
                        f"call {number}: {reason}. Is there memory for {self.count} at a time?"
                    ) from error
                yield number, died(reason)

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        """Be connected to Ray inside the block. A connection of the caller's is used, and stays."""
        ray = _ray()
        ours = not ray.is_initialized()
        if ours and self.address is None:
            ray.init(num_cpus=self.count, include_dashboard=False, log_to_driver=False, configure_logging=False)
        elif ours:
            ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        try:
            yield ray
        finally:
            if ours:
                ray.shutdown()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block: sums have the same order everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _on_one_thread(function: Callable[..., R], arguments: tuple[Any, ...]) -> R:
    warm_allocator(torch.device("cpu"))
    with one_thread():
        return function(*arguments)


def _ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what it will do anyhow, and warns of
    os.environ.setdefault("RAY_worker_niceness", "0")  # else any other work on the machine goes before
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("several processes", "ray", "ray") from error
    return ray
