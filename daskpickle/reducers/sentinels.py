"""Sentinels: the receiver's own, by the name under which a module has them.

Notes
-----
- Travels: an ``object()`` that is a variable of a module that can be imported, and the sentinels of
  the standard library, by name. Any other ``object()`` arrives as a new one, the same one for all
  that refer to it in one pickle.
- Lost: nothing of what has a name.
- Refused: nothing.

A copy of a sentinel is not the one that it is compared with.
"""

from __future__ import annotations

import configparser
import dataclasses
import dis
import enum
import sys
import traceback
from contextvars import Token
from types import ModuleType
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import register
from daskpickle.handles import Call, neutral

#: What modules have, by the ids of that; and what there was when this was looked up.
_known: tuple[dict[int, tuple[str, str]], tuple[int, int]] = ({}, (0, 0))


@register(
    object,
    travels="the module that has it, and its name there; else nothing",
    lost="identity, if no module has it",
    refused="nothing",
    hint="Give it a name in a module that the workers can import.",
)
@neutral
def reduce_object(obj: object) -> Any:
    """Say which module has it, if one does: it has no attributes that could tell."""
    name = _find(obj)
    if name is None:
        _refresh()
        name = _find(obj)
    if name is None or cloudpickle._is_registered_pickle_by_value(sys.modules[name[0]]):
        return NotImplemented
    return getattr, (Call(cloudpickle.subimport, name[0]), name[1])


def _find(obj: object) -> tuple[str, str] | None:
    name = _known[0].get(id(obj))
    if name is not None and _variables(sys.modules.get(name[0])).get(name[1]) is not obj:
        return None  # that was another one
    return name


def _variables(module: Any) -> dict[str, Any]:
    """Return the variables of a module that is there already; a lazy one stays unread."""
    if not issubclass(type(module), ModuleType):  # one of cffi's only says that it is one
        return {}
    return object.__getattribute__(module, "__dict__")  # type: ignore[no-any-return]


def _refresh() -> None:
    """Look through all modules again, if there are others than last time, or other variables."""
    global _known
    modules = [(name, _variables(module)) for name, module in list(sys.modules.items())]
    seen = len(modules), sum(len(variables) for _, variables in modules)
    if seen == _known[1]:
        return
    names: dict[int, tuple[str, str]] = {}
    for module, variables in modules:
        if variables.get("__spec__") is None or module in ("__main__", "__mp_main__"):
            continue
        for name, value in list(variables.items()):
            if type(value) is object:
                names.setdefault(id(value), (module, name))
    _known = names, seen


@neutral
def reduce_named(obj: object) -> Any:
    """Say its name in the module of its class."""
    module = sys.modules[type(obj).__module__]
    for name, value in list(vars(module).items()):
        if value is obj:
            return getattr, (Call(cloudpickle.subimport, module.__name__), name)
    return NotImplemented


@register(
    type(Token.MISSING),
    travels="its name",
    lost="nothing",
    refused="nothing",
    hint="Import it where it is used.",
)
@neutral
def reduce_missing(obj: object) -> Any:
    """Say its name."""
    return getattr, (Token, "MISSING")


_KNOWN = (
    (configparser, "UNNAMED_SECTION"),
    (dataclasses, "KW_ONLY"),
    (dataclasses, "MISSING"),
    (dataclasses, "_HAS_DEFAULT_FACTORY"),
    (dis, "UNKNOWN"),
    (enum, "_auto_null"),
    (enum, "_not_given"),
    (traceback, "_sentinel"),
)
for _module, _name in _KNOWN:  # not all of them are in each Python
    _sentinel = getattr(_module, _name, None)
    if type(_sentinel) not in (object, type(None)):
        register(
            type(_sentinel),
            reduce_named,
            travels="its name",
            lost="nothing",
            refused="nothing",
            hint="Import it where it is used.",
        )
