"""Tasks are what Dask pickles most: reduced without asking them, and loaded in one step.

The bytes are those of `dask._task_spec.Task` itself, which any node loads.
"""

from __future__ import annotations

import copyreg
import operator
from typing import Any

from dask._task_spec import Alias, DataNode, Task, TaskRef

from daskpickle.cluster.hooks import Hook
from daskpickle.compiled import SHORTCUTS
from daskpickle.quick import PROBES

__all__ = ["TaskState"]

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
