"""The pool: what is opened when, for whom, how often, and who closes it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from labs import (
    Lab,
    as_task,
    close_lab,
    closes,
    in_threads,
    open_lab,
    registered,
    reset_lab,
    sent,
    set_to,
)

import daskpickle
from daskpickle import Recipe, handles, register, unregister
from daskpickle.errors import HandleError
from daskpickle.handles import Handle, as_handle, opening, pool, real, running_task
from daskpickle.pool import count_fired, current_call, end_task, is_opening, watch_tasks
from daskpickle.testing import elsewhere

WAIT = 20  # seconds, until something that must happen is given up


@pytest.fixture(autouse=True)
def other_process() -> Iterator[None]:
    """Start where nothing is open and nothing is known, and end there."""
    with elsewhere():
        pool.counts.clear()
        Lab.opened.clear()
        yield
        Lab.opened.clear()
        gc.collect()


def counted(event: str) -> int:
    return sum(n for (name, _), n in pool.counts.items() if name == event)


# --- Scopes -------------------------------------------------------------------------------------


def test_one_per_process() -> None:
    """Tasks and handles, in all threads, get the same object."""
    data = sent("process")
    assert len({*in_threads(8, lambda _: as_task(data)), as_task(data)}) == 1
    assert daskpickle.loads(data).ping() == as_task(data)
    assert counted("opens") == len(Lab.opened) == 1


def test_one_per_thread() -> None:
    """Each thread opens its own, and keeps it from task to task."""
    data = sent("thread")
    barrier = threading.Barrier(8)

    def work(_: int) -> Any:
        first = as_task(data)
        barrier.wait()  # all are open at once
        return first, as_task(data), daskpickle.loads(data).ping()

    found = in_threads(8, work)
    assert all(len(set(ids)) == 1 for ids in found)
    assert len({ids[0] for ids in found}) == 8
    assert counted("opens") == 8
    assert all(map(closes, range(len(Lab.opened))))
    assert [lab.closer for lab in Lab.opened] == [lab.opener for lab in Lab.opened]


def test_one_per_task() -> None:
    """A fresh one for each task and each handle, closed at the end of the task."""
    data = sent("fresh")
    for number in range(1, 4):
        as_task(data)
        assert [lab.closed.is_set() for lab in Lab.opened] == [True] * number
    first, second = daskpickle.loads(data), daskpickle.loads(data)
    assert first.ping() == first.ping() != second.ping() == second.ping()
    with running_task(), opening():
        one, two = daskpickle.loads(data), daskpickle.loads(data)
        assert one is not two, "two that were sent are two"
    assert counted("opens") == 7


def test_a_task_uses_a_lazy_handle() -> None:
    """What a task gets as data opens at first use, and is given back with the rest."""
    data = sent("fresh")
    handle = daskpickle.loads(data)
    with running_task():
        inside = handle.ping()
        assert inside == handle.ping()
    assert Lab.opened[0].closed.is_set()
    assert handle.ping() != 0
    assert counted("opens") == 2


@pytest.mark.parametrize("scope", ["process", "thread"])
def test_contention(scope: str) -> None:
    """Eight threads that want one token at once open it once per scope, each time."""
    for _ in range(60):
        data = sent(scope)
        pool.counts.clear()
        done = threading.Barrier(8)
        found = in_threads(8, lambda _, data=data, done=done: (as_task(data), done.wait())[0])
        expected = 1 if scope == "process" else 8
        assert len(set(found)) == expected
        assert counted("opens") == expected
        assert counted("opens") + counted("reuses") <= 8


def test_waiting_for_one_does_not_hold_up_another() -> None:
    """While one object opens slowly, others open; those who want it wait for it."""
    slow, quick = sent("process", Lab("slow")), sent("process", Lab("quick"))
    started, go = threading.Event(), threading.Event()

    def open_slowly(name: Any) -> Lab:
        started.set()
        assert go.wait(WAIT)
        return open_lab(name)

    recipe = Recipe(open_slowly, "slow", token="t")
    recipe.scope = "process"
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(pool.acquire(recipe))) for _ in "12"]
    for thread in threads:
        thread.start()
    assert started.wait(WAIT)
    assert as_task(quick) == 0
    assert found == []
    go.set()
    for thread in threads:
        thread.join()
    assert found[0] is found[1]
    assert slow != quick


# --- From task to task --------------------------------------------------------------------------


def test_it_is_reset_between_tasks() -> None:
    """When a task has ended nothing of it is left; but not while another one uses it."""
    data = sent("process", reset=reset_lab)
    for number in range(3):
        assert as_task(data, lambda lab: lab.record.resets) == number
        assert Lab.opened[0].resets == number + 1
    with running_task(), opening():
        daskpickle.loads(data)
        in_threads(1, lambda _: as_task(data))
        daskpickle.loads(data)
        assert Lab.opened[0].resets == 3
    assert Lab.opened[0].resets == 4
    assert counted("opens") == 1


def test_it_is_reset_after_a_handle_outside_of_tasks_too() -> None:
    """The next task gets it as it was sent, whoever used it before."""
    data = sent("process", reset=reset_lab)
    handle = daskpickle.loads(data)
    handle.ping()
    assert as_task(data, lambda lab: lab.record.resets) == 1
    handle.ping()
    assert as_task(data, lambda lab: lab.record.resets) == 2


def test_what_cannot_be_reset_is_closed_and_opened_anew() -> None:
    """An error of ``reset`` is no error of the task."""
    data = sent("process", Lab("cannot be reset"), reset=reset_lab)
    assert [as_task(data), as_task(data)] == [0, 1]
    assert closes(0)
    handle = daskpickle.loads(sent("process", Lab("cannot be reset"), reset=reset_lab))
    assert (handle.ping(), as_task(daskpickle.dumps(handle))) == (2, 3)


def test_handles_outside_of_tasks_do_not_reset_each_other() -> None:
    """Two that stand for one object share it as it is."""
    data = sent("process", reset=reset_lab)
    first, second = daskpickle.loads(data), daskpickle.loads(data)
    assert first.ping() == second.ping() == first.ping()
    assert Lab.opened[0].resets == 0


def fail(lab: Lab) -> None:
    lab.ping()
    raise KeyError("the task failed")


@pytest.mark.parametrize(
    ("scope", "facts", "dropped"),
    [
        ("thread", {}, True),
        ("thread", {"reset": reset_lab}, False),
        ("thread", {"drop_on_failure": False}, False),
        ("process", {}, False),
        ("process", {"drop_on_failure": True}, True),
        ("fresh", {}, True),
    ],
)
def test_after_a_failure(scope: str, facts: dict[str, Any], dropped: bool) -> None:
    """One per thread that cannot be reset may be half-way through a stream: it is closed."""
    data = sent(scope, **facts)
    with pytest.raises(KeyError):
        as_task(data, fail)
    assert Lab.opened[0].closed.is_set() is dropped
    as_task(data)
    assert len(Lab.opened) == 1 + dropped


def test_a_failure_does_not_close_what_another_task_uses() -> None:
    """It is given to no third task, and closed when the second one ends."""
    data = sent("process", drop_on_failure=True)
    with running_task(), opening():
        lab = daskpickle.loads(data)

        def failing(_: int) -> None:
            with pytest.raises(KeyError):
                as_task(data, fail)

        in_threads(1, failing)
        assert lab.ping() == 0
        assert in_threads(1, lambda _: as_task(data)) != [lab.record.number]
        del lab
    assert [lab.closed.is_set() for lab in Lab.opened] == [True, False]


# --- close() ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["process", "thread"])
@pytest.mark.parametrize("lazy", [False, True])
def test_close_gives_it_back(scope: str, lazy: bool) -> None:
    """``close()`` by one task detaches; the next task gets the same object, open."""
    data = sent(scope)

    def use_and_close(lab: Any) -> int:
        found = lab.ping()
        lab.close()
        return int(found)

    if lazy:
        with running_task():
            first = use_and_close(daskpickle.loads(data))
    else:
        first = as_task(data, use_and_close)
    assert not Lab.opened[0].closed.is_set()
    assert as_task(data) == first
    pool.close_all()
    assert Lab.opened[0].closed.is_set()


def test_close_of_a_fresh_one_closes_it() -> None:
    """It is nobody else's; using the handle again opens another one."""
    data = sent("fresh")
    handle, other = daskpickle.loads(data), daskpickle.loads(data)
    first, second = handle.ping(), other.ping()
    handle.close()
    assert [lab.closed.is_set() for lab in Lab.opened] == [True, False]
    assert handle.ping() != first
    assert other.ping() == second
    with running_task():
        handle.ping()
        other.ping()
        handle.close()
        assert [lab.closed.is_set() for lab in Lab.opened[3:]] == [True, False]


def test_close_opens_nothing() -> None:
    """Giving back what was never opened is nothing."""
    daskpickle.loads(sent("process")).close()
    daskpickle.loads(sent("fresh")).close()
    assert Lab.opened == []


@pytest.mark.parametrize("close", [None, Lab.close, close_lab])
def test_every_way_to_close(close: Any) -> None:
    """The method by default; a function that calls the method closes for good, too."""
    data = sent("process", close=close)
    as_task(data)
    pool.close_all()
    assert Lab.opened[0].closed.is_set()
    assert counted("failures") == 0


def refuse_to_close(lab: Lab) -> None:
    lab.close()
    raise OSError("cannot close")


def test_an_error_of_close_is_counted_and_forgotten() -> None:
    """Nobody is there to hear of it."""
    as_task(sent("process", close=refuse_to_close))
    pool.close_all()
    assert Lab.opened[0].closed.is_set()
    assert (counted("failures"), counted("closes")) == (1, 1)


# --- Idle, too many -----------------------------------------------------------------------------


def test_what_is_idle_is_closed() -> None:
    """Some time after the last task that used it, by a thread of the pool."""
    with set_to(idle_timeout=0.01):
        as_task(sent("process"))
        assert closes(0)
    assert Lab.opened[0].closer != threading.get_ident()


def test_the_thread_of_the_pool_ends() -> None:
    """When nothing is open; and starts again when something is."""
    for number in range(2):
        with set_to(idle_timeout=0.01):
            as_task(sent("process"))
            assert closes(number)
            for thread in threading.enumerate():
                if thread.name == "daskpickle-reaper":
                    thread.join(WAIT)
                    assert not thread.is_alive()


def keep_in(where: list[Any]) -> Callable[[Any], None]:
    def use(lab: Any) -> None:
        lab.ping()
        where.append(lab)

    return use


@pytest.mark.parametrize("how", ["global", "handle", "task", "attribute"])
def test_what_is_in_use_is_not_closed(how: str) -> None:
    """However old it is: while a variable, a handle or a task holds it."""
    data, kept = sent("process", Lab("kept")), []
    task = running_task()
    if how == "global":
        as_task(data, keep_in(kept))
    elif how == "attribute":
        as_task(data, lambda lab: kept.append(lab.ping))
    elif how == "handle":
        kept.append(daskpickle.loads(data))
        kept[0].ping()
    else:
        task.__enter__()
        daskpickle.loads(data).ping()
    with set_to(idle_timeout=0.01):
        # The pool looks at the oldest first: when the younger one is closed it has seen both.
        in_threads(1, lambda _: as_task(sent("process", Lab("idle"))))
        assert closes(1)
        assert not Lab.opened[0].closed.is_set()
        if how == "task":
            task.__exit__(None, None, None)
        kept.clear()
        gc.collect()
        pool._wake_reaper()
        assert closes(0)


def test_each_handle_that_uses_it_keeps_it_open() -> None:
    """Not only the one that used it last."""
    data = sent("process")
    first, second = daskpickle.loads(data), daskpickle.loads(data)
    first.ping()
    second.ping()
    with set_to(idle_timeout=0):
        del second
        pool.close_idle()
        assert not Lab.opened[0].closed.is_set()
        del first
        pool.close_idle()
        assert Lab.opened[0].closed.is_set()


def open_knot(name: Any) -> Lab:
    lab = open_lab(name)
    lab.self = [lab, lab.ping]  # type: ignore[attr-defined]
    return lab


def test_an_object_that_refers_to_itself_becomes_idle() -> None:
    """Its own references are not those of a user."""
    with registered("process", Lab):
        unregister(Lab)
        register(Lab, lambda obj: Recipe(open_knot, obj.name), scope="process")
        data = daskpickle.dumps(Lab("knot"))
    kept: list[Any] = []
    with set_to(idle_timeout=0):
        as_task(data, keep_in(kept))
        pool.close_idle()
        assert not Lab.opened[0].closed.is_set()
        kept.clear()
        pool.close_idle()
        assert Lab.opened[0].closed.is_set()


def test_the_least_recently_used_is_closed_when_there_are_too_many() -> None:
    """Beyond ``handles.limit``; using one makes it young."""
    a, b, c, d = (sent("process", Lab(name)) for name in "abcd")
    with set_to(limit=3, idle_timeout=None):
        for data in (a, b, c, a, d):
            as_task(data)
        assert [lab.name for lab in Lab.opened if lab.closed.is_set()] == ["b"]
        assert len(pool) == 3


def test_the_limit_closes_nothing_that_is_in_use() -> None:
    """It is exceeded rather than that."""
    with set_to(limit=1, idle_timeout=None), running_task(), opening():
        labs = [daskpickle.loads(sent("process", Lab(n))) for n in range(4)]
        assert [lab.ping() for lab in labs] == list(range(4))
    assert len(pool) == 4


def test_without_a_timeout_nothing_is_closed_for_being_idle() -> None:
    """``idle_timeout=None`` means never."""
    with set_to(idle_timeout=None):
        as_task(sent("process"))
        assert pool.close_idle() is None
    assert not Lab.opened[0].closed.is_set()


def test_a_fresh_one_is_closed_when_its_handle_goes() -> None:
    """Outside of tasks nobody says when it ends."""
    handle = daskpickle.loads(sent("fresh"))
    handle.ping()
    ring: Any = [handle]
    ring.append(ring)  # only the garbage collector finds it
    del handle, ring
    gc.collect()
    assert closes(0)


# --- Threads that may close ---------------------------------------------------------------------


def test_only_its_own_thread_closes_it() -> None:
    """A thread-bound object that is idle waits for its thread's next use, or its end."""
    data, other = sent("thread", Lab("a")), sent("thread", Lab("b"))
    used, looked = threading.Event(), threading.Event()
    states: list[bool] = []

    def work() -> None:
        as_task(data)
        used.set()
        assert looked.wait(WAIT)
        as_task(other)
        states.append(Lab.opened[0].closed.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    assert used.wait(WAIT)
    with set_to(idle_timeout=0):
        pool.close_idle()
        states.append(Lab.opened[0].closed.is_set())
        states.append(as_task(data) == 0)
    looked.set()
    thread.join()
    assert states == [False, False, True]
    assert closes(2)
    assert [lab.closer for lab in Lab.opened] == [thread.ident, None, thread.ident]


def test_at_teardown_each_thread_closes_its_own() -> None:
    """`close_all` closes what this thread may close, and leaves the rest to the others."""
    data, used, done = sent("thread"), threading.Event(), threading.Event()

    def work() -> None:
        as_task(data)
        used.set()
        assert done.wait(WAIT)

    thread = threading.Thread(target=work)
    thread.start()
    assert used.wait(WAIT)
    as_task(data)
    pool.close_all()
    assert [lab.closed.is_set() for lab in Lab.opened] == [False, True]
    done.set()
    thread.join()
    assert closes(0)
    assert Lab.opened[0].closer == thread.ident


def test_what_is_not_bound_to_its_thread_is_closed_by_any() -> None:
    """One per thread, where the driver lets any thread close."""
    data, used, done = sent("thread", thread_bound=False), threading.Event(), threading.Event()

    def work() -> None:
        as_task(data)
        used.set()
        assert done.wait(WAIT)

    thread = threading.Thread(target=work)
    thread.start()
    assert used.wait(WAIT)
    with set_to(idle_timeout=0):
        pool.close_idle()
        assert Lab.opened[0].closer == threading.get_ident()
    done.set()
    thread.join()


def test_threads_that_come_and_go_leave_nothing() -> None:
    """A hundred threads, one after the other: each closes its own at its end."""
    data = sent("thread")
    for _ in range(100):
        in_threads(1, lambda _: as_task(data))
    assert all(map(closes, range(len(Lab.opened))))
    assert counted("opens") == counted("closes") == 100
    assert len(pool) == 0


def test_many_threads_at_once() -> None:
    """Whatever happens at the same time: nobody gets a closed one, and each is closed once."""
    sentences: list[bytes] = []
    for scope in ("process", "thread", "fresh"):
        for facts in ({}, {"reset": reset_lab}, {"drop_on_failure": True}):
            sentences += [sent(scope, Lab(f"{scope} {n}"), **facts) for n in range(2)]
    lazy = [daskpickle.loads(data) for data in sentences]
    working = threading.Event()

    def look() -> None:
        while not working.wait(0.001):
            pool.close_idle()

    def work(index: int) -> int:
        chance = random.Random(index)
        done = 0
        for _ in range(150):
            data, handle = chance.choice(sentences), chance.choice(lazy)
            what = chance.randrange(6)
            if what == 0:
                handle.ping()
                done += 1
                continue
            with contextlib.suppress(ZeroDivisionError), running_task(), opening():
                lab = daskpickle.loads(data)
                assert lab.ping() == lab.ping()
                handle.ping()
                assert lab.ping() >= 0
                done += 1
                if what == 1 and not lab.name.startswith("fresh"):  # which it would close
                    lab.close()
                elif what == 2:
                    handle.close()
                elif what == 3:
                    del lab
                    raise ZeroDivisionError
        return done

    watcher = threading.Thread(target=look)
    with set_to(idle_timeout=0, limit=4):
        watcher.start()
        try:
            assert in_threads(8, work) == [150] * 8
        finally:
            working.set()
            watcher.join()
    lazy.clear()
    pool.close_all()
    assert all(map(closes, range(len(Lab.opened))))
    assert counted("failures") == 0
    assert counted("opens") == counted("closes") == len(Lab.opened)
    assert len(pool) == 0


# --- Errors -------------------------------------------------------------------------------------


def cannot_open(name: Any) -> Any:
    raise ConnectionRefusedError("nobody there")


def interrupted(name: Any) -> Any:
    raise KeyboardInterrupt


def recipe_of(function: Any, scope: str = "process") -> Any:
    recipe = Recipe(function, "x", token="token")
    recipe.cls, recipe.scope = Lab, scope
    return recipe


@pytest.mark.parametrize("scope", ["process", "thread", "fresh"])
def test_an_error_of_open_names_type_and_node(scope: str) -> None:
    """It is raised in the task, with its cause; the next use tries again."""
    recipe = recipe_of(cannot_open, scope)
    with set_to(host="tcp://10.0.0.1:8786"), running_task():
        for _ in range(2):
            with pytest.raises(HandleError) as caught:
                pool.acquire(recipe)
            assert str(caught.value) == (
                "Cannot open labs.Lab on tcp://10.0.0.1:8786: ConnectionRefusedError: nobody there"
            )
            assert caught.value.type_name == "labs.Lab"
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert len(pool) == 0
    assert counted("failures") == 2


def test_an_interrupt_leaves_nothing_half_open() -> None:
    """Whatever stops `open` is raised as it is."""
    with pytest.raises(KeyboardInterrupt):
        pool.acquire(recipe_of(interrupted))
    assert len(pool) == 0


def test_threads_that_wait_for_what_cannot_be_opened_all_fail() -> None:
    """Each tries, and none hangs."""

    def work(_: int) -> str:
        with pytest.raises(HandleError):
            pool.acquire(recipe_of(cannot_open))
        return "failed"

    assert in_threads(8, work) == ["failed"] * 8


# --- State and home -----------------------------------------------------------------------------


def test_two_states_of_one_object_are_two() -> None:
    """What was submitted is what arrives, though both have one token."""
    lab = Lab({"mode": ["r"]})
    with registered("process"):
        before = daskpickle.dumps(lab)
        lab.name["mode"].append("w")
        after = daskpickle.dumps(lab)
    with elsewhere():
        with running_task(), opening():
            first, second = daskpickle.loads(before), daskpickle.loads(after)
            assert (first.name, second.name) == ({"mode": ["r"]}, {"mode": ["r", "w"]})
        in_use = [as_task(data) for data in (before, after, before)]
        assert in_use[0] == in_use[2] != in_use[1]
        assert len(Lab.opened) == 2


class Config:
    """Equal to itself only, as most classes' objects are."""

    def __init__(self, url: str) -> None:
        self.url = url


def make_argument(kind: str) -> Any:
    scale = 3
    return {
        "object": lambda: Config("lab://"),
        "function": lambda: lambda x: x * scale,
        "class": lambda: type("Local", (), {"scale": scale, "__module__": "__main__"}),
        "array": lambda: __import__("array").array("i", [1, 2]),
        "nested": lambda: {"a": [Config("x"), {1, 2}], ("b",): bytearray(b"c")},
        "set": lambda: {"x", frozenset([1])},
        "cycle": lambda: (ring := [Config("x")]).append(ring) or ring,
    }[kind]()


@pytest.mark.parametrize("kind", ["object", "function", "class", "array", "nested", "set", "cycle"])
def test_all_loads_of_the_same_bytes_are_one(kind: str) -> None:
    """Also where an argument is another object after each load: it is compared by value."""
    data = sent("process", Lab(make_argument(kind)))
    if kind == "cycle":  # equal to itself only: opened anew, which is always right
        assert as_task(data) != as_task(data)
    else:
        assert len({as_task(data) for _ in range(5)}) == 1
        assert counted("opens") == 1


def test_another_way_to_open_is_another_state() -> None:
    """The same object under two actions: each task gets it as it was sent."""
    lab = Lab()
    with registered("process"):
        register(Lab, lambda obj: Recipe(open_knot, obj.name), action="knot", scope="process")
        plain = daskpickle.dumps(lab)
        with daskpickle.use_policy({"labs.Lab": "knot"}):
            knot = daskpickle.dumps(lab)
        with elsewhere(), running_task(), opening():
            assert not hasattr(daskpickle.loads(plain), "self")
            assert hasattr(daskpickle.loads(knot), "self")


def test_it_comes_home_as_the_original() -> None:
    """Outside of tasks, where it was made: per process, or in its own thread."""
    for scope, here, in_thread in (
        ("process", True, True),
        ("thread", True, False),
        ("fresh", False, False),
    ):
        lab = Lab()
        data = sent(scope, lab)
        assert (daskpickle.loads(data).ping() == lab.record.number) is here
        found = in_threads(1, lambda _, data=data: daskpickle.loads(data).ping())
        assert (found == [lab.record.number]) is in_thread
        assert as_task(data) != lab.record.number, "a task never gets the original"
        del lab


def test_the_original_is_not_kept_alive() -> None:
    """When it has gone, its handle opens another one."""
    lab = Lab()
    data = sent("process", lab)
    handle = daskpickle.loads(data)
    assert handle.ping() == lab.record.number
    del lab
    gc.collect()
    assert handle.ping() == 0


# --- Tasks --------------------------------------------------------------------------------------


def test_tasks_inside_of_tasks() -> None:
    """The inner one gives back what it opened, and the outer one goes on."""
    data = sent("fresh")
    assert current_call() is None
    with running_task() as outer, opening():
        first = daskpickle.loads(data)
        with running_task() as inner:
            assert current_call() is inner
            daskpickle.loads(data)
        assert current_call() is outer
        assert [lab.closed.is_set() for lab in Lab.opened] == [False, True]
        del first
    assert current_call() is None
    assert Lab.opened[0].closed.is_set()


def test_what_outlives_its_task_is_closed_later() -> None:
    """A fresh object that a result or a variable still holds is open until it is let go."""
    data, kept = sent("fresh"), []
    as_task(data, keep_in(kept))
    assert kept[0].ping() == 0
    as_task(data)
    assert [lab.closed.is_set() for lab in Lab.opened] == [False, True]
    kept.clear()
    assert closes(0), "the thread of the pool looks after it"


def test_a_failed_task_keeps_nothing_open() -> None:
    """What its traceback holds is closed all the same."""
    data = sent("fresh")
    with pytest.raises(KeyError) as caught:
        as_task(data, fail)
    assert caught.tb is not None
    assert Lab.opened[0].closed.is_set()


def test_what_was_opened_last_is_closed_first() -> None:
    """It may hold what was opened before it."""
    data, order = [sent("fresh", Lab(n)) for n in range(4)], []
    with running_task(), opening():
        for one in data:
            record = daskpickle.loads(one).record
            record.closed.set = lambda n=record.name: order.append(n)
    assert order == [3, 2, 1, 0]


def open_pair(handle: Any) -> Lab:
    lab = open_lab("pair")
    lab.below = real(handle)  # type: ignore[attr-defined]
    return lab


def test_what_it_is_made_of_stays_open() -> None:
    """A handle among the arguments of a recipe is open for as long as what it opened."""
    below = Lab("below")
    with registered("process"):
        register(Config, lambda obj: Recipe(open_pair, below), scope="process", action="pair")
        try:
            data = daskpickle.dumps(Config("x"))
        finally:
            unregister(Config)
    with elsewhere(), set_to(idle_timeout=0):
        kept: list[Any] = []
        as_task(data, kept.append)
        pool.close_idle()
        assert [lab.closed.is_set() for lab in Lab.opened] == [False, False]
        kept.clear()
        pool.close_idle()
        pool.close_idle()
        assert [lab.closed.is_set() for lab in Lab.opened] == [True, True]


def test_results_become_handles() -> None:
    """What the pool opened outlives its task as a lazy handle; other objects as they are."""
    data = sent("process")
    with running_task(), opening():
        lab = daskpickle.loads(data)
        handle = as_handle(lab)
        assert issubclass(type(handle), Handle)
        assert daskpickle.dumps(handle) == daskpickle.dumps(lab) == data
        local = Lab()
        assert as_handle(local) is local
        assert as_handle(3) == 3
    assert handle.ping() == 0


def test_tasks_that_others_run() -> None:
    """Dask says which task runs in a thread, and when it has ended."""
    keys = threading.local()
    watch_tasks(lambda: getattr(keys, "key", None))
    try:
        handle = daskpickle.loads(sent("fresh"))
        keys.key = "a"
        first = handle.ping()
        keys.key = "b"
        assert handle.ping() != first
        keys.key = "a"
        assert handle.ping() == first
        end_task("a", failed=False)
        end_task("never seen", failed=False)
        assert [lab.closed.is_set() for lab in Lab.opened] == [True, False]
        end_task("b", failed=True)
        assert Lab.opened[1].closed.is_set()
        keys.key = None
        assert current_call() is None
    finally:
        watch_tasks(lambda: None)


def test_a_coroutine_holds_on_until_it_ends() -> None:
    """What a task opened for its coroutine is given back when that is done."""
    data = sent("fresh")

    async def work(lab: Any) -> str:
        await asyncio.sleep(0)
        return "closed" if lab.record.closed.is_set() else "open"

    def start() -> Any:
        with running_task() as call, opening():
            call.awaited = True
            return call.until(work(daskpickle.loads(data)))

    assert asyncio.run(start()) == "open"
    assert Lab.opened[0].closed.is_set()


def test_handles_are_real_only_where_a_task_opens_them() -> None:
    """The switch is per thread, and is set back; an open function sees lazy ones."""
    data = sent("process")
    assert not is_opening()
    with opening():
        assert is_opening()
        assert type(daskpickle.loads(data)) is Lab
        assert in_threads(1, lambda _: is_opening()) == [False]
        with opening(False):
            assert issubclass(type(daskpickle.loads(data)), Handle)
        assert is_opening()
    assert not is_opening()


def test_reducers_are_counted() -> None:
    """How Dask's payloads are told apart: those that hold ours, and those that do not."""
    before = count_fired()
    daskpickle.dumps([1, {"a": len}])
    assert count_fired() == before
    handle = daskpickle.loads(sent("process"))
    before = count_fired()
    daskpickle.dumps([handle])
    assert count_fired() > before
    before = count_fired()
    daskpickle.dumps({"a": [threading.Lock(), lambda: 1]})
    assert count_fired() > before


# --- The same bytes again -----------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["process", "thread", "fresh"])
def test_what_arrived_is_pickled_as_it_arrived(scope: str) -> None:
    """Opened or not, whatever the policy, and whether its class is registered here or not."""
    data = sent(scope, Lab(["n", {"x": 1}]), reset=reset_lab)
    handle = daskpickle.loads(data)
    assert daskpickle.dumps(handle) == data
    handle.ping()
    assert daskpickle.dumps(handle) == data
    with running_task(), opening():
        lab = daskpickle.loads(data)
        assert type(lab) is Lab
        assert daskpickle.dumps(lab) == data, "its class is not registered here"
        with registered(scope):
            assert daskpickle.dumps(lab) == data
            with daskpickle.use_policy({"labs.Lab": "refuse"}):
                assert daskpickle.dumps(lab) == daskpickle.dumps(handle) == data


def test_snapshots_are_pickled_as_they_are_now() -> None:
    """What a task made of content travels on."""

    def reduce_lab(obj: Any) -> Recipe:
        return Recipe(open_lab, obj.name, snapshot=True)

    register(Lab, reduce_lab, scope="fresh")
    try:
        data = daskpickle.dumps(Lab("sent"))
        with running_task(), opening():
            lab = daskpickle.loads(data)
            lab.name = "changed"
            again = daskpickle.dumps(lab)
    finally:
        unregister(Lab)
    assert again != data
    assert as_task(again, lambda lab: lab.name) == "changed"


# --- Fork and exit ------------------------------------------------------------------------------

CHILD = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {tests!r})
import daskpickle
from daskpickle import handles, identity
from daskpickle.handles import opening, pool, running_task
from labs import Lab, as_task, open_lab, registered, sent
lab = Lab("original")
data = sent("process", lab)
other = sent("process", Lab("gone"))

def forked(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="There is no os.fork here.")


def script(code: str) -> str:
    tests = os.path.dirname(__file__)  # noqa: PTH120
    return CHILD.format(tests=tests) + textwrap.dedent(code)


@forks
def test_a_fork_opens_its_own(fresh_process: Callable[..., bytes]) -> None:
    """What the parent opened it neither uses nor closes; what it opens it closes."""
    fresh_process(
        script("""
        handle = daskpickle.loads(other)
        parents = handle.ping()
        fresh = daskpickle.loads(sent("fresh"))
        fresh.ping()
        first, second = Lab.opened

        def child():
            global fresh
            assert len(pool) == 0
            assert handle.ping() != parents
            assert daskpickle.dumps(handle) == other
            assert fresh.ping() == 3
            del fresh
            pool.close_all()
            assert not first.closed.is_set() and not second.closed.is_set()
            assert [l.closed.is_set() for l in Lab.opened[2:]] == [True, True]

        forked(child)
        assert handle.ping() == parents and not first.closed.is_set()
        del fresh
        assert second.closed.wait(20)
    """)
    )


@forks
def test_a_fork_inside_of_a_task(fresh_process: Callable[..., bytes]) -> None:
    """The end of the task in the child closes nothing of the parent."""
    fresh_process(
        script("""
        fresh = sent("fresh")
        with running_task(), opening():
            shared, own = daskpickle.loads(other), daskpickle.loads(fresh)
            pid = os.fork()
            if pid == 0:
                with opening(False):
                    assert daskpickle.loads(other).ping() > 1
                    assert daskpickle.loads(fresh).ping() > 1
            else:
                assert os.waitpid(pid, 0)[1] == 0
        if pid == 0:
            ok = not any(lab.closed.is_set() for lab in Lab.opened[:2])
            os._exit(0 if ok else 1)
        assert as_task(other) == 0
    """)
    )


@forks
def test_an_original_is_the_parents(fresh_process: Callable[..., bytes]) -> None:
    """In the child its handle does not come home as the original, which is the parent's."""
    fresh_process(
        script("""
        def child():
            handle = daskpickle.loads(data)
            assert handle.ping() != lab.record.number
            assert handle.name == "original"

        assert daskpickle.loads(data).ping() == lab.record.number
        forked(child)
        assert daskpickle.loads(data).ping() == lab.record.number
    """)
    )


@forks
def test_a_fork_while_other_threads_are_busy(fresh_process: Callable[..., bytes]) -> None:
    """Locks that another thread holds at that moment hold nobody up in the child."""
    fresh_process(
        script("""
        started, go = threading.Event(), threading.Event()

        def open_slowly(name):
            started.set()
            go.wait(60)
            return open_lab(name)

        def reducer(obj):
            return daskpickle.Recipe(open_slowly, obj.name)

        daskpickle.register(Lab, reducer, scope="process")
        slow = daskpickle.dumps(Lab("slow"))
        thread = threading.Thread(target=lambda: as_task(slow), daemon=True)
        thread.start()
        assert started.wait(20)
        from daskpickle.table import registry
        guards = threading.Barrier(2), threading.Event()

        def hold():
            with identity.guard, registry.lock:
                guards[0].wait()
                guards[1].wait(60)

        threading.Thread(target=hold, daemon=True).start()
        guards[0].wait()

        def child():
            go.set()
            assert as_task(slow, lambda lab: lab.name) == "slow"
            assert as_task(other, lambda lab: lab.name) == "gone"
            daskpickle.dumps([threading.Lock(), Lab(1)])
            daskpickle.unregister(Lab)
            pool.close_all()

        forked(child)
        go.set()
        guards[1].set()
        thread.join()
    """)
    )


EXITS = {
    "nothing": "",
    "process": "kept = daskpickle.loads(other); kept.ping()",
    "task": "as_task(other)",
    "thread": "as_task(sent('thread'))",
    "fresh": "kept = daskpickle.loads(sent('fresh')); kept.ping()",
    "in a task": "task = running_task(); task.__enter__(); daskpickle.loads(other).ping()",
    "cycle": "kept = [daskpickle.loads(sent('fresh'))]; kept.append(kept); kept[0].ping()",
    "daemon thread": """
        ready = threading.Event()
        def work():
            as_task(sent("thread"))
            ready.set()
            threading.Event().wait()
        threading.Thread(target=work, daemon=True).start()
        ready.wait()
    """,
    "idle soon": """
        handles.settings.idle_timeout = 0.06
        for n in range(20): as_task(sent("process", Lab(n)))
    """,
    "opening": """
        ready = threading.Event()
        def open_for_ever(name):
            ready.set()
            threading.Event().wait()
        recipe = daskpickle.Recipe(open_for_ever, 1, token="t")
        recipe.scope = "process"
        threading.Thread(target=pool.acquire, args=(recipe,), daemon=True).start()
        ready.wait()
    """,
    "error": "as_task(other); Lab.close = None",
}


@pytest.mark.parametrize("how", EXITS)
def test_the_interpreter_ends_in_silence(how: str, tmp_path: Any) -> None:
    """With handles open and threads at work; and what is open is closed."""
    code = script("""
        close = Lab.close
        def say(lab):
            close(lab)
            os.write(1, b"closed ")
        Lab.close = say
    """) + textwrap.dedent(EXITS[how])
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", code],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    if how not in ("nothing", "daemon thread", "opening", "error"):
        assert done.stdout.startswith(b"closed")
    assert handles.pool is pool
