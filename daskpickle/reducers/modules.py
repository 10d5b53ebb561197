"""Modules: by name, or by value if they were made by a program.

Notes
-----
- Travels: its name, if it can be imported; else its variables, its name, its class.
- Lost: of one that was made by a program: that its functions use its variables, once it has
  arrived. They have their own, which they share with each other.
- Refused: nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import register
from daskpickle.handles import by_name, neutral


@register(
    ModuleType,
    travels="its name; its variables, if it cannot be imported",
    lost="that functions use its variables, if it cannot be imported",
    refused="nothing",
    hint="Put it in a file that the workers can import.",
    subclasses=True,
)
@neutral
def reduce_module(module: Any) -> tuple[Any, ...]:
    """Say its name, or make it before its variables, which may lead back to it."""
    variables = object.__getattribute__(module, "__dict__")  # a lazy one stays unread
    name = variables["__name__"]
    is_plain = type(module) is ModuleType
    if cloudpickle._PICKLE_BY_VALUE_MODULES:
        is_known = is_plain and cloudpickle._should_pickle_by_reference(module)
    else:
        is_known = name in sys.modules and (is_plain or sys.modules[name] is module)
    if is_known:
        return (cloudpickle.subimport if is_plain else rebuild_imported), (name,)
    state = {n: value for n, value in variables.items() if n != "__builtins__"}
    if is_plain:
        return cloudpickle.dynamic_subimport, (name, {}), state
    return rebuild_module, (type(module), name), state, None, None, set_variables


@by_name
def rebuild_imported(name: str) -> Any:
    """Import a module."""
    return importlib.import_module(name)


def rebuild_module(cls: Any, name: str) -> Any:
    """Make a module of a class that was made for some."""
    module = ModuleType.__new__(cls)
    ModuleType.__init__(module, name)
    return module


def set_variables(module: Any, variables: dict[str, Any]) -> None:
    """Give it its variables; what its class does with names is for others."""
    object.__getattribute__(module, "__dict__").update(variables)
