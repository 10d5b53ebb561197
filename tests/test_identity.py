"""Identity: tokens, the one object of a token, and what arrived as what."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from labs import in_threads

import daskpickle
from daskpickle import handles, identity
from daskpickle.identity import (
    Callback,
    Contents,
    IdentityMap,
    add_state,
    extra_state,
    fixed,
    intern,
    note_arrival,
    remember,
    token_of,
    watch_types,
)
from daskpickle.testing import elsewhere


class Thing:
    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        raise AssertionError("Identity does not compare.")

    def __hash__(self) -> int:
        raise AssertionError("Identity does not hash.")


class Slim:
    __slots__ = ()


@pytest.fixture(autouse=True)
def other_process() -> Iterator[None]:
    with elsewhere():
        yield


# --- IdentityMap --------------------------------------------------------------------------------


def test_a_map_goes_by_identity_and_holds_nothing() -> None:
    """Neither ``==`` nor ``hash`` is asked; an entry goes with its object."""
    known, one, two = IdentityMap(), Thing(), Thing()
    known.set(one, 1)
    known.set(two, 2)
    known.set(two, 22)
    assert (known.get(one), known.get(two), known.get(Thing())) == (1, 22, None)
    del one
    assert len(known.items) == 1
    del two
    assert len(known.items) == 0


def test_a_map_is_not_fooled_by_reused_addresses() -> None:
    """An object at the address of a dead one is another object."""
    known = IdentityMap()
    for n in range(1000):
        thing = Thing()
        assert known.get(thing) is None
        known.set(thing, n)
        assert known.get(thing) == n
        del thing
    assert len(known.items) == 0


def test_an_old_entry_does_not_take_the_new_one_away() -> None:
    """A weak reference that dies late leaves what has its place by now."""
    known, thing = IdentityMap(), Thing()
    known.set(thing, 1)
    old = known.items[id(thing)]
    known.set(thing, 2)
    assert old.__callback__ is not None
    old.__callback__(old)  # as if it died now
    assert known.get(thing) == 2


# --- Tokens -------------------------------------------------------------------------------------


def test_an_object_has_one_token() -> None:
    """The same at any time, from any thread; another object has another one."""
    thing = Thing()
    tokens = in_threads(8, lambda _: token_of(thing))
    assert set(tokens) == {token_of(thing)}
    assert token_of(Thing()) != token_of(thing)


def test_tokens_are_never_repeated() -> None:
    """Although addresses are."""
    assert len({token_of(Thing()) for _ in range(1000)}) == 1000


def test_a_token_holds_nothing_alive() -> None:
    """When the object goes, its token is forgotten."""
    thing = Thing()
    token = token_of(thing)
    gone = weakref.ref(thing)
    assert identity.identities.find(token) is thing
    del thing
    assert gone() is None
    assert identity.identities.find(token) is None
    assert not identity.identities._by_id
    assert not identity.identities._by_token


def test_what_takes_no_weak_references_has_no_token() -> None:
    """Its recipe is its identity; nothing is left behind by asking."""
    with pytest.raises(TypeError):
        token_of(Slim())
    assert not identity.identities._by_id
    assert not identity.identities._by_token


def test_tokens_say_where_home_is() -> None:
    """The thread that first asked; not for what arrived from elsewhere."""
    thing = Thing()
    token_of(thing)
    known = identity.identities.of(thing)
    assert known is not None
    assert known.home == threading.get_ident()
    assert identity.identities.is_original(thing)
    arrived = intern("token", Thing, (Thing, ()))
    assert not identity.identities.is_original(arrived)
    assert token_of(arrived) == "token"


# --- One token, one object ----------------------------------------------------------------------


def test_threads_that_make_one_token_at_once_get_one_object() -> None:
    """Eight threads, two thousand times: one object each time, made once."""
    made: list[Thing] = []

    def make() -> Thing:
        thing = Thing()
        made.append(thing)
        return thing

    rounds = 2000
    barrier = threading.Barrier(8)

    def work(_: int) -> list[Any]:
        found = []
        for n in range(rounds):
            if n % 50 == 0:
                barrier.wait()
            found.append(intern(f"token {n}", make, (Thing, (n,))))
        return found

    found = in_threads(8, work)
    assert len(made) == rounds
    for objects in zip(*found, strict=True):
        assert all(obj is objects[0] for obj in objects)


def test_locks_that_arrive_in_many_threads_are_one() -> None:
    """The same for a real type, through pickles."""
    data = daskpickle.dumps(threading.Lock())
    with elsewhere():
        locks = in_threads(8, lambda _: [pickle.loads(data) for _ in range(100)])
        assert len({id(lock) for found in locks for lock in found}) == 1


def test_the_original_comes_home() -> None:
    """Its token gives the original, and makes nothing."""
    thing = Thing()
    token = token_of(thing)
    assert intern(token, lambda: pytest.fail("made"), ()) is thing


def test_an_arrived_object_lives_as_long_as_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or, on workers, until teardown: the next task must find it."""
    thing = intern("token", Thing, ())
    gone = weakref.ref(thing)
    del thing
    assert gone() is None
    monkeypatch.setattr(handles.settings, "keep", True)
    kept = weakref.ref(intern("token", Thing, ()))
    gc.collect()
    assert kept() is intern("token", lambda: pytest.fail("made"), ())
    handles.pool.close_all()
    assert kept() is None


# --- Arrivals -----------------------------------------------------------------------------------


def test_what_arrived_is_remembered() -> None:
    """As the reduced value that it arrived as; also where its class is not registered."""
    thing = remember(Thing(1), (str, ("as it arrived",)))
    assert handles.arrived(thing) == (str, ("as it arrived",))
    assert handles.arrived(Thing()) is None
    assert pickle.loads(daskpickle.dumps([thing, Thing(2).value])) == ["as it arrived", 2]
    assert type(pickle.loads(daskpickle.dumps(Thing(3)))) is Thing


def test_new_types_that_arrive_are_told() -> None:
    """Once per type: tables look again."""
    told: list[int] = []
    watch_types(lambda: told.append(1))
    try:
        cls = type("New", (), {})
        for _ in range(3):
            note_arrival(cls(), ())
        assert told == [1]
    finally:
        identity._watchers.pop()


# --- What recipes are made of -------------------------------------------------------------------


class Base:
    __slots__ = ("__dict__", "a")


class More(Base):
    __slots__ = ("__private", "b")

    def __init__(self) -> None:
        self.b, self.__private, self.own = 1, 2, 3

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "forbidden":
            raise AssertionError(name)
        object.__setattr__(self, name, value)


def test_extra_state_is_what_a_subclass_adds() -> None:
    """Attributes and slots, private ones too, without what the base has; set without its code."""
    obj, base = More(), Base()
    object.__setattr__(obj, "forbidden", 4)
    base.own = 0  # type: ignore[attr-defined]
    state = extra_state(obj, base)
    assert state == {"b": 1, "_More__private": 2, "forbidden": 4}
    assert extra_state(obj, None) == {**state, "own": 3}
    assert extra_state(Slim(), None) == {}
    other = More.__new__(More)
    add_state(other, state)
    assert extra_state(other, None) == state


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_contents_travel_out_of_band(make: Any) -> None:
    """Where the protocol can; and are compared by digest."""
    contents = Contents(make(b"x" * 1000))
    buffers: list[Any] = []
    data = pickle.dumps(contents, 5, buffer_callback=buffers.append)
    assert len(data) < 200
    for received in (
        pickle.loads(data, buffers=buffers),
        *(pickle.loads(pickle.dumps(contents, protocol)) for protocol in range(2, 6)),
    ):
        assert bytes(received.data) == b"x" * 1000
        assert received == contents
        assert hash(received) == hash(contents)
    assert contents != Contents(b"y")
    assert contents != b"x" * 1000
    assert "x" * 10 not in repr(contents)


def test_callbacks_are_equal_to_their_copies() -> None:
    """Each load of a function by value makes another function; its token says that it is one."""
    callback = Callback.wrap(lambda x: x + 1)
    copies = [daskpickle.loads(daskpickle.dumps(callback)) for _ in range(2)]
    assert copies[0].function is not copies[1].function
    assert copies[0] == copies[1] == callback
    assert len({*copies, callback}) == 1
    assert Callback.unwrap(copies[0])(2) == 3
    assert callback != Callback.wrap(lambda x: x + 1)
    assert Callback.wrap(len) is Callback.unwrap(len) is len
    assert Callback.wrap(None) is None


def test_reducers_can_be_marked() -> None:
    """As giving the same for the same object at any time."""

    def reduce_thing(obj: Any) -> Any:
        return str, ()

    assert fixed(reduce_thing) is reduce_thing
    assert reduce_thing.fixed is True  # type: ignore[attr-defined]


def test_defaults_of_the_settings() -> None:
    """What the documentation says."""
    settings = identity.Settings()
    facts = settings.idle_timeout, settings.limit, settings.contents_limit, settings.keep
    assert facts == (300.0, 256, 2**20, False)


def test_a_state_that_comes_before_its_object_may_name_it() -> None:
    """As an argument the object itself cannot be sent; a mark is."""

    class Thing:
        pass

    thing, copy = Thing(), Thing()
    thing.me, thing.x = thing, 1  # type: ignore[attr-defined]
    state = identity.early_state(thing)
    assert state == {"me": identity.Itself, "x": 1}
    identity.add_state(copy, state)
    assert vars(copy) == {"me": copy, "x": 1}
