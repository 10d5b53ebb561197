"""What wraps functions and methods: caches, sort keys, context managers, properties, `super`.

Notes
-----
- Travels: a function behind `functools.lru_cache`, by its name where it can be imported, else as
  the function, the size of the cache and what was set on it; what `functools.cmp_to_key` makes; a
  context manager made by `contextlib.contextmanager` that was not entered, as the function and the
  arguments that it was made of; a property of a subclass; methods of classes of C; `super` objects.
- Lost: what a cache holds, and its counts: each process fills its own.
- Refused: a context manager that was entered. The place in its generator cannot be recorded.
"""

from __future__ import annotations

import abc
import functools
import gc
import inspect
from collections.abc import Callable
from contextlib import _AsyncGeneratorContextManager, _GeneratorContextManager
from types import ClassMethodDescriptorType
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, neutral

Cache = functools._lru_cache_wrapper
KeyFunction: Any = type(functools.cmp_to_key(lambda x, y: 0))

HINT = "Make it inside the task."


@register(
    Cache,
    travels="its function, its size, the attributes set on it; by name where it has one",
    lost="what it holds, its counts",
    refused="nothing",
    hint=HINT,
)
@neutral
def reduce_cache(cache: Any) -> Any:
    """Say its name, or how to make it around the function that travels."""
    name = getattr(cache, "__qualname__", "")
    found = cloudpickle._lookup_module_and_qualname(cache, name) if name else None
    if found is not None and not cloudpickle._is_registered_pickle_by_value(found[0]):
        return name
    state = {name: value for name, value in vars(cache).items() if name not in _SET_BY_LRU_CACHE}
    facts = cache.cache_parameters()
    return rebuild_cache, (cache.__wrapped__, facts["maxsize"], facts["typed"]), state


_SET_BY_LRU_CACHE = frozenset(("__wrapped__", "cache_parameters"))


def rebuild_cache(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Make an empty cache around a function."""
    return functools.lru_cache(maxsize, typed)(function)


@register(
    KeyFunction,
    travels="what compares, and the object that it stands for",
    lost="nothing",
    refused="nothing",
    hint=HINT,
)
def reduce_key(key: Any) -> tuple[Any, ...]:
    """Say what compares; only the garbage collector tells (``Modules/_functoolsmodule.c``)."""
    _, *parts = gc.get_referents(key)  # the first one is its class
    return rebuild_key, tuple(parts)


def rebuild_key(compare: Callable[[Any, Any], int], *obj: Any) -> Any:
    """Make what `sorted` takes as a key; or what that makes of an object."""
    key: Any = functools.cmp_to_key(compare)
    return key(*obj) if obj else key


@register(
    property,
    travels="its functions, its attributes",
    lost="nothing",
    refused="nothing",
    hint="Register a reducer for its class.",
    subclasses=True,
)
@register(
    abc.abstractproperty,
    travels="its functions",
    lost="nothing",
    refused="nothing",
    hint="Use property and abc.abstractmethod.",
)
@neutral
def reduce_property(obj: property) -> tuple[Any, ...]:
    """Say what gets, sets and deletes; subclasses say more by their attributes."""
    made = abc.abstractproperty if type(obj) is abc.abstractproperty else property
    return made, (obj.fget, obj.fset, obj.fdel, _doc.__get__(obj))


_doc: Any = vars(property)["__doc__"]  # which a class of its own hides by its own


@register(
    staticmethod,
    travels="its function, its attributes",
    lost="nothing",
    refused="nothing",
    hint="Register a reducer for its class.",
    subclasses=True,
)
@register(
    classmethod,
    travels="its function, its attributes",
    lost="nothing",
    refused="nothing",
    hint="Register a reducer for its class.",
    subclasses=True,
)
@neutral
def reduce_method(obj: Any) -> tuple[Any, ...]:
    """Say its function, and what was set on it; what that has it takes over again."""
    made = staticmethod if isinstance(obj, staticmethod) else classmethod
    plain: Any = vars(made(obj.__func__))
    more = {name: value for name, value in vars(obj).items() if plain.get(name, made) is not value}
    return (made, (obj.__func__,), more) if more else (made, (obj.__func__,))


@register(
    ClassMethodDescriptorType,
    travels="its class and its name",
    lost="nothing",
    refused="nothing",
    hint="Pass the method itself.",
)
@neutral
def reduce_classmethod_descriptor(descriptor: Any) -> tuple[Any, ...]:
    """Say where it is found; as an attribute of the class it would be a method."""
    return inspect.getattr_static, (descriptor.__objclass__, descriptor.__name__)


@register(
    super,
    travels="its class and its object",
    lost="nothing",
    refused="nothing",
    hint="Call the method of the base by the name of the base.",
)
@neutral
def reduce_super(obj: Any) -> tuple[Any, ...]:
    """Say what it was made of; what else it is asked, it passes on to the bases of its object."""
    names = ("__thisclass__",) if _self.__get__(obj) is None else ("__thisclass__", "__self__")
    return super, tuple(vars(super)[name].__get__(obj) for name in names)


_self: Any = vars(super)["__self__"]


@register(
    _GeneratorContextManager,
    travels="one that was not entered: its function and arguments",
    lost="nothing",
    refused="once it was entered",
    hint="Enter it inside the task, or pass the function that makes it.",
    subclasses=True,
)
@register(
    _AsyncGeneratorContextManager,
    travels="one that was not entered: its function and arguments",
    lost="nothing",
    refused="once it was entered",
    hint="Enter it inside the task, or pass the function that makes it.",
    subclasses=True,
)
def reduce_manager(manager: Any) -> tuple[Any, ...]:
    """Say what it was made of; entering it forgets that, and starts its generator."""
    state = dict(vars(manager))
    if state.pop("gen", None) is None or "func" not in state:
        raise RefusedError(
            manager, "It was entered, and its place in its function is not recorded."
        )
    facts = [state.pop(name) for name in ("func", "args", "kwds")]
    if not (inspect.isgeneratorfunction(facts[0]) or inspect.isasyncgenfunction(facts[0])):
        raise RefusedError(manager, "Its function must run for it to be made again.")
    if state.get("__doc__") == facts[0].__doc__:  # which it takes over from its function
        state.pop("__doc__", None)
    return rebuild_manager, (type(manager), *facts, state)


def rebuild_manager(
    cls: type,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    state: dict[str, Any],
) -> Any:
    """Make it again; a generator that is made runs nothing of its function."""
    manager: Any = object.__new__(cls)
    made = {"gen": function(*args, **kwargs), "func": function, "args": args, "kwds": kwargs}
    add_state(manager, {**made, "__doc__": function.__doc__, **state})
    return manager
