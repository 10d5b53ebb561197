"""What runs: generators, coroutines, frames and running threads are refused.

Notes
-----
- Travels: a thread that has not been started, and then can be; one that has ended, as ended.
- Lost: the identifier that the system had given it.
- Refused: a generator, a coroutine or a frame, because nothing tells how to go on from the place
  it has reached; a running thread; the main thread, and those that `threading` did not start.

The only thing that kept a running thread from being pickled is the lock in its ``_started`` event:
without a reducer here it would arrive as a thread that pretends to have ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state

START_INSIDE = "Start it inside the task, or pass what it computes."
THREADS = "what has not been started or has ended: target, arguments, name, attributes"


@register(
    GeneratorType,
    action="refuse",
    refused="always",
    hint="Pass a list of its items, or the function that makes it.",
)
def reduce_generator(generator: Any) -> Any:
    """Refuse: its frame cannot be made again (PEP 255 has no way to resume elsewhere)."""
    raise RefusedError(generator, "Its place inside its function cannot be recorded.")


@register(
    AsyncGeneratorType,
    action="refuse",
    refused="always",
    hint="Pass a list of its items, or the function that makes it.",
)
def reduce_async_generator(generator: Any) -> Any:
    """Refuse, as for a generator."""
    raise RefusedError(generator, "Its place inside its function cannot be recorded.")


@register(
    CoroutineType,
    action="refuse",
    refused="always",
    hint="Await it and pass its result, or pass the function: Dask awaits what that returns.",
)
def reduce_coroutine(coroutine: Any) -> Any:
    """Refuse: its frame cannot be made again, nor what it awaits."""
    raise RefusedError(coroutine, "Its place inside its function cannot be recorded.")


@register(
    FrameType,
    action="refuse",
    refused="always",
    hint="Pass what you need of it, such as its code object or its formatted traceback.",
)
def reduce_frame(frame: Any) -> Any:
    """Refuse: a frame is a call of this process."""
    raise RefusedError(frame, "It is a call of this process.")


@register(
    threading.Thread,
    travels=THREADS,
    lost="its native identifier",
    refused="while it runs",
    hint=START_INSIDE,
    subclasses=True,
)
def reduce_thread(thread: Any) -> tuple[Any, ...]:
    """Say how it was made, and whether it has ended: then its target is gone (`Thread.run`)."""
    if thread.is_alive():
        raise RefusedError(thread, "It is running in this process, and cannot go on elsewhere.")
    state = extra_state(thread, threading.Thread(name="plain", daemon=False))
    # What it is to call may lead back to it. ``Thread.run`` deletes it at its end.
    calls = ("_target", "_args", "_kwargs")
    state |= {name: vars(thread)[name] for name in calls if name in vars(thread)}
    made = type(thread), thread.name, thread.daemon, None, None, None, thread.ident
    return rebuild_thread, (*made, {}), state, None, None, fill_thread


def rebuild_thread(
    cls: type,
    name: str,
    daemon: bool,
    target: Callable[..., object] | None,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    ident: int | None,
    state: dict[str, Any],
) -> Any:
    """Make a thread that can be started; or one that has ended, if it had an identifier."""
    thread: Any = object.__new__(cls)
    threading.Thread.__init__(thread, None, target, name, args or (), kwargs, daemon=daemon)
    if ident is not None:
        del thread._target, thread._args, thread._kwargs  # as ``Thread.run`` does
        thread._ident = ident
        thread._started.set()
        # Up to 3.12 a flag says that it has ended, then its handle: Lib/threading.py, `is_alive`.
        handle = next((n for n in ("_handle", "_os_thread_handle") if hasattr(thread, n)), None)
        if handle is None:
            thread._is_stopped = True
        else:
            setattr(thread, handle, threading._make_thread_handle(ident))  # type: ignore[attr-defined]
            getattr(thread, handle)._set_done()
    add_state(thread, state)
    return thread


def fill_thread(thread: Any, state: dict[str, Any]) -> None:
    """Give it what it is to call, and the attributes of a subclass."""
    add_state(thread, state)


def reduce_given_thread(thread: Any) -> Any:
    """Refuse: a dummy stands for a thread that others started, and may say that it has ended."""
    raise RefusedError(thread, "It stands for a thread that others started in this process.")


for _cls in (threading._MainThread, threading._DummyThread):  # type: ignore[attr-defined]
    register(
        _cls, reduce_given_thread, action="refuse", refused="always",
        hint="Call threading.main_thread() or threading.current_thread() inside the task.",
    )  # fmt: skip


@register(
    threading.Timer,
    travels=THREADS,
    lost="its native identifier",
    refused="while it waits or runs",
    hint=START_INSIDE,
    subclasses=True,
)
def reduce_timer(timer: Any) -> tuple[Any, ...]:
    """Say the same; its event must not be shared: one timer that fires would cancel its copies."""
    _, facts, state, *rest = reduce_thread(timer)
    state = {name: value for name, value in state.items() if name != "finished"}
    return rebuild_timer, (type(timer), facts[1:], timer.finished.is_set()), state, *rest


def rebuild_timer(cls: type, facts: tuple[Any, ...], finished: bool) -> Any:
    """Make a timer that can be started, unless it was cancelled."""
    timer = rebuild_thread(cls, *facts)
    timer.finished = threading.Event()
    if finished:
        timer.finished.set()
    return timer
