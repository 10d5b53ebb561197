"""Policy: which action is taken for which class; it chooses reducers, which never ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Policy", "current_policy", "set_default_policy", "use_policy"]


@dataclass(frozen=True)
class Policy:
    """An immutable choice of one action per class.

    Parameters
    ----------
    actions
        From the qualified name of a class, as `registrations` shows it, to the name of one of
        its actions: ``Policy({"_thread.lock": "cluster"})``. A class that is not named keeps its
        default action. ``"refuse"`` is an action of every class.

    Raises
    ------
    ValueError
        From the first dump under this policy, if a class has no such action.
    """

    actions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", MappingProxyType(dict(self.actions)))

    def __hash__(self) -> int:
        return hash(frozenset(self.actions.items()))

    def __reduce__(self) -> tuple[type[Policy], tuple[dict[str, str]]]:
        return Policy, (dict(self.actions),)


_default = Policy()
_current: ContextVar[Policy | None] = ContextVar("daskpickle.policy", default=None)


def current_policy() -> Policy:
    """Return the policy of this context, or the default of this process."""
    return _current.get() or _default


def set_default_policy(policy: Policy) -> Policy:
    """Make ``policy`` the default of this process, in all its threads; return the former one."""
    global _default
    former, _default = _default, policy
    return former


@contextmanager
def use_policy(policy: Policy | Mapping[str, str]) -> Iterator[Policy]:
    """Choose ``policy`` for what this context pickles.

    What was pickled before keeps the action that it was pickled with, wherever it is pickled again.

    Examples
    --------
    >>> import threading
    >>> from daskpickle import use_policy, dumps
    >>> with use_policy({"_thread.lock": "refuse"}):
    ...     dumps(threading.Lock())
    Traceback (most recent call last):
    ...
    daskpickle.errors.RefusedError: Cannot pickle _thread.lock...
    """
    if not isinstance(policy, Policy):
        policy = Policy(policy)
    token = _current.set(policy)
    try:
        yield policy
    finally:
        _current.reset(token)
