"""What wraps functions arrives around a function that does the same."""

from __future__ import annotations

import abc
import contextlib
import functools
import pickle
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract


@functools.lru_cache(maxsize=3)
def imported(x: int) -> int:
    return x + 1


def by_size(a: Any, b: Any) -> int:
    return int(len(a) - len(b))


@contextlib.contextmanager
def doubled(x: int) -> Iterator[int]:
    yield 2 * x


@contextlib.asynccontextmanager
async def doubled_async(x: int) -> Any:
    yield 2 * x


class Noted(property):
    """A property with attributes."""


def cached() -> Any:
    @functools.lru_cache(maxsize=3, typed=True)
    def add(x: int) -> int:
        return x + 1

    add(1)
    add.label = "mine"  # type: ignore[attr-defined]
    return add


class TestCache(ReducerContract):
    def make(self) -> Any:
        return cached()

    def same(self, sent: Any, received: Any) -> None:
        assert received.cache_info() == (0, 0, 3, 0)
        assert received(1) == 2
        assert sent.cache_info().misses == 1
        assert received.cache_parameters() == sent.cache_parameters()
        assert (received.label, received.__name__) == ("mine", "add")

    def state(self, obj: Any) -> Any:
        return obj.cache_info()

    @staticmethod
    def use(received: Any) -> Any:
        return received(1), received(1), tuple(received.cache_info())


class TestKeyFunction(ReducerContract):
    def make(self) -> Any:
        return functools.cmp_to_key(by_size)

    def same(self, sent: Any, received: Any) -> None:
        assert sorted(["bb", "a"], key=received) == ["a", "bb"]

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """It cannot be compared with just anything, as the contract does."""


class TestKey(ReducerContract):
    def make(self) -> Any:
        return functools.cmp_to_key(by_size)("bb")

    def same(self, sent: Any, received: Any) -> None:
        assert received.obj == "bb"
        assert received > functools.cmp_to_key(by_size)("a")

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """It cannot be compared with just anything, as the contract does."""


class TestProperty(ReducerContract):
    def make(self) -> Any:
        made = Noted(abs)
        made.note = 1  # type: ignore[attr-defined]
        return made

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Noted
        assert (received.fget, received.note) == (abs, 1)


class TestAbstractProperty(ReducerContract):
    def make(self) -> Any:
        return abc.abstractproperty(abs)

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is abc.abstractproperty
        assert received.fget is abs


class TestClassMethodOfC(ReducerContract):
    def make(self) -> Any:
        return vars(dict)["fromkeys"]

    def same(self, sent: Any, received: Any) -> None:
        assert received is vars(dict)["fromkeys"]


class TestManager(ReducerContract):
    def make(self) -> Any:
        return doubled(3)

    def same(self, sent: Any, received: Any) -> None:
        with received as x:
            assert x == 6
        with pytest.raises(AttributeError):
            received.__enter__()

    def state(self, obj: Any) -> Any:
        return {name: value for name, value in vars(obj).items() if name != "gen"}

    def refused(self) -> list[Any]:
        def entered() -> Any:
            manager = doubled(3)
            manager.__enter__()
            return manager

        made = contextlib.contextmanager(lambda x: doubled.__wrapped__(x))  # type: ignore[attr-defined]
        return [(entered, "It was entered"), (lambda: made(3), "must run")]


class TestAsyncManager(ReducerContract):
    def make(self) -> Any:
        return doubled_async(3)

    def same(self, sent: Any, received: Any) -> None:
        assert (received.func.__code__, received.args) == (sent.func.__code__, (3,))


def test_a_cache_that_can_be_imported_travels_by_name() -> None:
    """It is the receiver's own, with what that has in it; no node needs anything of ours."""
    before = count_fired()
    data = daskpickle.dumps([imported, 1])
    assert count_fired() == before
    assert b"daskpickle" not in data
    assert pickle.loads(data)[0] is imported


def test_a_cache_whose_function_leads_back_to_it() -> None:
    """Through a cell that it is closed over, or through a global variable."""

    @functools.cache
    def fib(n: int) -> int:
        return n if n < 2 else int(fib(n - 1) + fib(n - 2))

    received = daskpickle.loads(daskpickle.dumps(fib))
    assert received(50) == 12586269025
    assert received.__wrapped__.__closure__[0].cell_contents is received
    module: Any = types.ModuleType("__main__")
    exec(
        "import functools\n"
        "@functools.cache\n"
        "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n",
        vars(module),
    )
    received = daskpickle.loads(daskpickle.dumps(module.fib))
    assert received(50) == 12586269025
    assert received.__wrapped__.__globals__["fib"] is received


def test_a_plain_property_is_none_of_our_types(fresh_process: Callable[..., bytes]) -> None:
    """A class with one runs on a node that lacks daskpickle."""

    class Local:
        @property
        def x(self) -> int:
            return 3

    before = count_fired()
    data = daskpickle.dumps(Local())
    assert count_fired() == before
    code = """
        import pickle, sys
        print(pickle.loads(sys.stdin.buffer.read()).x, "daskpickle" in sys.modules)
    """
    assert fresh_process(code, data) == b"3 False\n"


def test_a_manager_keeps_what_was_set_on_it() -> None:
    """And the class that it is of."""

    class Manager(contextlib._GeneratorContextManager):  # type: ignore[type-arg]
        pass

    made: Any = Manager(doubled.__wrapped__, (3,), {})  # type: ignore[attr-defined]
    made.label = "x"
    received = daskpickle.loads(daskpickle.dumps(made))
    assert type(received) is Manager
    assert received.label == "x"
    with received as x:
        assert x == 6
    with made, pytest.raises(RefusedError, match="entered"):
        daskpickle.dumps(made)


class Parent:
    def __init__(self) -> None:
        self.number = 4

    def get(self) -> Any:
        return "parent", self.number

    @classmethod
    def made(cls) -> Any:
        return cls.__name__


class Child(Parent):
    def get(self) -> Any:
        return "child"

    @classmethod
    def made(cls) -> Any:
        return super()


class TestSuper(ReducerContract):
    def make(self) -> Any:
        return super(Child, Child())

    def same(self, sent: Any, received: Any) -> bool:
        return type(received) is super and bool(received.get() == sent.get())

    @staticmethod
    def use(received: Any) -> Any:
        return received.get()


def test_each_kind_of_super_travels() -> None:
    """Of a class, of none, and of what leads back to it; also its methods."""
    assert daskpickle.loads(daskpickle.dumps(Child.made())).made() == "Child"
    unbound: Any = daskpickle.loads(daskpickle.dumps(super(Child)))
    assert unbound.__self__ is None
    assert unbound.__get__(Child()).get() == ("parent", 4)
    child: Any = Child()
    child.above = super(Child, child)
    received = daskpickle.loads(daskpickle.dumps(child))
    assert received.above.__self__ is received
    assert daskpickle.loads(daskpickle.dumps(child.above.get))() == ("parent", 4)
    assert b"daskpickle" not in daskpickle.dumps(super(Child, Child()))


class Static(staticmethod):  # type: ignore[type-arg]
    """One with a name for what was set on it."""

    tag: Any


class TestStatic(ReducerContract):
    def make(self) -> Any:
        static = Static(len)
        static.tag = [static]
        return static

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Static
        assert (received("ab"), received.__name__) == (2, "len")
        assert received.tag[0] is not None


class TestClassMethod(ReducerContract):
    def make(self) -> Any:
        method: Any = classmethod(len)
        method.tag = 1
        return method

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is classmethod
        assert (received.__func__, vars(received)["tag"]) == (len, 1)
