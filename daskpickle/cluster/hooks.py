"""The hooks that need no distributed: cloudpickle, the "processes" scheduler, spawned processes.

Each hook is a small class that puts one thing in its place and takes it back, and says why.
"""

from __future__ import annotations

import pickle
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import cloudpickle
import dask.config

from daskpickle.pickler import Pickler, dumps
from daskpickle.policy import current_policy

__all__ = ["HOOKS", "Hook", "Rebinding", "module_of"]


class Hook(ABC):
    """Something of another package that is replaced while daskpickle is installed."""

    @abstractmethod
    def install(self) -> None:
        """Put ours in its place."""

    @abstractmethod
    def uninstall(self) -> None:
        """Put the original back."""


class Rebinding(Hook):
    """One function of Dask, rebound wherever dask or distributed hold it."""

    module: ClassVar[str]
    name: ClassVar[str]

    def __init__(self) -> None:
        self.original: Any = None
        self.ours: Any = None

    @abstractmethod
    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of ``original``."""

    def install(self) -> None:
        self.original = getattr(module_of(self.module), self.name)
        self.ours = self.make(self.original)
        self.ours.__name__ = self.name
        _rebind(self.original, self.ours)

    def uninstall(self) -> None:
        _rebind(self.ours, self.original)


def module_of(name: str) -> types.ModuleType:
    """Import a module of distributed."""
    __import__(name)
    return sys.modules[
        name
    ]  # a package's attribute may be shadowed: distributed.protocol.serialize


def _rebind(old: Any, new: Any) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("dask", "distributed") and module is not None:
            for attribute, value in list(vars(module).items()):
                if value is old:
                    setattr(module, attribute, new)


class CloudpickleTable(Hook):
    """`cloudpickle.Pickler.dispatch_table`: for `dask.tokenize` and the "processes" scheduler."""

    def __init__(self) -> None:
        self.front: Any = None

    def install(self) -> None:
        maps = cloudpickle.Pickler.dispatch_table.maps
        self.front = _Front(maps[0])
        maps.insert(0, self.front)

    def uninstall(self) -> None:
        maps = cloudpickle.Pickler.dispatch_table.maps
        maps[:] = [table for table in maps if table is not self.front]


class _Front(dict[type, Any]):
    """Our registrations, before another table; what is written goes to the other one."""

    def __init__(self, behind: Any) -> None:
        super().__init__()
        self._behind = behind

    def __missing__(self, cls: type) -> Any:
        reducer = _find(cls)
        if reducer is None:
            raise KeyError(cls)
        return reducer

    def get(self, cls: Any, default: Any = None) -> Any:
        try:
            return self[cls]
        except KeyError:
            return default

    def __contains__(self, cls: object) -> bool:
        return isinstance(cls, type) and _find(cls) is not None

    def __setitem__(self, cls: type, reducer: Any) -> None:
        self._behind[cls] = reducer

    def __delitem__(self, cls: type) -> None:
        del self._behind[cls]

    def pop(self, cls: type, *default: Any) -> Any:
        return self._behind.pop(cls, *default)


def _find(cls: type) -> Any:
    """Return the reducer that a registration of ours gives to a class, if any."""
    table = Pickler.dispatch_table.under(current_policy().actions)
    return dict.get(table, cls) or table.registered(cls)


class ProcessScheduler(Hook):
    """``func_dumps`` and ``func_loads`` of Dask's "processes" scheduler: both ways."""

    def install(self) -> None:
        if dask.config.get("func_dumps", None) is None:
            dask.config.config["func_dumps"] = dumps
            dask.config.config["func_loads"] = pickle.loads

    def uninstall(self) -> None:
        if dask.config.config.get("func_dumps") is dumps:
            del dask.config.config["func_dumps"], dask.config.config["func_loads"]


class Spawning(Hook):
    """`multiprocessing.reduction.ForkingPickler`: what a nanny gives to its worker process.

    Never over an entry of its own: it owns sockets and connections, which it passes by descriptor.
    """

    def __init__(self) -> None:
        self.original: Any = None

    def install(self) -> None:
        from multiprocessing.reduction import ForkingPickler

        self.original = ForkingPickler._copyreg_dispatch_table  # type: ignore[attr-defined]
        ForkingPickler._copyreg_dispatch_table = _Spawned(self.original)  # type: ignore[attr-defined]

    def uninstall(self) -> None:
        from multiprocessing.reduction import ForkingPickler

        ForkingPickler._copyreg_dispatch_table = self.original  # type: ignore[attr-defined]


class _Spawned(dict[type, Any]):
    """Ours, then `copyreg`; each pickler copies it, and puts `ForkingPickler`'s own over it."""

    def __init__(self, behind: Any) -> None:
        super().__init__()
        self._behind = behind

    def copy(self) -> _Spawned:
        return _Spawned(self._behind)

    def __missing__(self, cls: type) -> Any:
        return _find(cls) or self._behind[cls]


#: In the order in which they are installed.
HOOKS: tuple[type[Hook], ...] = (CloudpickleTable, ProcessScheduler, Spawning)
