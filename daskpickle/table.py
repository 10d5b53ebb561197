"""The dispatch table: which reducer is used for which class. The order of dispatch lives here only.

The order, for the class of an object:

1. a registration of that very class;
2. the room (a module of `daskpickle.reducers`, or a plug-in) that its owner, the first part of
   ``cls.__module__``, belongs to: it is imported now, and may register the class;
3. a registration with ``subclasses=True`` of one of its bases (MRO, then ABCs), as long as no class
   in between says itself how it is pickled, by a method, in `copyreg` or in ``dask_serialize``;
4. `copyreg` and Dask's ``dask_serialize``, whenever they were registered;
5. the object's own ``__reduce_ex__``.

A registration with ``veto=True`` goes before all others, its subclasses included.
"""

from __future__ import annotations

import copyreg
import operator
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any, TypeVar, overload

import cloudpickle

from daskpickle import identity
from daskpickle.classes import reduce_class
from daskpickle.compiled import SHORTCUTS, ask, is_static, reducer_of
from daskpickle.errors import RefusedError, RegistrationError, describe_type
from daskpickle.functions import BETTER
from daskpickle.handles import SCOPES, IdentityMap, Recipe, add_state, extra_state
from daskpickle.pool import arrived, fired
from daskpickle.subclasses import is_forgotten, rebuild_bare, reduce_forgotten, set_both
from daskpickle.unloadable import is_unloadable, reduce_unloadable, set_state

__all__ = [
    "DispatchTable",
    "Once",
    "Reducer",
    "Registration",
    "register",
    "registrations",
    "told",
    "unregister",
    "version",
]

Reducer = Callable[[Any], Any]
R = TypeVar("R", bound=Reducer)

#: What cloudpickle and its users registered there; `cloudpickle.Pickler.dispatch_table` chains it.
told_cloudpickle: dict[type, Reducer] = cloudpickle.Pickler._dispatch_table
told_copyreg = copyreg.dispatch_table

#: Methods by which a class says itself how it is pickled.
_OWN_PICKLING = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)

#: Classes about whose own objects the C pickler asks no reducer: ``save`` in ``_pickle.c``.
_NEVER_ASKED = {type(None), bool, int, float, bytes, bytearray, str, dict, set, frozenset}
_NEVER_ASKED |= {list, tuple, type, FunctionType}

# Who registered it. What one registers, those before it in this order do not override.
ROOM, PLUGIN, USER = range(3)


@dataclass(frozen=True)
class Registration:
    """One reducer of one class: what `register` was told."""

    cls: type
    reducer: Reducer
    action: str
    default: bool
    scope: str
    room: str
    travels: str = ""
    lost: str = ""
    refused: str = ""
    hint: str = ""
    subclasses: bool = False
    veto: bool = False
    rank: int = USER
    cls_name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cls_name", describe_type(self.cls))


class _Local(threading.local):
    rank = USER  # whose registrations this thread makes


class Registry:
    """All registrations of this process, and what watches them."""

    def __init__(self) -> None:
        self.actions: dict[type, dict[str, Registration]] = {}
        self.version = 0
        self.lock = threading.RLock()
        self._local = _Local()
        self.discover: Callable[[type], None] = lambda cls: None
        self.discover_all: Callable[[], None] = lambda: None

    def add(self, new: Registration, *, override: bool) -> None:
        with self.lock:
            actions = dict(self.actions.get(new.cls, {}))
            old = actions.get(new.action)
            if old is not None and old.rank > new.rank:
                return
            if old is not None and not override:
                raise RegistrationError(
                    f"{new.cls_name} has a reducer for the action {new.action!r} already: "
                    f"{describe(old.reducer)}. Pass replace=True to put "
                    f"{describe(new.reducer)} in its place."
                )
            default = next((r for r in actions.values() if r.default), old)
            wins = default is old or (new.default and new.rank >= default.rank)  # type: ignore[union-attr]
            new = replace(new, default=wins)
            if wins:
                actions = {name: replace(r, default=False) for name, r in actions.items()}
            actions[new.action] = new
            self.actions[new.cls] = actions
            self.version += 1

    @property
    def rank(self) -> int:
        """Whose registrations this thread makes."""
        return self._local.rank

    @contextmanager
    def registering(self, rank: int) -> Iterator[None]:
        """Make the registrations of this thread those of a room, or of a plug-in."""
        outer, self._local.rank = self._local.rank, rank
        try:
            yield
        finally:
            self._local.rank = outer

    def changed(self) -> None:
        """Let every table look up again what it has found."""
        with self.lock:
            self.version += 1

    def discover_mro(self, cls: type) -> None:
        """Import the rooms of the owners of ``cls`` and its bases, once each."""
        for base in cls.__mro__:
            self.discover(base)

    def remove(self, cls: type, action: str | None) -> None:
        with self.lock:
            actions = dict(self.actions.get(cls, {}))
            if not actions or (action is not None and action not in actions):
                known = ", ".join(sorted(map(describe_type, self.actions))) or "nothing"
                what = describe_type(cls) + ("" if action is None else f", action {action!r},")
                raise RegistrationError(f"{what} is not registered. Registered are: {known}.")
            for name in list(actions) if action is None else [action]:
                del actions[name]
            if actions:
                if not any(r.default for r in actions.values()):
                    first = next(iter(actions))
                    actions[first] = replace(actions[first], default=True)
                self.actions[cls] = actions
            else:
                del self.actions[cls]
            self.version += 1

    def choose(self, cls: type, choices: Mapping[str, str]) -> Registration | None:
        """Return the registration of ``cls`` for the action that a policy chooses."""
        actions = self.actions.get(cls, {})
        chosen = choices.get(describe_type(cls)) if choices else None
        default = next((r for r in actions.values() if r.default), None)
        if chosen is None:
            return default
        if chosen in actions:
            return actions[chosen]
        if chosen == "refuse":
            default = default or Registration(cls, _nothing, "refuse", True, "", "")
            return replace(default, reducer=_refuser(default), action="refuse", scope="")
        raise ValueError(
            f"The policy chooses {chosen!r} for {describe_type(cls)}, "
            f"which has the actions {', '.join(sorted({*actions, 'refuse'}))}."
        )


def _refuser(registration: Registration) -> Reducer:
    def refuse(obj: Any) -> Any:
        raise RefusedError(obj, "The policy refuses it.", registration.hint)

    return refuse


def describe(function: object) -> str:
    """Return the qualified name of a function."""
    module = getattr(function, "__module__", "")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"


registry = Registry()
identity.watch_types(registry.changed)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=registry.lock._at_fork_reinit)  # type: ignore[attr-defined]


def _registered(registration: Registration, *, subclasses: bool = False) -> Reducer:
    """Wrap a reducer of ours: note that it ran, repeat what arrived, bind recipes.

    It does not hold the subclass that it is for, if it is for one.
    """
    cls, reducer, scope, hint = (
        registration.cls, registration.reducer, registration.scope, registration.hint,
    )  # fmt: skip
    neutral = getattr(reducer, "neutral", False)

    def reduce(obj: Any) -> Any:
        if subclasses and not registration.veto:
            own = _told(type(obj))
            # What tblib registers for all exceptions that there are is what no one has asked for.
            if own is not None and getattr(own, "__module__", "") != "tblib.pickling_support":
                return own(obj)
        reduced = quiet(obj)
        if reduced is NotImplemented:
            return _declined(obj)
        if not neutral or _names_ours(reduced):
            fired()
        return reduced

    def quiet(obj: Any) -> Any:
        reduced = arrived(obj)
        if reduced is not None:
            return reduced
        try:
            reduced = reducer(obj)
        except RefusedError as exc:
            exc.hint = exc.hint or hint
            raise
        if reduced is NotImplemented:
            return _declined(obj) if hasattr(reduce, "quiet") else reduced
        if subclasses:
            reduced = _as_subclass(obj, cls, reduced, hint)
        if type(reduced) is Recipe:
            return reduced.bind(obj, type(obj), scope).reduce()
        return reduced

    reduce.registration = registration  # type: ignore[attr-defined] # for who asks what it is
    if not subclasses and not neutral and not issubclass(cls, type):  # for who notes that it ran
        once = getattr(reducer, "fixed", False)
        reduce.quiet = Once(quiet).__getitem__ if once else quiet  # type: ignore[attr-defined]
    return reduce


def _told(cls: type) -> Reducer | None:
    """Return what cloudpickle or `copyreg` was told about ``cls``, whenever that was."""
    return told_cloudpickle.get(cls) or told_copyreg.get(cls)


def told(cls: type) -> Reducer | None:
    """Return that, or what does the same in less time."""
    found = _told(cls)
    return found and BETTER.get(found, found)


def _names_ours(reduced: Any) -> bool:
    """Tell whether a node without daskpickle cannot load a reduced value."""
    module = "" if isinstance(reduced, str) else getattr(reduced[0], "__module__", "")
    return str(module).startswith("daskpickle.")


def _declined(obj: Any) -> Any:
    """Reduce what a reducer of a metaclass, or for subclasses, has nothing to say about."""
    if not issubclass(type(obj), type):
        return obj.__reduce_ex__(4)  # 4: without out-of-band buffers
    reduced = reduce_class(obj)
    return obj.__qualname__ if reduced is NotImplemented else reduced


class Once(dict[Any, Any]):
    """Asks a reducer once for each object; looking it up again calls no Python.

    It holds the objects: a few only while they are pickled, many until there are too many. `fixed`
    is for those that are small and lead to nothing.
    """

    few, limit = 2**8, 2**15

    def __init__(self, reducer: Reducer) -> None:
        super().__init__()
        self._reducer = reducer

    def __missing__(self, obj: Any) -> Any:
        if len(self) >= self.limit:
            self.clear()
        reduced = self[obj] = self._reducer(obj)
        return reduced

    def end(self) -> None:
        """Let go of the objects, at the end of a dump."""
        if len(self) <= self.few:
            self.clear()


def _as_subclass(obj: Any, base: type, reduced: Any, hint: str) -> Any:
    """Make what a base's reducer returned rebuild ``type(obj)``, with its state; or refuse."""
    if isinstance(reduced, str):
        return reduced  # the name of a global: it arrives as itself
    recipe: Any = reduced if isinstance(reduced, Recipe) else None
    items: Any = (reduced.open, reduced.args) if isinstance(reduced, Recipe) else reduced
    make, args = items[:2]
    cls = type(obj)
    if getattr(make, "by_name", False):
        return reduced
    if any(part is cls for part in (make, getattr(make, "__self__", None), *args)):
        return reduced  # the reducer knows about subclasses
    if make is not base:
        why = f"It is a subclass of {describe_type(base)}, whose reducer does not make subclasses."
        raise RefusedError(obj, why, hint or "Register a reducer for it.")
    state = extra_state(obj, None)
    if recipe is None:
        return (rebuild_subclass, (cls, base, args, {}, state), *items[2:])
    recipe.open, recipe.args = rebuild_subclass, (cls, base, args, recipe.kwargs, state)
    recipe.kwargs = {}
    return recipe


def rebuild_subclass(
    cls: type, base: Any, args: tuple[Any, ...], kwargs: dict[str, Any], state: dict[str, Any]
) -> Any:
    """Make an instance of ``cls`` as its base is made, then give it what the base did not set."""
    if base.__new__ is object.__new__:
        obj = object.__new__(cls)
    else:
        obj = base.__new__(cls, *args, **kwargs)
    base.__init__(obj, *args, **kwargs)
    made = extra_state(obj, None)
    add_state(obj, {name: value for name, value in state.items() if name not in made})
    return obj


def _repeat(obj: Any) -> Any:
    """Reduce an object of a type that is not registered here, but of which some have arrived."""
    reduced = arrived(obj)
    if reduced is not None:
        fired()
        return reduced
    cls = type(obj)
    own = _told(cls) or _dask_reducer(cls)
    return obj.__reduce_ex__(4) if own is None else own(obj)  # 4: without out-of-band buffers


def _unloadable(obj: Any) -> Any:
    """Reduce an object that plain pickle could send, and not load."""
    cls = type(obj)
    own = _told(cls) or _dask_reducer(cls)
    reduced = reduce_unloadable(obj) if own is None else own(obj)
    if reduced[-1] is set_state:
        fired()
    return reduced


def _forgotten(obj: Any) -> Any:
    """Reduce an object of whose attributes its base does not know."""
    cls = type(obj)
    own = _told(cls)
    reduced = reduce_forgotten(obj) if own is None else own(obj)
    if reduced[-1] is set_both or reduced[0] is rebuild_bare:
        fired()
    return reduced


def _bases(cls: type) -> Iterator[type]:
    """Yield a class and its bases: the MRO, then registered ABCs that say so."""
    yield from cls.__mro__
    for base, actions in list(registry.actions.items()):
        if base in cls.__mro__ or not any(r.subclasses or r.veto for r in actions.values()):
            continue
        try:
            matches = issubclass(cls, base)
        except Exception:  # an ABC's __subclasshook__ is anyone's code
            matches = False
        if matches:
            yield base


def _says_itself(cls: type, base: type) -> bool:
    """Tell whether a class between ``cls`` and ``base`` says itself how it is pickled.

    `copyreg` and cloudpickle know a class and not its subclasses: they are asked for each object.
    """
    end = cls.__mro__.index(base) if base in cls.__mro__ else len(cls.__mro__) - 1
    between = cls.__mro__[:end]
    if any(name in vars(other) for other in between for name in _OWN_PICKLING):
        return True
    dask = _dask_protocol()
    return dask is not None and _dask_lookup(dask.dask_serialize, cls)[0] in between


def _default_reducer(cls: type) -> Reducer:
    if issubclass(cls, type):  # of its objects, which are classes, the C pickler writes the name
        return _name_of
    return SHORTCUTS.get(cls) or (reducer_of(cls) if is_static(cls) else ask)


_name_of: Reducer = operator.attrgetter("__qualname__")


def _nothing(obj: Any) -> Any:
    """Stand for: there is no reducer."""
    raise AssertionError("This is no reducer.")


class DispatchTable(dict[type, Reducer]):
    """A live mapping from class to reducer, as `pickle.Pickler.dispatch_table` documents it.

    What is asked for the first time is looked up in the order of `daskpickle.table` and stored;
    registrations made later, here, in `copyreg` or in Dask, are seen by every pickler made after.
    ``table[cls] = reducer`` registers in this table alone; `copy` gives an independent table.
    """

    def __init__(
        self, choices: Mapping[str, str] | None = None, own: Mapping[type, Reducer] | None = None
    ) -> None:
        super().__init__()
        self._choices = dict(choices or {})
        self._own: dict[type, Reducer] = dict(own or {})
        self._seen: tuple[Any, ...] = ()
        #: Of classes without a reducer here, or in Dask: that of the first object in a dump.
        self.defaults = IdentityMap()
        # What was found for other classes than the registered ones, which live without this table.
        self._found = IdentityMap()
        self._dask = IdentityMap()
        self._tables: dict[frozenset[tuple[str, str]], DispatchTable] = {}
        super().update(self._own)

    def refresh(self) -> DispatchTable:
        """Forget what is no longer true; called once per pickler."""
        seen = version()
        if seen != self._seen:
            self._found, self._dask, self.defaults = IdentityMap(), IdentityMap(), IdentityMap()
            super().clear()
            super().update(self._own)
            self._seen = seen
        return self

    def __missing__(self, cls: type) -> Reducer:
        reducer = self.look_up(cls)
        if reducer is None:
            raise KeyError(cls)
        return reducer

    def look_up(self, cls: type) -> Reducer | None:
        """Return the reducer of a class that is not stored, or None if it has none."""
        # What others were told is asked each time: it may be replaced without any notice.
        return self.registered(cls) or told(cls) or self._from_dask(cls)

    def _from_dask(self, cls: type) -> Reducer | None:
        found = self._dask.get(cls)
        if found is None:
            found = _dask_reducer(cls) or _nothing
            self._dask.set(cls, found)
        return None if found is _nothing else found

    def default(self, cls: type) -> Reducer | None:
        """Return the reducer of a class that has none here, nor in Dask, whatever others are told.

        Of its first object in a dump, that is. None: there is a reducer here.
        """
        found: Reducer | None = self.defaults.get(cls)
        if found is None:
            if dict.get(self, cls) or self.registered(cls) or self._from_dask(cls):
                return None
            found = _default_reducer(cls)
            self.defaults.set(cls, found)
        return found

    def registered(self, cls: type) -> Reducer | None:
        """Return what `find` finds; it looks only once."""
        found = self._found.get(cls)
        if found is None:
            reducer = self.find(cls)
            if reducer is not None and cls in registry.actions:
                super().__setitem__(cls, reducer)
            else:
                self._found.set(cls, reducer or _nothing)
            return reducer
        return None if found is _nothing else found

    def find(self, cls: type) -> Reducer | None:
        """Return the reducer that a registration gives to ``cls``: steps 1 to 3."""
        registry.discover_mro(cls)
        bases = [(base, registry.choose(base, self._choices)) for base in _bases(cls)]
        for base, found in bases:  # a veto goes before everything
            if found is not None and found.veto:
                return _registered(found, subclasses=base is not cls)
        for base, found in bases:
            if found is not None and base is cls:
                return _registered(found)
            if found is not None and found.subclasses and not _says_itself(cls, base):
                return _registered(found, subclasses=True)
            if found is not None and found.subclasses and base in cls.__mro__:
                break
        if cls in identity.arrived_types:
            return _repeat
        if is_forgotten(cls):
            return _forgotten
        return _unloadable if is_unloadable(cls) else None

    def __setitem__(self, cls: type, reducer: Reducer) -> None:
        self._own[cls] = reducer
        super().__setitem__(cls, reducer)
        registry.changed()

    def __delitem__(self, cls: type) -> None:
        del self._own[cls]
        super().pop(cls, None)
        registry.changed()

    update = MutableMapping.update  # of a dict, these would not go through __setitem__
    setdefault = MutableMapping.setdefault

    def __ior__(self, other: Any) -> DispatchTable:  # type: ignore[override,misc]
        self.update(other)
        return self

    def pop(self, cls: type, *default: Any) -> Any:
        """Take back what was registered in this table."""
        if cls not in self._own and default:
            return default[0]
        reducer = self._own[cls]
        del self[cls]
        return reducer

    def clear(self) -> None:
        """Take back all that was registered in this table."""
        for cls in list(self._own):
            del self[cls]

    def __contains__(self, cls: object) -> bool:
        return isinstance(cls, type) and self.get(cls) is not None

    def get(self, cls: type, default: Any = None) -> Any:
        """Return the reducer of ``cls``; the pure Python pickler asks this way."""
        try:
            return self[cls]
        except KeyError:
            return default

    def copy(self) -> DispatchTable:
        """Return an independent table with the same content, as live as this one."""
        return DispatchTable(self._choices, self._own)

    def under(self, choices: Mapping[str, str]) -> DispatchTable:
        """Return the table for the actions that a policy chooses; the same one each time."""
        if not choices:
            return self
        key = frozenset(choices.items())
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= 64:
                self._tables.clear()
            table = self._tables[key] = DispatchTable({**self._choices, **choices})
            table._own = self._own  # shared: what is set here is seen there
        return table.refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        return DispatchTable, (self._choices, self._own)


def version() -> tuple[int, ...]:
    """Return numbers that change when something is registered, wherever that can be."""
    if not _dask_registry:
        protocol = _dask_protocol()
        if protocol is None:
            return registry.version, len(told_copyreg) + len(told_cloudpickle)
        known = protocol.dask_serialize
        _dask_registry.extend((known._lookup, known._lazy))
    classes, lazy = _dask_registry
    told_others = len(told_copyreg) + len(told_cloudpickle)
    return registry.version, told_others, len(classes), len(lazy)


_dask_registry: list[dict[Any, Any]] = []  # the two that `dask.utils.Dispatch` has, if it is there


def _dask_protocol() -> Any:
    """Return the module of distributed that holds both registries, if it has been imported."""
    protocol = sys.modules.get("distributed.protocol.pickle")
    return protocol if hasattr(protocol, "dask_serialize") else None


def _dask_lookup(dispatch: Any, cls: type) -> tuple[type | None, Any]:
    """Return what `dask.utils.Dispatch` has for ``cls``, and for which of its bases it has it.

    Its ``dispatch`` would keep ``cls`` alive for ever.
    """
    for base in cls.__mro__:
        if str(base.__module__).partition(".")[0] in dispatch._lazy:
            with suppress(TypeError):  # this class is still unknown
                dispatch.dispatch(base)
    for base in cls.__mro__:
        if base in dispatch._lookup:
            return base, dispatch._lookup[base]
    return None, None


def _dask_reducer(cls: type) -> Reducer | None:
    """Return a reducer made of Dask's ``dask_serialize`` registration of ``cls``, if there is one.

    ``distributed.protocol.pickle._DaskPickler`` does the same after plain pickle has failed; its
    last resort, cloudpickle, does not know these registrations, so that Dask drops them beside a
    lambda.
    """
    dask = _dask_protocol()
    if dask is None or cls.__module__ in ("builtins", "numpy", "array"):
        return None
    both = (dask.dask_serialize, dask.dask_deserialize)
    known = all(_dask_lookup(dispatch, cls)[0] is not None for dispatch in both)
    return _reduce_with_dask if known else None


def _reduce_with_dask(obj: Any) -> Any:
    dask, cls, failure = _dask_protocol(), type(obj), None
    if any(name in vars(base) for base in cls.__mro__[:-1] for name in _OWN_PICKLING):
        try:  # as in Dask, what pickles by itself does so
            return obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        except Exception as exc:  # h5py, netCDF4, Cython: each says no in its own way
            failure = exc
    dumps = _dask_lookup(dask.dask_serialize, cls)[1]
    loads = _dask_lookup(dask.dask_deserialize, cls)[1]
    try:
        return loads, dumps(obj)
    except NotImplementedError:  # how a family declines
        if failure is not None:
            raise failure from None
        return obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)


@overload
def register(
    cls: type, reducer: None = None, *, action: str = ..., scope: str = ..., hint: str = ...,
    travels: str = ..., lost: str = ..., refused: str = ..., default: bool = ...,
    subclasses: bool = ..., veto: bool = ..., replace: bool = ...,
) -> Callable[[R], R]: ...  # fmt: skip
@overload
def register(
    cls: type, reducer: R, *, action: str = ..., scope: str = ..., hint: str = ...,
    travels: str = ..., lost: str = ..., refused: str = ..., default: bool = ...,
    subclasses: bool = ..., veto: bool = ..., replace: bool = ...,
) -> R: ...  # fmt: skip
@overload
def register(
    cls: type, *, recipe: Callable[[Any], tuple[Any, ...]], open: Callable[..., Any],
    close: Callable[[Any], object] | None = ..., reset: Callable[[Any], object] | None = ...,
    scope: str = ..., action: str = ..., hint: str = ..., travels: str = ..., lost: str = ...,
    refused: str = ..., default: bool = ..., subclasses: bool = ..., veto: bool = ...,
    replace: bool = ...,
) -> Reducer: ...  # fmt: skip
def register(
    cls: type,
    reducer: Any = None,
    *,
    recipe: Callable[[Any], tuple[Any, ...]] | None = None,
    open: Callable[..., Any] | None = None,  # noqa: A002
    close: Callable[[Any], object] | None = None,
    reset: Callable[[Any], object] | None = None,
    action: str = "",
    scope: str = "",
    hint: str = "",
    travels: str = "",
    lost: str = "",
    refused: str = "",
    default: bool = False,
    subclasses: bool = False,
    veto: bool = False,
    replace: bool = False,
) -> Any:
    """Register how objects of a class travel; a decorator, or a call.

    Parameters
    ----------
    cls
        The class.
    reducer
        A reduction function, as `copyreg.pickle` takes; or one that returns a `Recipe`. Without
        one, and without ``recipe``, `register` is a decorator for it.
    recipe, open, close, reset
        Handle style: ``open(*recipe(obj))`` is called at first use, in the task's thread;
        ``reset(opened)`` when it passes to the next task; ``close(opened)`` when the pool lets go.
    action
        The name that a `Policy` chooses it by; the first action of a class is its default.
        Default: "reopen" for handles, "rebuild" otherwise.
    scope
        For handles: one per "process", one per "thread", or "fresh" for each task.
    hint
        A sentence that says what to do when it is refused.
    travels, lost, refused
        What the reference table says.
    default
        Make this action the default one of the class.
    subclasses
        Use it for subclasses too, unless one says itself how it is pickled. For some it may return
        `NotImplemented`, and so may a reducer of a metaclass, which is asked about classes: they
        travel as they do without it.
    veto
        Use it before every other registration, for subclasses as well.
    replace
        Put it in the place of the registration that there is.

    Raises
    ------
    RegistrationError
        If the class has a reducer for this action, and ``replace`` is false; or if the pickler
        would never ask for it, as for `int` or `dict` themselves.

    Examples
    --------
    >>> import daskpickle
    >>> class LabClient:
    ...     def __init__(self, url): self.url = url
    ...     def close(self): ...
    >>> _ = daskpickle.register(
    ...     LabClient, recipe=lambda c: (c.url,), open=LabClient, close=LabClient.close,
    ...     scope="process")
    >>> daskpickle.unregister(LabClient)
    """
    if not isinstance(cls, type):
        raise TypeError(f"Expected a class to register a reducer for, got {cls!r}.")
    if scope not in (*SCOPES, ""):
        raise RegistrationError(f"The scope {scope!r} is none of {', '.join(SCOPES)}.")
    if (recipe is None) != (open is None):
        raise RegistrationError("A handle needs both: recipe= says what travels, open= opens it.")
    if recipe is not None and reducer is not None:
        raise RegistrationError("A class has either a reducer or a recipe, not both.")
    if recipe is None and (close is not None or reset is not None):
        raise RegistrationError("close= and reset= need recipe= and open=; a Recipe has its own.")
    for name, function in (("recipe", recipe), ("open", open), ("close", close), ("reset", reset)):
        if function is not None and not callable(function):
            raise TypeError(f"Expected a function for {name}=, got {function!r}.")
    if cls in _NEVER_ASKED and not subclasses:
        raise RegistrationError(
            f"The pickler asks no reducer about objects of the class {describe_type(cls)} itself, "
            "only about those of its subclasses: pass subclasses=True for them."
        )

    def add(reducer: R) -> R:
        if not callable(reducer):
            raise TypeError(f"Expected a reduction function, got {reducer!r}.")
        module = str(getattr(reducer, "__module__", ""))
        room = module.rpartition(".")[2] if module.startswith("daskpickle.") else module
        name = action or ("reopen" if scope else "rebuild")
        rank = ROOM if module.startswith("daskpickle.") else registry.rank
        if rank == USER:
            registry.discover_mro(cls)
        new = Registration(
            cls, reducer, name, default, scope, room, travels, lost, refused, hint, subclasses,
            veto, rank,
        )  # fmt: skip
        registry.add(new, override=replace)
        return reducer

    if recipe is not None:
        scope = scope or "process"
        return add(_recipe_reducer(recipe, open, close, reset))  # type: ignore[arg-type]
    return add if reducer is None else add(reducer)


def _recipe_reducer(
    recipe: Callable[[Any], tuple[Any, ...]],
    open: Callable[..., Any],  # noqa: A002
    close: Callable[[Any], object] | None,
    reset: Callable[[Any], object] | None,
) -> Reducer:
    def reduce_handle(obj: Any) -> Recipe:
        args = recipe(obj)
        if not isinstance(args, tuple):
            raise TypeError(f"recipe= must return a tuple of arguments for open=, got {args!r}.")
        return Recipe(open, *args, close=close, reset=reset)

    reduce_handle.__module__ = getattr(recipe, "__module__", "")
    return reduce_handle


def unregister(cls: type, action: str | None = None) -> None:
    """Take back the registration of ``cls``: of one action, or of all.

    Raises
    ------
    RegistrationError
        If there is none; the message lists what there is.
    """
    if isinstance(cls, type):
        registry.discover_mro(cls)
    registry.remove(cls, action)


def registrations(*, load: bool = False) -> tuple[Registration, ...]:
    """Return all registrations, sorted by class and action.

    Parameters
    ----------
    load
        Import all rooms first, even those whose library has not been imported yet.
    """
    if load:
        registry.discover_all()
    found: Iterator[Registration] = (r for a in list(registry.actions.values()) for r in a.values())
    return tuple(sorted(found, key=lambda r: (r.cls_name, r.action)))
