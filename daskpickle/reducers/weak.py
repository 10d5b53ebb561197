"""Weak references: alive where what they point to arrives with them, and is held there.

Notes
-----
- Travels: what it points to, its callback; the pairs of a weak dictionary, the items of a weak set.
  A reference, a method or a proxy that is dead arrives dead.
- Lost: what nothing else holds where it arrives: a weak reference that travels alone is dead there.
  The callback of a proxy, which nobody can read.
- Refused: a proxy of what hides its methods.

A `weakref.finalize` arrives dead, as plain pickle has it: what it would clean up is elsewhere.
A proxy inside of something arrives as a proxy, where plain pickle makes a strong copy of what it
stands for. One that is pickled by itself arrives as such a copy: nothing else would hold that.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state, neutral

HINT = "Pass what it points to."
FACTS: dict[str, Any] = {
    "travels": "what it points to",
    "lost": "life, if nothing else holds that",
    "hint": HINT,
}


class Gone:
    """Something to point to, and then no longer."""

    def method(self) -> None:
        """Do nothing."""


def reduce_ref(ref: Any) -> tuple[Any, ...]:
    """Say what it points to, and what it calls; nothing of that if it is dead."""
    target = ref()
    state = extra_state(ref, weakref.ref(Gone))
    if target is None:
        return rebuild_ref, (type(ref), state)
    return rebuild_ref, (type(ref), state, target, ref.__callback__)


def rebuild_ref(
    cls: type, state: dict[str, Any], target: Any = None, callback: Callable[..., Any] | None = None
) -> Any:
    """Point to what has arrived; nothing is held by that."""
    ref = weakref.ref.__new__(cls, Gone() if target is None else target, callback)
    add_state(ref, state)
    return ref


def reduce_method(ref: Any) -> tuple[Any, ...]:
    """Say which method, and what is called: the user's own callback is in a closure."""
    method = ref()
    if method is None:
        return rebuild_method, (type(ref),)
    callback = inspect.getclosurevars(ref.__callback__).nonlocals.get("callback")
    return rebuild_method, (type(ref), method, callback)


def rebuild_method(cls: Any, method: Any = None, callback: Callable[..., Any] | None = None) -> Any:
    """Point to a method of what has arrived."""
    return weakref.WeakMethod.__new__(cls, Gone().method if method is None else method, callback)


def reduce_proxy(proxy: Any) -> tuple[Any, ...]:
    """Say what it stands for: a proxy passes on everything, so a method of that tells."""
    try:
        methods = proxy.__reduce_ex__, proxy.__init_subclass__  # the second one is that of a class
    except ReferenceError:
        return rebuild_proxy, (None, type(proxy) is weakref.CallableProxyType)
    for target in [getattr(method, "__self__", None) for method in methods]:
        if any(ref is proxy for ref in weakref.getweakrefs(target)):
            return rebuild_proxy, (target,)
    raise RefusedError(proxy, "Its methods do not tell what it stands for.")


def rebuild_proxy(target: Any, is_callable: bool = False) -> Any:
    """Stand for what has arrived."""
    if target is None:
        return weakref.proxy(Gone().method if is_callable else Gone())
    return weakref.proxy(target)


def reduce_dictionary(source: Any) -> tuple[Any, ...]:
    """Say what is in it now; the pairs come after it, as they may lead back to it."""
    plain = _base(source)()
    state = extra_state(source, plain)
    return rebuild_dictionary, (type(source),), state or None, None, iter(list(source.items()))


def rebuild_dictionary(cls: Any) -> Any:
    """Make an empty one."""
    target = object.__new__(cls)
    _base(target).__init__(target)
    return target


def _base(source: Any) -> Any:
    bases = (weakref.WeakValueDictionary, weakref.WeakKeyDictionary)
    return next(base for base in bases if isinstance(source, base))


@neutral
def reduce_set(source: Any) -> tuple[Any, ...]:
    """Say what is in it now."""
    if type(source) is weakref.WeakSet:
        return weakref.WeakSet, (list(source),)
    return rebuild_set, (type(source), list(source), extra_state(source, weakref.WeakSet()))


def rebuild_set(cls: Any, items: list[Any], state: dict[str, Any]) -> Any:
    """Make one of a subclass, with what has arrived."""
    target = object.__new__(cls)
    weakref.WeakSet.__init__(target, items)
    add_state(target, state)
    return target


for _cls, _reducer in (
    (weakref.ReferenceType, reduce_ref),
    (weakref.WeakMethod, reduce_method),
    (weakref.WeakKeyDictionary, reduce_dictionary),
    (weakref.WeakValueDictionary, reduce_dictionary),
    (weakref.WeakSet, reduce_set),
):
    register(_cls, _reducer, refused="nothing", subclasses=True, **FACTS)
for _proxy in (weakref.ProxyType, weakref.CallableProxyType):
    register(_proxy, reduce_proxy, refused="one of what hides its methods", **FACTS)
