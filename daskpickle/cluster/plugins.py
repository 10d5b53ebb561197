"""The plugins that `install(client)` sends: to the scheduler, to all workers, to all nannies.

Their classes travel by value, so that they load where daskpickle is missing and say so there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dask.config
from distributed.diagnostics.plugin import NannyPlugin, SchedulerPlugin, WorkerPlugin

import daskpickle
from daskpickle.identity import settings
from daskpickle.pool import end_task, pool

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["register", "start_node", "stop_node", "unregister"]

logger = logging.getLogger("daskpickle")

NAMES = ("daskpickle-scheduler", "daskpickle-worker", "daskpickle-nanny")
_nodes: set[int] = set()  # the workers of this process


def start_node(node: Any) -> None:
    """Tell this process which node it is; on a worker, what arrives by token is kept."""
    from distributed.worker import Worker

    address = getattr(node, "address_safe", None) or getattr(node, "address", None)
    settings.host = address if isinstance(address, str) else ""
    if isinstance(node, Worker):
        settings.keep = True
        _nodes.add(id(node))
        if not any(isinstance(plugin, _Transitions) for plugin in node.plugins.values()):
            node.plugins["daskpickle-transitions"] = _Transitions()


def stop_node(node: Any) -> None:
    """Close what arrived, when the last worker of this process ends."""
    _nodes.discard(id(node))
    if settings.keep and not _nodes:
        settings.keep = False
        pool.close_all()


class _Transitions(WorkerPlugin):
    """Tells when a task has ended, and how."""

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        if start in ("executing", "long-running") and finish != "long-running":
            end_task(key, failed=finish != "memory")


def make_plugins(config: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the three plugins; local classes, because cloudpickle sends those by value."""
    wire_version, version = daskpickle.WIRE_VERSION, daskpickle.__version__
    missing = (
        "The {kind} {address} has no daskpickle {version}: {exc}. What needs it fails there, in a "
        "sentence. Install it on all nodes: pip install daskpickle."
    )

    def start(node: Any, kind: str) -> str | None:
        try:
            import dask.config as node_config

            from daskpickle.cluster import install, plugins, wire

            wire.check(wire_version, version)
        except ImportError as exc:
            address = getattr(node, "address", "") or getattr(node, "worker_address", "")
            return missing.format(kind=kind, address=address, version=version, exc=exc)
        node_config.update(node_config.config, {"daskpickle": config}, priority="new")
        install()
        plugins.start_node(node)
        return None

    def stop(node: Any) -> None:
        try:
            from daskpickle.cluster import plugins
        except ImportError:
            return
        plugins.stop_node(node)

    def soften(worker: Any, said: str) -> None:
        """Let tasks fail with the sentence that need a result which this worker cannot load.

        Dask would wait for it for ever (distributed issue 6705).
        """
        original = worker.gather_dep

        class Undelivered:
            def __getattr__(self, name: str) -> Any:
                raise RuntimeError(said)

            __call__ = __iter__ = __len__ = __getitem__ = __enter__ = __bool__ = __getattr__

        async def gather_dep(address: str, to_gather: Any, total_nbytes: int, **kwargs: Any) -> Any:
            event = await original(address, to_gather, total_nbytes, **kwargs)
            if type(event).__name__ != "GatherDepFailureEvent":
                return event
            from distributed.worker_state_machine import GatherDepSuccessEvent

            data: dict[Any, Any] = {}
            for key in to_gather:  # the others of the message can be loaded
                one = await original(address, {key}, total_nbytes, **kwargs)
                data.update(getattr(one, "data", {key: Undelivered()}))
            return GatherDepSuccessEvent(
                worker=address, total_nbytes=total_nbytes, data=data, **kwargs
            )

        worker.gather_dep = gather_dep

    class DaskpickleScheduler(SchedulerPlugin):
        name = NAMES[0]
        idempotent = True

        async def start(self, scheduler: Any) -> None:
            said = start(scheduler, "scheduler")
            if said is not None:
                raise RuntimeError(said)

    class DaskpickleWorker(WorkerPlugin):
        name = NAMES[1]
        idempotent = True

        def setup(self, worker: Any) -> None:
            said = start(worker, "worker")
            if said is not None:
                import logging

                logging.getLogger("distributed.worker").warning(said)
                soften(worker, said)
                worker.log_event("daskpickle", {"action": "missing", "sentence": said})

        def teardown(self, worker: Any) -> None:
            stop(worker)

    class DaskpickleNanny(NannyPlugin):
        name = NAMES[2]
        restart = False
        idempotent = True

        def setup(self, nanny: Any) -> None:
            said = start(nanny, "nanny")
            if said is not None:
                import logging

                logging.getLogger("distributed.nanny").warning(said)

    return DaskpickleScheduler(), DaskpickleWorker(), DaskpickleNanny()


async def register(client: Client) -> None:
    """Send the plugins: the scheduler's first, it must know what the others hold."""
    config = {key: dask.config.get(f"daskpickle.{key}") for key in ("actions", "handles", "files")}
    for plugin in make_plugins(config):
        await client.register_plugin(plugin)


async def unregister(client: Client) -> None:
    """Take the plugins back, and the hooks of all nodes."""

    def off(**nodes: Any) -> None:
        try:
            from daskpickle.cluster import uninstall
        except ImportError:
            return
        uninstall()

    scheduler, worker, nanny = NAMES
    steps: tuple[Callable[[], Any], ...] = (
        lambda: client.unregister_worker_plugin(worker),
        lambda: client.unregister_worker_plugin(nanny, nanny=True),
        lambda: client.unregister_scheduler_plugin(scheduler),
    )
    for forget in steps:
        with suppress(ValueError):  # it was not there
            await forget()
    await client._run(off, nanny=True, on_error="ignore")
    await client._run(off, on_error="ignore")
    await client._run_on_scheduler(off)
