"""Weak references arrive alive with what they point to, and dead without it."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.testing import ReducerContract


class Node:
    """Lives as long as its module."""

    def method(self) -> int:
        return 5


class Labelled(weakref.ref):  # type: ignore[type-arg]
    __slots__ = ("label",)


class Hidden:
    """Passes on nothing of its own."""

    def __getattribute__(self, name: str) -> Any:
        return 0


HIDDEN = Hidden()
DEAD: Callable[[], Any] = lambda: weakref.ref(set())


class Kept(Node):
    """Travels by name, so that it is alive on arrival."""

    def __reduce__(self) -> str:
        return "KEPT"


KEPT = Kept()


class TestReference(ReducerContract):
    def make(self) -> Any:
        return weakref.ref(Node)

    def same(self, sent: Any, received: Any) -> bool:
        return received() is Node


class TestDeadReference(ReducerContract):
    def make(self) -> Any:
        return DEAD()

    def same(self, sent: Any, received: Any) -> bool:
        return received() is None


class TestSubclass(ReducerContract):
    def make(self) -> Any:
        made = Labelled(Node)
        made.label = "x"
        return made

    def same(self, sent: Any, received: Any) -> bool:
        return received() is Node and received.label == "x"


class TestMethod(ReducerContract):
    def make(self) -> Any:
        return weakref.WeakMethod(KEPT.method)

    def same(self, sent: Any, received: Any) -> bool:
        return received()() == 5 and received == sent


class TestDeadMethod(ReducerContract):
    def make(self) -> Any:
        return weakref.WeakMethod(Node().method)

    def same(self, sent: Any, received: Any) -> bool:
        return received() is None


class TestProxy(ReducerContract):
    def refused(self) -> list[Any]:
        return [(lambda: weakref.proxy(HIDDEN), "do not tell")]


def test_a_proxy_beside_what_it_stands_for_is_one() -> None:
    """It is alive as long as that is held, and no longer."""
    node = Node()
    received = daskpickle.loads(daskpickle.dumps({"node": node, "proxy": weakref.proxy(node)}))
    proxy = received["proxy"]
    assert type(proxy) is weakref.ProxyType or type(proxy) is weakref.CallableProxyType
    assert proxy.method() == 5
    del received["node"]
    gc.collect()
    with pytest.raises(ReferenceError):
        proxy.method()


def test_a_proxy_by_itself_arrives_as_what_it_stands_for() -> None:
    """As with plain pickle: nothing else would hold that."""
    node = Node()
    for dumps in (daskpickle.dumps, pickle.dumps):
        received = daskpickle.loads(dumps(weakref.proxy(node)))
        assert type(received) is Node
        assert received.method() == 5


class TestCallableProxy(ReducerContract):
    def make(self) -> Any:
        return weakref.proxy(Node)

    def same(self, sent: Any, received: Any) -> bool:
        return type(received) is weakref.CallableProxyType and received().method() == 5


class TestDeadProxy(ReducerContract):
    def make(self) -> Any:
        return weakref.proxy(set())

    def state(self, obj: Any) -> Any:
        return type(obj)

    def same(self, sent: Any, received: Any) -> None:
        with pytest.raises(ReferenceError):
            received.add(1)

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """It cannot be looked at, as the contract does."""


class TestValues(ReducerContract):
    def make(self) -> Any:
        return weakref.WeakValueDictionary(a=Node)

    def same(self, sent: Any, received: Any) -> None:
        assert dict(received) == {"a": Node}
        received["b"] = extra = Node()
        del extra
        gc.collect()
        assert list(received) == ["a"]


class TestKeys(ReducerContract):
    def make(self) -> Any:
        return weakref.WeakKeyDictionary({Node: 1})

    def same(self, sent: Any, received: Any) -> None:
        assert received[Node] == 1
        received[Node()] = 2
        gc.collect()
        assert list(received.values()) == [1]


class TestSet(ReducerContract):
    def make(self) -> Any:
        return weakref.WeakSet([Node])

    def same(self, sent: Any, received: Any) -> bool:
        return set(received) == {Node}


class OwnSet(weakref.WeakSet):  # type: ignore[type-arg]
    label = ""


class TestSetSubclass(ReducerContract):
    def make(self) -> Any:
        made = OwnSet([Node])
        made.label = "x"
        return made

    def same(self, sent: Any, received: Any) -> bool:
        return type(received) is OwnSet and set(received) == {Node} and received.label == "x"


def test_what_nothing_else_holds_dies_on_arrival() -> None:
    """A reference is no reason to live."""
    node = Node()
    data = daskpickle.dumps([weakref.ref(node), weakref.proxy(node), weakref.WeakSet([node])])
    ref, proxy, items = daskpickle.loads(data)
    gc.collect()
    assert ref() is None
    assert list(items) == []
    with pytest.raises(ReferenceError):
        proxy.method()


def test_a_callback_is_called_where_it_arrives() -> None:
    """When the copy dies, and not when the original does."""
    calls: list[str] = []
    node = Node()
    held = {"node": node, "ref": weakref.ref(node, lambda ref: calls.append("died"))}
    received = daskpickle.loads(daskpickle.dumps(held))
    log = received["ref"].__callback__.__closure__[0].cell_contents
    del received["node"]
    gc.collect()
    assert log == ["died"]
    assert calls == []


def test_a_dictionary_that_its_values_lead_back_to() -> None:
    """Each refers to the copy."""
    node: Any = Node()
    node.known = weakref.WeakValueDictionary(me=node)
    received = daskpickle.loads(daskpickle.dumps(node))
    assert received.known["me"] is received


def test_the_path_leads_through_a_reference() -> None:
    """It says that code would call it."""
    items = (x for x in [])  # type: ignore[var-annotated]
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps({"ref": weakref.ref(items)})
    assert caught.value.path == "obj['ref']()"


def test_a_finalizer_arrives_dead() -> None:
    """What it would clean up is here, and it still does."""
    node, calls = Node(), []  # type: ignore[var-annotated]
    finalizer = weakref.finalize(node, calls.append, 1)
    received = daskpickle.loads(daskpickle.dumps(finalizer))
    assert not received.alive
    assert received() is None
    assert finalizer.alive
    del node
    gc.collect()
    assert calls == [1]
