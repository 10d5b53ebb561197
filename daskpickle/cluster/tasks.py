"""Tasks are what Dask pickles most: reduced without asking them, and loaded in one step.

Any node loads them. Within a graph, the bytes are those of `dask._task_spec.Task` itself; a task
that is pickled alone begins with the names that it needs (`daskpickle.prelude`).
"""

from __future__ import annotations

import copyreg
import marshal
import operator
import sys
from types import FunctionType
from typing import Any

from cloudpickle import cloudpickle
from dask._task_spec import Alias, DataNode, Task, TaskRef

from daskpickle.cluster.hooks import Hook
from daskpickle.compiled import SHORTCUTS, ask
from daskpickle.functions import by_value_modules
from daskpickle.pickler import current_table
from daskpickle.prelude import names
from daskpickle.quick import PROBES, Dumped, Picklers
from daskpickle.resolved import is_by_value
from daskpickle.table import registry

__all__ = ["TaskState", "dump_task"]

_NAMES = tuple(Task.get_all_slots())
_state_of = operator.attrgetter(*_NAMES)
_new = copyreg.__newobj__  # type: ignore[attr-defined]
_ARGS = (Task,)


def reduce_task(task: Task) -> tuple[Any, ...]:
    """Reduce a task as ``Task.__getstate__`` does, which looks for its slots each time."""
    return _new, _ARGS, _state_of(task)


SHORTCUTS[Task] = reduce_task
for _cls in (TaskRef, DataNode, Alias):
    if (
        _cls.__reduce__ is not object.__reduce__
    ):  # in the oldest Dask, `TaskRef` has none of its own
        SHORTCUTS[_cls] = _cls.__reduce__
PROBES[Task] = operator.attrgetter("func")

_ids = id(Task), id(TaskRef)
_entries = (0, Task), (1, TaskRef)
_PATHS = (Task.__module__, "Task"), (TaskRef.__module__, "TaskRef")
_BY_VALUE = (marshal.__name__, "loads"), (cloudpickle.__name__, "_make_function")
_NO_NAMES: dict[str, Any] = {}

_picklers = Picklers(current_table, remembers=True, keeps=(Task, TaskRef))
_task = names(_PATHS[0]), {_ids[0]: _entries[0]}
_task_and_ref = names(*_PATHS), {_ids[0]: _entries[0], _ids[1]: _entries[1]}
_with_function = (
    names(*_PATHS, *_BY_VALUE),
    {**_task_and_ref[1], id(marshal.loads): (2, marshal.loads),
     id(cloudpickle._make_function): (3, cloudpickle._make_function)},
)  # fmt: skip


class _Names:
    """The names that a task of one function needs."""

    __slots__ = ("module", "name", "told", "version", "with_refs", "without")

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self.version, self.told = registry.version, len(copyreg.dispatch_table)
        self.without = names(_PATHS[0], (module, name))
        self.with_refs = names(*_PATHS, (module, name))


_known: dict[int, _Names] = {}  # by the id of the function; a guess, as it may be another one's


def dump_task(task: Task, out_of_band: bool) -> Dumped:
    """Pickle a task: what names its class, its references, and its function goes first."""
    function = task.func
    key = id(function)
    known = _known.get(key)
    if (
        known is None
        or known.version != registry.version
        or getattr(sys.modules.get(known.module), "__dict__", _NO_NAMES).get(known.name)
        is not function
        or known.told != len(copyreg.dispatch_table)
    ):
        known = _look_at(function)
    if by_value_modules or (known is None and not is_by_value(function)):
        prelude = _task_and_ref if task._dependencies else _task
        return _picklers.dump_named(task, out_of_band, prelude, bool(by_value_modules))
    if known is None:
        # Functions that are pickled together share their global variables: if there is another one,
        # this one is not written by itself.
        found, other = _picklers.prelude(function, _task_and_ref), _with_function
        return _picklers.dump_named(task, out_of_band, found or other, found is None, other)
    if task._dependencies:
        memo = {_ids[0]: _entries[0], _ids[1]: _entries[1], key: (2, function)}
        return _picklers.dump_named(task, out_of_band, (known.with_refs, memo), False)
    memo = {_ids[0]: _entries[0], key: (1, function)}
    return _picklers.dump_named(task, out_of_band, (known.without, memo), False)


def _look_at(function: Any) -> _Names | None:
    """Return the names for a function, or another object that its module has under its name."""
    _known.pop(id(function), None)
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if type(module) is not str or type(name) is not str or module == "__main__":
        return None
    if getattr(sys.modules.get(module), "__dict__", _NO_NAMES).get(name) is not function:
        return None
    if type(function) not in (FunctionType, type):  # what of C is called: a method, a numpy.ufunc
        reduce = current_table().refresh().get(type(function)) or ask
        if reduce(function) != name:
            return None
    if len(_known) >= 4096:
        _known.clear()
    known = _known[id(function)] = _Names(module, name)
    return known


def _make_set_state(original: Any) -> Any:
    """Return ``Task.__setstate__``, written out for the slots that there are."""
    source = f"""
def __setstate__(self, state):
    if type(self) is Task and len(state) == {len(_NAMES)}:
        {", ".join(f"self.{name}" for name in _NAMES)} = state
    else:
        original(self, state)
"""
    namespace: dict[str, Any] = {"Task": Task, "original": original}
    exec(source, namespace)
    return namespace["__setstate__"]


class TaskState(Hook):
    """`dask._task_spec.Task.__setstate__`: half of the time in which a graph is loaded."""

    def __init__(self) -> None:
        self.original: Any = None

    def install(self) -> None:
        self.original = Task.__setstate__
        Task.__setstate__ = _make_set_state(self.original)

    def uninstall(self) -> None:
        Task.__setstate__ = self.original
