"""Type variables, new types and type aliases of functions and scripts.

Notes
-----
- Travels: by name where it can be imported, else what it was made of. It keeps its identity: what
  arrives twice in a process arrives as one, as classes do.
- Lost: nothing.
- Refused: an alias with parameters that refers to itself and cannot be imported.

Type variables travel as cloudpickle has them, and with the default that they may have since 3.13.
"""

from __future__ import annotations

import typing
from types import FunctionType
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import neutral

FACTS: dict[str, Any] = {
    "travels": "its name; what it is made of, where that cannot be imported",
    "lost": "nothing",
    "refused": "nothing",
    "hint": "Define it in a module that the workers can import.",
}
_NAMES = ("bound", "covariant", "contravariant", "infer_variance", "default")


def by_name(obj: Any) -> Any:
    """Reduce what can be imported by its name there; to None what cannot."""
    found = cloudpickle._lookup_module_and_qualname(obj, obj.__name__)
    if found is None or cloudpickle._is_registered_pickle_by_value(found[0]):
        return None
    return getattr, found


@neutral
def reduce_variable(variable: Any) -> Any:
    """Say its name, or what it was made of, and under which mark others know it."""
    imported = by_name(variable)
    if imported is not None:
        return imported
    options = {name: getattr(variable, f"__{name}__", None) for name in _OPTIONS}
    options = {name: value for name, value in options.items() if value}
    if not getattr(variable, "has_default", bool)():
        options.pop("default", None)
    if type(variable) is typing.TypeVar and not options.keys() - _OF_CLOUDPICKLE:
        made = cloudpickle._typevar_reduce(variable)
        return *made, (None, {"__module__": variable.__module__})  # else that of what makes it
    args = (variable.__name__, *getattr(variable, "__constraints__", ()))
    supertype = getattr(variable, "__supertype__", None)
    if supertype is not None:
        args = (variable.__name__, supertype)
    token = cloudpickle._get_or_create_tracker_id(variable)
    return rebuild_variable, (type(variable), variable.__module__, token, args, options)


def rebuild_variable(
    cls: Any, module: str, token: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Return the one of this process."""
    variable = cls(*args, **options)
    variable.__module__ = module
    return cloudpickle._lookup_class_or_track(token, variable)


_OPTIONS = ("bound", "covariant", "contravariant", "infer_variance", "default")
_OF_CLOUDPICKLE = {"bound", "covariant", "contravariant"}

for _name in ("NewType", "ParamSpec", "TypeVar", "TypeVarTuple"):
    if hasattr(typing, _name):  # the last one is new in Python 3.11
        register(getattr(typing, _name), reduce_variable, **FACTS)


@neutral
def reduce_alias(alias: Any) -> Any:
    """Say its name, or what it is for."""
    imported = by_name(alias)
    if imported is not None:
        return imported
    if _mentions(alias.__value__, alias):  # whoever makes one needs the other
        if alias.__type_params__:
            raise RefusedError(alias, "It refers to itself, and has parameters.")
        name = alias.__module__, alias.__name__
        return rebuild_recursive_alias, name, alias.__value__, None, None, set_alias
    return rebuild_alias, (
        alias.__module__, alias.__name__, alias.__type_params__, alias.__value__,
    )  # fmt: skip


def rebuild_alias(module: str, name: str, params: tuple[Any, ...], value: Any) -> Any:
    """Make an alias; its module is that of the code that does so."""
    names = {"__name__": module, "make": typing.TypeAliasType}  # type: ignore[attr-defined]
    return FunctionType(_make.__code__, names)(name, value, params)


def rebuild_recursive_alias(module: str, name: str) -> Any:
    """Make an alias that looks for what it is for when it is asked."""
    names: dict[str, Any] = {"__name__": module, "values": []}
    consts = tuple(name if const == "Name" else const for const in _recursive.co_consts)
    alias = FunctionType(_recursive.replace(co_consts=consts), names)()
    _unset[id(alias)] = names["values"]
    return alias


def set_alias(alias: Any, value: Any) -> None:
    """Give an alias what it is for."""
    _unset.pop(id(alias)).append(value)


_unset: dict[int, list[Any]] = {}  # by the ids of aliases that are being loaded


def _make(name: str, value: Any, params: tuple[Any, ...]) -> Any:
    return make(name, value, type_params=params)  # type: ignore[name-defined] # noqa: F821


def _mentions(value: Any, alias: Any, inside: tuple[Any, ...] = ()) -> bool:
    if value is alias:
        return True
    parts = [getattr(value, "__origin__", None), *getattr(value, "__args__", ())]
    if type(value) is type(alias) and not any(value is other for other in inside):
        inside, parts = (*inside, value), [value.__value__]
    return any(_mentions(part, alias, inside) for part in parts if part is not None)


_Alias: Any = getattr(typing, "TypeAliasType", None)  # new in Python 3.12
if _Alias is not None:
    FACTS["refused"] = "an alias with parameters that refers to itself"
    register(_Alias, reduce_alias, **FACTS)
    exec("def make():\n    type Name = values[0]\n    return Name", globals())
    _recursive = globals().pop("make").__code__
