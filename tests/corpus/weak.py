"""Weak references, with what they point to and without."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from corpus import Case


class Node:
    """Something to point to."""

    def __init__(self, name: str = "node") -> None:
        self.name = name
        self.calls = 0

    def call(self) -> str:
        self.calls += 1
        return self.name

    def __call__(self, x: int) -> int:
        return x + 1


class Slotted:
    """Can be pointed to, and has no dict."""

    __slots__ = ("__weakref__", "x")


class Labelled(weakref.ref):  # type: ignore[type-arg]
    """A reference with attributes."""

    __slots__ = ("__dict__", "label")

    def __new__(cls, target: Any, label: str) -> Any:
        return super().__new__(cls, target)

    def __init__(self, target: Any, label: str) -> None:
        super().__init__(target)
        self.label, self.more = label, [1]


class Pool(weakref.WeakValueDictionary):  # type: ignore[type-arg]
    """A weak dictionary with attributes."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label


class Group(weakref.WeakSet):  # type: ignore[type-arg]
    """A weak set with attributes."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label


died: list[Any] = []


def note(ref: Any) -> None:
    """Note that something died."""
    died.append(ref)


def holding(*order: str) -> Callable[[ExitStack], Any]:
    def make(stack: ExitStack) -> Any:
        node = Node()
        made = {"node": node, "ref": weakref.ref(node), "again": weakref.ref(node)}
        return {name: made[name] for name in order}

    return make


def alive(received: Any) -> None:
    ref = received["ref"]
    assert ref() is received["node"]
    assert ref is weakref.ref(received["node"])


def dead(received: Any) -> None:
    assert received() is None


def gone(make: Callable[[Any], Any]) -> Callable[[ExitStack], Any]:
    def build(stack: ExitStack) -> Any:
        node = Node()
        ref = make(node)
        del node
        gc.collect()
        return ref

    return build


def alone(make: Callable[[Any], Any]) -> Callable[[ExitStack], Any]:
    def build(stack: ExitStack) -> Any:
        node = Node()
        stack.callback(node.call)  # alive here
        return make(node)

    return build


def called_back(stack: ExitStack) -> Any:
    node = Node()
    return {"node": node, "ref": weakref.ref(node, note)}


def called_back_works(received: Any) -> None:
    died.clear()
    ref = received["ref"]
    assert ref.__callback__ is note
    assert ref() is received["node"]


def local_callback(stack: ExitStack) -> Any:
    node, log = Node(), []  # type: ignore[var-annotated]
    return {"node": node, "log": log, "ref": weakref.ref(node, lambda ref: log.append(1))}


def local_callback_works(received: Any) -> None:
    received["ref"].__callback__(None)
    assert received["log"] == [1]


def proxied(stack: ExitStack) -> Any:
    node = Node()
    return {"node": node, "proxy": weakref.proxy(node), "type": "x"}


def proxied_works(received: Any) -> None:
    proxy = received["proxy"]
    assert type(proxy) is weakref.CallableProxyType
    assert (proxy.call(), received["node"].calls, proxy(1)) == ("node", 1, 2)


def plain_proxy(stack: ExitStack) -> Any:
    node = Slotted()
    node.x = 3
    return {"node": node, "proxy": weakref.proxy(node)}


def plain_proxy_works(received: Any) -> None:
    proxy = received["proxy"]
    assert type(proxy) is weakref.ProxyType
    received["node"].x = 4
    assert proxy.x == 4


def dead_proxy(make: Callable[[], Any]) -> Callable[[ExitStack], Any]:
    def build(stack: ExitStack) -> Any:
        return [weakref.proxy(make())]

    return build


def dead_proxy_works(kind: type) -> Callable[[Any], None]:
    def check(received: Any) -> None:
        assert type(received[0]) is kind
        try:
            received[0].x  # noqa: B018
        except ReferenceError:
            return
        raise AssertionError("It is alive.")

    return check


def method(stack: ExitStack) -> Any:
    node = Node()
    return {"node": node, "method": weakref.WeakMethod(node.call, note)}


def method_works(received: Any) -> None:
    method = received["method"]
    assert method()() == "node"
    assert received["node"].calls == 1
    assert method == weakref.WeakMethod(received["node"].call)
    assert method.__callback__ is not None


def labelled(stack: ExitStack) -> Any:
    node = Node()
    return {"node": node, "ref": Labelled(node, "x")}


def labelled_works(received: Any) -> None:
    assert received["ref"]() is received["node"]
    assert (received["ref"].label, received["ref"].more) == ("x", [1])


def tree(stack: ExitStack) -> Any:
    parent = Node("parent")
    child: Any = Node("child")
    child.parent = weakref.ref(parent)
    parent.children = [child]  # type: ignore[attr-defined]
    parent.me = weakref.ref(parent)  # type: ignore[attr-defined]
    return parent


def tree_works(received: Any) -> None:
    assert received.me() is received
    assert received.children[0].parent() is received


def tree_from_below(stack: ExitStack) -> Any:
    parent = tree(stack)
    return [parent.me, parent]


def values(stack: ExitStack) -> Any:
    first, second = Node("first"), Node("second")
    return {"held": [first, second], "weak": weakref.WeakValueDictionary(a=first, b=second)}


def values_work(received: Any) -> None:
    weak = received["weak"]
    assert {key: node.name for key, node in weak.items()} == {"a": "first", "b": "second"}
    assert weak["a"] is received["held"][0]
    weak["c"] = extra = Node()
    assert len(weak) == 3
    del extra
    gc.collect()
    assert "c" not in weak


def keys(stack: ExitStack) -> Any:
    first, second = Node("first"), Node("second")
    return {
        "held": [first, second],
        "weak": weakref.WeakKeyDictionary({first: 1, second: threading.Lock()}),
    }


def keys_work(received: Any) -> None:
    weak, (first, second) = received["weak"], received["held"]
    assert weak[first] == 1
    with weak[second]:
        pass
    extra = Node()
    weak[extra] = 5
    assert len(weak) == 3
    del extra
    gc.collect()
    assert len(weak) == 2


def items(stack: ExitStack) -> Any:
    first, second = Node("first"), Node("second")
    return {"held": [first, second], "weak": weakref.WeakSet([first, second])}


def items_work(received: Any) -> None:
    weak, held = received["weak"], received["held"]
    assert set(weak) == set(held)
    weak.add(extra := Node())
    assert extra in weak
    del extra
    gc.collect()
    assert len(weak) == 2


def pool(stack: ExitStack) -> Any:
    made, node = Pool("mine"), Node()
    made["a"] = node
    node.pool = made  # type: ignore[attr-defined]
    return [node, made]


def pool_works(received: Any) -> None:
    node, made = received
    assert (made.label, made["a"] is node, node.pool is made) == ("mine", True, True)


def group(stack: ExitStack) -> Any:
    made, node = Group("mine"), Node()
    made.add(node)
    return [node, made]


def group_works(received: Any) -> None:
    node, made = received
    assert (made.label, list(made) == [node]) == ("mine", True)
    del node, received[0]
    gc.collect()
    assert len(made) in (0, 1)  # the harness may hold it


def finalizer(stack: ExitStack) -> Any:
    node = Node()
    stack.callback(node.call)
    made = weakref.finalize(node, note, 1)
    made.atexit = False
    return made


def finalizer_works(received: Any) -> None:
    assert not received.alive
    assert received.peek() is None
    assert received() is None


def of_unpicklable(stack: ExitStack) -> Any:
    source = (x for x in [])  # type: ignore[var-annotated]
    stack.callback(source.close)
    return weakref.ref(source)


def of_function(stack: ExitStack) -> Any:
    def function() -> int:
        return 5

    return [function, weakref.ref(function)]


def of_class(stack: ExitStack) -> Any:
    class Local:
        pass

    return [Local, weakref.ref(Local), weakref.ref(Node)]


def of_class_works(received: Any) -> None:
    assert received[1]() is received[0]
    assert received[2]() is Node


def of_lock(stack: ExitStack) -> Any:
    lock = threading.Lock()
    return [lock, weakref.ref(lock)]


CASES = [
    Case("ref", holding("node", "ref", "again"), alive),
    Case("ref.first", holding("ref", "again", "node"), alive),
    Case("ref.dead", gone(weakref.ref), dead),
    Case("ref.alone", alone(weakref.ref), dead),
    Case("ref.callback", called_back, called_back_works),
    Case("ref.callback.local", local_callback, local_callback_works),
    Case("ref.subclass", labelled, labelled_works),
    Case("ref.tree", tree, tree_works),
    Case("ref.tree.below", tree_from_below, lambda r: r[0]() is r[1] or 1 / 0),
    Case("ref.function", of_function, lambda r: r[1]() is r[0] or 1 / 0),
    Case("ref.class", of_class, of_class_works),
    Case("ref.lock", of_lock, lambda r: r[1]() is r[0] or 1 / 0),
    Case("ref.unpicklable", of_unpicklable, refused="cannot be recorded"),
    Case("method", method, method_works),
    Case("method.dead", gone(lambda node: weakref.WeakMethod(node.call)), dead),
    Case("method.alone", alone(lambda node: weakref.WeakMethod(node.call)), dead),
    Case("proxy", plain_proxy, plain_proxy_works),
    Case("proxy.callable", proxied, proxied_works),
    Case(
        "proxy.class",
        lambda stack: [weakref.proxy(Node)],
        lambda r: r[0].call is Node.call or 1 / 0,
    ),
    # Dask asks an argument what it is, and a dead proxy answers nothing.
    *(
        Case(name, dead_proxy(cls), dead_proxy_works(kind), routes="closure data")
        for name, cls, kind in (
            ("proxy.dead", Slotted, weakref.ProxyType),
            ("proxy.callable.dead", Node, weakref.CallableProxyType),
        )
    ),
    Case("values", values, values_work),
    Case("values.empty", lambda stack: weakref.WeakValueDictionary(), lambda d: d == {} or 1 / 0),
    Case("values.subclass", pool, pool_works),
    Case("keys", keys, keys_work),
    Case("set", items, items_work),
    Case("set.subclass", group, group_works),
    Case("finalize", finalizer, finalizer_works),
]
