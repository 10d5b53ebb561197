"""Selectors and epoll: what they watch travels with them, if it travels at all.

Notes
-----
- Travels: a selector with the sockets and files it watches, by their own rules, and with the data
  that was registered for each: a new one watches what arrives. An `epoll` that watches nothing.
  What is closed arrives closed.
- Lost: nothing.
- Refused: what watches descriptors by their numbers, which mean others elsewhere. `poll` and its
  like never tell what they watch.
"""

from __future__ import annotations

import select
import selectors
from pathlib import Path
from typing import Any, NoReturn

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state, real

HINT = "Make it inside the task."
BY_NUMBER = "It watches descriptors of this process by their numbers."
#: What the selectors of the standard library keep.
KEPT = {"_fd_to_key", "_map", "_selector", "_readers", "_writers", "_max_events"}


@register(
    selectors._BaseSelectorImpl, scope="fresh", subclasses=True, hint=HINT,
    travels="what it watches, and the data of each", lost="nothing",
    refused="descriptors by number",
)  # fmt: skip
def reduce_selector(selector: Any) -> Any:
    """Say what it watches; without anything of the system in it, it is pickled as ever."""
    watched = selector.get_map()
    if not watched and not hasattr(selector, "_selector"):
        return selector.__reduce_ex__(4)
    if watched is None:
        state = {n: v for n, v in extra_state(selector, None).items() if n not in KEPT}
        return rebuild_closed_selector, (type(selector),), state
    keys = [(key.fileobj, key.events, key.data) for key in watched.values()]
    if any(isinstance(fileobj, int) for fileobj, _, _ in keys):
        raise RefusedError(selector, BY_NUMBER)
    state = {n: v for n, v in extra_state(selector, None).items() if n not in KEPT}
    return Recipe(open_selector, type(selector), keys, state)


def open_selector(cls: Any, keys: list[tuple[Any, int, Any]], state: dict[str, Any]) -> Any:
    """Make a selector, and let it watch what arrived; no ``__init__`` of a subclass runs."""
    selector = object.__new__(cls)
    base = next(base for base in cls.__mro__ if base.__module__ == "selectors")
    base.__init__(selector)
    add_state(selector, state)
    for fileobj, events, data in keys:
        selector.register(real(fileobj), events, data)
    return selector


def rebuild_closed_selector(cls: Any) -> Any:
    """Make a closed selector."""
    selector = object.__new__(cls)
    base = next(base for base in cls.__mro__ if base.__module__ == "selectors")
    base.__init__(selector)
    base.close(selector)
    return selector


if hasattr(select, "epoll"):  # Linux

    @register(
        select.epoll, scope="fresh", hint=HINT, travels="one that watches nothing", lost="nothing",
        refused="watching something",
    )  # fmt: skip
    def reduce_epoll(epoll: Any) -> Any:
        """Ask Linux what it watches."""
        if epoll.closed:
            return rebuild_closed_epoll, ()
        try:
            watched = Path(f"/proc/self/fdinfo/{epoll.fileno()}").read_text()
        except OSError as exc:
            raise RefusedError(epoll, "It does not tell what it watches.") from exc
        if "tfd:" in watched:
            raise RefusedError(epoll, BY_NUMBER)
        return Recipe(open_epoll)


def open_epoll() -> Any:
    """Make one that watches nothing."""
    return select.epoll()


def rebuild_closed_epoll() -> Any:
    """Make a closed one."""
    epoll = select.epoll()
    epoll.close()
    return epoll


def reduce_poll(poll: Any) -> NoReturn:
    """Refuse: nothing tells whether it watches anything."""
    raise RefusedError(poll, "It does not tell which descriptors of this process it watches.")


for _make in (getattr(select, name, None) for name in ("devpoll", "kqueue", "poll")):
    if _make is not None:
        _cls = _make if isinstance(_make, type) else type(_make())
        register(_cls, reduce_poll, action="refuse", refused="always", hint=HINT)
