"""The plug into Dask: the only part of daskpickle that imports dask and distributed."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import daskpickle
from daskpickle.identity import settings

if TYPE_CHECKING:
    from distributed import Client

    from daskpickle.cluster.hooks import Hook

__all__ = ["install", "uninstall"]

_lock = threading.RLock()
_STATE = "_daskpickle"  # on the dask package: our version and hooks; it outlives a reload of ours


def install(client: Client | None = None) -> Any:
    """Switch daskpickle on: in this process, and on the whole cluster of ``client``.

    Parameters
    ----------
    client
        With a client, also on its scheduler and on all its workers and nannies, present and
        future. Without one, in this process alone.

    Returns
    -------
    None
        Or something to await, if the client is asynchronous.

    Raises
    ------
    RuntimeError
        If another version of daskpickle is installed in this process already; or, with a client,
        if the scheduler has no daskpickle. The sentence says what to install where.

    Notes
    -----
    Idempotent. A worker without daskpickle starts and runs what needs none of it.
    """
    from daskpickle.cluster import call_hooks, config, distributed_hooks, error_hooks, hooks

    with _lock:
        config.apply()
        groups = (hooks, distributed_hooks, call_hooks, error_hooks)
        _install(tuple(hook for group in groups for hook in group.HOOKS))
    if client is None:
        return None
    from daskpickle.cluster.plugins import register

    return client.sync(register, client)


def install_here() -> None:
    """Switch on what needs no distributed; called while ``import dask`` is still running."""
    from daskpickle.cluster import hooks

    with _lock:
        _install(hooks.HOOKS)


def _install(hooks: tuple[type[Hook], ...]) -> None:
    state = vars(sys.modules["dask"]).setdefault(
        _STATE, {"version": daskpickle.__version__, "hooks": {}}
    )
    if state["version"] != daskpickle.__version__:
        raise RuntimeError(
            f"daskpickle {state['version']} is installed in this process already; this is "
            f"daskpickle {daskpickle.__version__}. Call uninstall() of that one first."
        )
    for cls in hooks:
        if cls.__name__ not in state["hooks"]:
            hook = cls()
            hook.install()
            state["hooks"][cls.__name__] = hook
    settings.installed = True


def uninstall(client: Client | None = None) -> Any:
    """Take back in this process all that `install` did; every hooked name is the original again.

    Parameters
    ----------
    client
        With a client, also on its cluster: what is pickled there from now on is pickled by Dask.

    Notes
    -----
    Idempotent. What has been submitted arrives all the same: it was pickled when it was submitted.
    """
    with _lock:
        state = vars(sys.modules["dask"]).pop(_STATE, None) if "dask" in sys.modules else None
        for hook in reversed(list(state["hooks"].values()) if state else []):
            hook.uninstall()
        settings.installed = False
    if client is None:
        return None
    from daskpickle.cluster.plugins import unregister

    return client.sync(unregister, client)
