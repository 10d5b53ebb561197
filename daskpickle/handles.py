"""Handles: a recipe travels, and is opened where it is used.

Words: a *handle* is a live object tied to one process. Its *recipe* says how to open it again. Its
*token* is its identity in all processes: one token gives one object within its *scope*. What is
open in this process is in `daskpickle.pool`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import sys
import types
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import cloudpickle

from daskpickle.errors import RefusedError, describe_type
from daskpickle.identity import (
    Call,
    Callback,
    Contents,
    IdentityMap,
    Resumed,
    add_state,
    by_name,
    early_state,
    extra_state,
    fixed,
    intern,
    neutral,
    remember,
    settings,
    token_of,
    token_parts,
)
from daskpickle.pool import arrived, end_task, fired, is_opening, opening, pool, running_task
from daskpickle.samefile import MORE, Stamp, describe_bytes, find_path, open_same

__all__ = [
    "MORE",
    "Call",
    "Callback",
    "Contents",
    "Handle",
    "IdentityMap",
    "Recipe",
    "Resumed",
    "Stamp",
    "add_state",
    "arrived",
    "as_handle",
    "by_name",
    "describe_bytes",
    "early_state",
    "end_task",
    "extra_state",
    "find_path",
    "fixed",
    "intern",
    "neutral",
    "open_same",
    "opening",
    "pool",
    "real",
    "rebuild_handle",
    "remember",
    "running_task",
    "settings",
    "token_of",
    "token_parts",
]

SCOPES = ("process", "thread", "fresh")


class Recipe:
    """How a handle is opened again: ``open(*args, **kwargs)``, in the thread that uses it.

    Parameters
    ----------
    open
        A callable that travels.
    *args, **kwargs
        Its arguments; plain values, or objects that travel themselves.
    close
        Called with the opened object when the pool lets it go. Default: its ``close``, if any.
    reset
        Called with the opened object when it passes from one task to the next. If it raises, the
        object is closed and opened anew.
    token
        The identity of the handle, where its type has no weak references.
    thread_bound
        Whether only the thread that opened it may close it. Default: whether the scope is "thread".
    drop_on_failure
        Whether to close it when its task failed, half-way through a stream. Default: whether the
        scope is "thread" and there is no ``reset``.
    snapshot
        Whether its content travels. What a task made of it then travels on: the opened object is
        reduced anew, and not pickled as what it arrived as.
    """

    __slots__ = (
        "_state", "args", "close", "cls", "drop_on_failure", "kwargs", "open", "reset", "scope",
        "snapshot", "thread_bound", "token",
    )  # fmt: skip

    def __init__(
        self,
        open: Callable[..., Any],  # noqa: A002
        /,
        *args: Any,
        close: Callable[[Any], object] | None = None,
        reset: Callable[[Any], object] | None = None,
        token: str | None = None,
        thread_bound: bool | None = None,
        drop_on_failure: bool | None = None,
        snapshot: bool = False,
        **kwargs: Any,
    ) -> None:
        self.open = open
        self.args = args
        self.kwargs = kwargs
        self.close = close
        self.reset = reset
        self.token = token
        self.thread_bound = thread_bound
        self.drop_on_failure = drop_on_failure
        self.snapshot = snapshot
        self.cls: type = object
        self.scope = ""
        self._state: _State | None = None

    def __repr__(self) -> str:
        return f"<Recipe of {describe_type(self.cls)}, scope {self.scope!r}>"  # never the arguments

    def bind(self, obj: object, cls: type, scope: str) -> Recipe:
        """Fill in what the registration knows and the token of ``obj``."""
        self.cls, self.scope = cls, self.scope or scope or "process"
        if self.thread_bound is None:
            self.thread_bound = self.scope == "thread"
        if self.drop_on_failure is None:
            self.drop_on_failure = self.scope == "thread" and self.reset is None
        if self.token is None:
            try:
                self.token = token_of(obj)
            except TypeError:
                try:
                    self.token = _digest((self.open, self.args, self.kwargs))
                except Exception as exc:
                    why = "Its type has no weak references, and its recipe is not made of values."
                    hint = "Pass token= to Recipe, or add '__weakref__' to its __slots__."
                    raise RefusedError(obj, why, hint) from exc
        return self

    def reduce(self) -> tuple[Any, ...]:
        """Return the reduced value: plain facts, `rebuild_handle` first."""
        return rebuild_handle, (
            self.cls, self.scope, self.token, self.open, self.args, self.kwargs, self.close,
            self.reset, self.thread_bound, self.drop_on_failure, self.snapshot,
        )  # fmt: skip

    @property
    def close_name(self) -> str:
        """The name of the method that closes the object, if a method does."""
        name = getattr(self.close, "__name__", "")
        is_method = self.close is not None and getattr(self.cls, name, None) is self.close
        return name if is_method else "close"

    @property
    def state(self) -> Hashable:
        """What it was when it was submitted; the token says which object it was."""
        if self._state is None:
            self._state = _State((self.open, self.args, self.kwargs))
        return self._state

    def same(self, other: Recipe) -> bool:
        """Tell whether ``other`` opens the same thing in the same state."""
        return self is other or (self.token == other.token and self.state == other.state)


class _State:
    """A value, equal for all loads of the same bytes; compared when a handle is used."""

    __slots__ = ("hash", "value")

    def __init__(self, value: Any) -> None:
        try:
            self.value = _freeze(value)
            self.hash = hash(self.value)
        except Exception:  # anyone's __hash__, or a cycle: equal to itself only
            self.value, self.hash = object(), id(self)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is _State and bool(self.value == other.value))


_IMPORTED = (types.FunctionType, types.BuiltinFunctionType, type)


def _freeze(value: Any) -> Hashable:
    """Return what compares as ``value`` does, and does not depend on who loaded it."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, tuple(map(_freeze, value))
    if kind is dict:
        return kind, tuple((_freeze(key), _freeze(item)) for key, item in value.items())
    if kind in (set, frozenset):
        return kind, frozenset(map(_freeze, value))
    if issubclass(kind, Handle):
        return _freeze(object.__getattribute__(value, _recipe).reduce())
    if isinstance(value, _IMPORTED):
        module = sys.modules.get(str(getattr(value, "__module__", "")))
        if getattr(module, value.__qualname__, None) is value:
            return value
    elif getattr(kind, "__hash__", None) not in (None, object.__hash__):
        return kind, value
    reduced = arrived(value)
    if reduced is not None:
        return _freeze(reduced)
    # Each load makes another object of these, which is equal to itself only.
    try:
        return kind, _digest(value)
    except Exception:
        return kind, value


def _digest(value: Any) -> str:
    return hashlib.sha256(cloudpickle.dumps(value, 5)).hexdigest()[:32]


def rebuild_handle(
    cls: type,
    scope: str,
    token: str,
    open: Callable[..., Any],  # noqa: A002
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    close: Callable[[Any], object] | None = None,
    reset: Callable[[Any], object] | None = None,
    thread_bound: bool = False,
    drop_on_failure: bool = False,
    snapshot: bool = False,
) -> Any:
    """Make a `Handle`; or, where a task opens what was sealed for it, the real thing."""
    recipe = Recipe(
        open, *args, close=close, reset=reset, token=token, thread_bound=thread_bound,
        drop_on_failure=drop_on_failure, snapshot=snapshot, **kwargs,
    )  # fmt: skip
    recipe.cls, recipe.scope = cls, scope
    if is_opening():
        return pool.acquire(recipe)
    return handle_type(cls)(recipe)


_recipe = "_daskpickle_recipe"


#: What `inspect`, `asyncio` and their like ask of anything; IPython's names are ``_like_this_``.
_PROBES = frozenset({"_is_coroutine", "_is_coroutine_marker", "_partialmethod"})


class Handle:
    """Stands for an object that is opened at its first real use, in the thread that uses it.

    It is an instance of the object's class as far as `isinstance` can tell, and is inert to
    introspection: isinstance, hash, repr, bool, ``==`` and the look-up of special attributes
    open nothing. ``close()`` gives the object back to the pool; it does not close it for others.
    """

    __slots__ = (_recipe, "__weakref__")
    _daskpickle_methods: frozenset[str] = frozenset()  # looking one up opens nothing

    def __init__(self, recipe: Recipe) -> None:
        object.__setattr__(self, _recipe, recipe)

    def __getattribute__(self, name: str) -> Any:
        recipe: Recipe = object.__getattribute__(self, _recipe)
        if name == "__class__":
            return recipe.cls
        if name[:2] == "__" == name[-2:] or name[:12] == "_daskpickle_":
            return object.__getattribute__(self, name)
        if name == recipe.close_name and callable(getattr(recipe.cls, name, None)):
            return lambda *args, **kwargs: pool.give_back(recipe, self)
        if (name in _PROBES or name[:1] == "_" == name[-1:]) and not hasattr(recipe.cls, name):
            raise AttributeError(name)
        if name in type(self)._daskpickle_methods:
            return functools.partial(call_method, self, name)
        return getattr(pool.acquire(recipe, self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(pool.acquire(object.__getattribute__(self, _recipe), self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(pool.acquire(object.__getattribute__(self, _recipe), self), name)

    def __repr__(self) -> str:
        return f"<handle of {describe_type(object.__getattribute__(self, _recipe).cls)}>"

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, _recipe).token)

    def __eq__(self, other: object) -> bool:
        if not issubclass(type(other), Handle):
            return NotImplemented
        mine: Recipe = object.__getattribute__(self, _recipe)
        return mine.same(object.__getattribute__(other, _recipe))

    def __dir__(self) -> list[str]:
        return dir(object.__getattribute__(self, _recipe).cls)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        fired()
        recipe: Recipe = object.__getattribute__(self, _recipe)
        return recipe.reduce()


def call_method(handle: Handle, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Open what a handle stands for, and call its method; a method that travels is this one."""
    return getattr(real(handle), name)(*args, **kwargs)


def real(obj: Any) -> Any:
    """Return what a handle stands for, opened in this thread; anything else as it is.

    For an ``open`` function whose arguments are other handles, and that calls what asks for the
    very type, as functions written in C do.
    """
    if issubclass(type(obj), Handle):
        return pool.acquire(object.__getattribute__(obj, _recipe), obj)
    return obj


# What a handle's type defines where the object's class does. Everything else that Python looks up
# on the type (__init_subclass__, __array__, __dask_graph__, ...) is introspection.
_FORWARDED = tuple(
    f"__{name}__"
    for name in (
        "enter exit aenter aexit call iter next aiter anext await getitem setitem delitem len "
        "length_hint contains reversed bytes int float index complex round trunc floor ceil fspath "
        "neg pos abs invert lt le gt ge "
        "add sub mul matmul truediv floordiv mod divmod pow and or xor lshift rshift "
        "radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rand ror rxor rlshift rrshift "
        "iadd isub imul imatmul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift"
    ).split()
)
_METHODS = (types.FunctionType, types.MethodDescriptorType)
_handle_types: weakref.WeakKeyDictionary[type, type[Handle]] = weakref.WeakKeyDictionary()


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: Handle, *args: Any, **kwargs: Any) -> Any:
        obj = pool.acquire(object.__getattribute__(self, _recipe), self)
        return getattr(type(obj), name)(obj, *args, **kwargs)

    forward.__name__ = name
    return forward


def _iterate(self: Handle) -> Iterator[Any]:
    """Iterate without opening before the first item: `map`, when it is loaded, asks for that."""
    return itertools.chain.from_iterable(map(real, (self,)))


def _defines(cls: type, name: str) -> bool:
    # Not getattr, which finds `type.__call__` and `type.__or__` too.
    found = next((base for base in cls.__mro__[:-1] if name in base.__dict__), None)
    return found is not None and found.__dict__[name] is not None


def handle_type(cls: type) -> type[Handle]:
    """Return the subclass of `Handle` that has those special methods that ``cls`` has."""
    handle = _handle_types.get(cls)
    if handle is None:
        namespace: dict[str, Any] = {n: _forward(n) for n in _FORWARDED if _defines(cls, n)}
        if "__iter__" in namespace:
            namespace["__iter__"] = _iterate
        namespace["__slots__"] = ()
        members: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            members.update(vars(base))
        methods = (name for name, value in members.items() if isinstance(value, _METHODS))
        namespace["_daskpickle_methods"] = frozenset(methods)
        handle = _handle_types[cls] = type("Handle", (Handle,), namespace)
    return handle


def as_handle(obj: Any) -> Any:
    """Return a lazy handle in the place of an object that the pool opened; else ``obj`` itself.

    What a task returns outlives it; the pool may reset, close, or give to others what it opened.
    """
    reduced = arrived(obj)
    if reduced is None or reduced[0] is not rebuild_handle:
        return obj
    with opening(False):
        return rebuild_handle(*reduced[1])
