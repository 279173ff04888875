"""Ray as the engine of an evaluation: Ray Data brings items to workers, one batch each.

The items are the data set. Each worker is an actor that gets the work (classifier and policies)
once; what it makes comes back to this process, the driver, which alone writes. So a worker or node
that dies costs what it was just at, which Ray gives to another, and a driver that dies goes on as
any run does.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from saccade_env.evaluation.work import Tell, Work

_PATIENCE_S = 10
_MISSING = "the engine 'ray' needs Ray: pip install 'saccade-env[ray]' ({})"


@dataclass(frozen=True)
class RayEngine:
    """Does work on all machines of a Ray cluster.

    Every machine needs this package, the weights that policies load by name, and the images at the
    same place. A device must be there for the driver as well as for the workers.

    Args:
        address: Of the cluster; ``"auto"`` is the one that this machine belongs to, None makes a
            new one of this machine alone.
        cpus_per_worker: Processors that a worker takes up, and its threads.
        gpus_per_worker: GPUs that it takes up; parts of one share it.
        max_workers: How many workers at most; None means as many as there is room for.

    Raises:
        ImportError: Ray is not installed.
        ValueError: A number is out of range.
    """

    address: str | None = None
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    max_workers: int | None = None

    def __post_init__(self) -> None:
        if self.cpus_per_worker <= 0 or self.gpus_per_worker < 0:
            raise ValueError(
                "a worker needs processors (> 0) and may need GPUs (≥ 0); got "
                f"{self.cpus_per_worker} and {self.gpus_per_worker}"
            )
        if self.max_workers is not None and self.max_workers < 1:
            raise ValueError(f"max_workers must be ≥ 1; got {self.max_workers}")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # sent only if asked for
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            raise ImportError(_MISSING.format(error)) from error

    def __call__(self, work: Work, items: Sequence[Any], tell: Tell) -> Iterator[Any]:
        """What the work makes of each item, as it is finished; see :class:`Engine`.

        Raises:
            ConnectionError: There is no cluster at the address.
        """
        if not items:
            return
        import ray

        self._connect()
        # Held as long as this process lives: a worker that is replaced needs it. As bytes, since
        # what Ray unpacks itself is read-only.
        held = ray.put(_packed(work))
        data = ray.data.from_items(
            [{"item": pickle.dumps(item)} for item in items], override_num_blocks=len(items)
        )
        done = data.map_batches(
            _Worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                initial_size=min(self._room(), len(items)),
                max_size=min(self.max_workers or len(items), len(items)),
                max_tasks_in_flight_per_actor=1,
            ),
            fn_constructor_args=(held, self.cpus_per_worker),
            num_cpus=self.cpus_per_worker,
            num_gpus=self.gpus_per_worker,
        )
        for batch in done.iter_batches(batch_size=None, prefetch_batches=0):
            for made in batch["made"]:
                count, result, error = pickle.loads(made)
                tell(count)
                if error is not None:
                    raise error[0] from RuntimeError(f"in a worker:\n{error[1]}")
                yield result

    def _connect(self) -> None:
        """Join the cluster, or begin one, unless that is done."""
        import ray

        if not ray.is_initialized():
            _refuse_dead(self.address)
            ray.init(
                address=self.address or "local",
                include_dashboard=None if self.address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False  # there is one already

    def _room(self) -> int:
        """How many workers the machines of the cluster have room for now.

        Raises:
            ValueError: For none.
        """
        import ray

        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        asked = {"CPU": self.cpus_per_worker, "GPU": self.gpus_per_worker}
        room = sum(
            min(int(there.get(kind, 0) / need) for kind, need in asked.items() if need)
            for there in machines
        )
        if not room:
            there = [{kind: each.get(kind, 0) for kind in asked} for each in machines]
            raise ValueError(f"a worker needs {asked}, and the cluster's machines have {there}")
        return min(room, self.max_workers or room)


class _Worker:
    """An actor of Ray Data: it holds the work, and does it on the items that it is given."""

    def __init__(self, held: Any, cpus: float) -> None:
        import ray
        import torch

        torch.set_num_threads(max(1, int(cpus)))
        self._work: Work = ray.cloudpickle.loads(ray.get(held))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        [item] = batch["item"]
        return {"made": self._made(pickle.loads(item))}

    def _made(self, item: Any) -> list[bytes]:
        counts: list[int] = []
        try:
            return [
                pickle.dumps((sum(counts), result, None))
                for result in self._work([item], counts.append)
            ]
        except BaseException as error:  # whatever the work raises, the driver raises too
            told = _sendable(error), traceback.format_exc()
            return [pickle.dumps((sum(counts), None, told))]


def _packed(work: Work) -> bytes:
    import ray

    try:
        packed: bytes = ray.cloudpickle.dumps(work)
    except Exception as error:  # of whatever is in it
        raise ValueError(
            f"the engine 'ray' cannot send policies, images and classifier to its workers: {error}"
        ) from error
    return packed


def _sendable(error: BaseException) -> Exception:
    """The error itself if it survives being sent, and is no order to end the process."""
    try:
        same = pickle.loads(pickle.dumps(error))
    except Exception:
        same = None
    return same if isinstance(same, Exception) else RuntimeError(repr(error))


def _refuse_dead(address: str | None) -> None:
    """Refuse an address at which nobody listens: Ray would try for ever."""
    host, _, port = (address or "").rpartition(":")
    if host and "/" not in host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), _PATIENCE_S).close()
        except (OSError, OverflowError) as error:
            raise ConnectionError(f"there is no Ray cluster at {address} ({error})") from error
