"""Functions, methods, descriptors, what wraps them, context managers, modules."""

from __future__ import annotations

import abc
import contextlib
import functools
import io
import operator
import os
import threading
import types
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from corpus import Case


def same(expected: Any) -> Callable[[Any], None]:
    """Check that what arrives equals this."""

    def check(received: Any) -> None:
        assert received == expected

    return check


def gives(expected: Any, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
    """Check what a callable returns."""

    def check(received: Any) -> None:
        assert received(*args, **kwargs) == expected

    return check


# --- Wrappers of functools ----------------------------------------------------------------------


def cached(stack: ExitStack) -> Any:
    offset = 1

    @functools.lru_cache(maxsize=7, typed=True)
    def add(x: int) -> int:
        """Say something."""
        calls.append(x)
        return x + offset

    calls: list[int] = []
    add.label = "mine"  # type: ignore[attr-defined]
    add(1)
    return add


def cached_works(received: Any) -> None:
    assert received.cache_info() == (0, 0, 7, 0)
    assert received.cache_parameters() == {"maxsize": 7, "typed": True}
    assert (received(2), received(2), received.__wrapped__(5)) == (3, 3, 6)
    assert received.cache_info().hits == 1
    assert (received.__name__, received.__doc__, received.label) == (
        "add",
        "Say something.",
        "mine",
    )
    received.cache_clear()
    assert received.cache_info() == (0, 0, 7, 0)


@functools.lru_cache
def imported(x: int) -> int:
    """Is found by its name."""
    return x + 1


def is_imported(received: Any) -> None:
    assert received is imported


def cached_of(function: Any) -> Any:
    return functools.lru_cache(None)(function)


def cached_recursive(stack: ExitStack) -> Any:
    @functools.cache
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    fib(5)
    return fib


def recursive_works(received: Any) -> None:
    assert received(60) == 1548008755920
    assert received.cache_info().currsize == 61


def cached_method(stack: ExitStack) -> Any:
    class Adder:
        def __init__(self, number: int) -> None:
            self.number = number

        @functools.lru_cache(2)  # noqa: B019
        def add(self, x: int) -> int:
            return self.number + x

        @functools.cached_property
        def lazy(self) -> list[int]:
            return [self.number]

        @functools.cached_property
        def used(self) -> list[int]:
            return [self.number]

    adder = Adder(3)
    adder.used.append(7)
    return adder


def cached_method_works(received: Any) -> None:
    assert received.add(1) == 4
    assert received.lazy is received.lazy == [3]
    assert received.used == [3, 7]
    other = type(received)(5)
    assert (other.lazy, other.used) == ([5], [5])


def dispatched(stack: ExitStack) -> Any:
    @functools.singledispatch
    def size(x: Any) -> str:
        return "any"

    @size.register
    def _(x: int) -> str:
        return "int"

    @size.register(list)
    def _(x: Any) -> str:
        return "list"

    size([])
    return size


def dispatched_works(received: Any) -> None:
    assert [received(x) for x in ("", 1, True, [])] == ["any", "int", "int", "list"]
    received.register(str, lambda x: "str")
    assert received("") == "str"
    assert received.dispatch(int)(1) == "int"
    assert set(received.registry) == {object, int, list, str}


@functools.singledispatch
def imported_dispatch(x: Any) -> str:
    """Is found by its name."""
    return "any"


def dispatched_method(stack: ExitStack) -> Any:
    class Formatter:
        @functools.singledispatchmethod
        def show(self, x: Any) -> str:
            return "any"

        @show.register
        def _(self, x: int) -> str:
            return "int"

    return Formatter()


def dispatched_method_works(received: Any) -> None:
    assert (received.show(""), received.show(1)) == ("any", "int")


def partial_method(stack: ExitStack) -> Any:
    class Cell:
        state = 0

        def set(self, state: int, by: int = 1) -> int:
            self.state = state * by
            return self.state

        seven = functools.partialmethod(set, 7, by=2)

    return Cell()


def partial_lock(stack: ExitStack) -> Any:
    return functools.partial(lambda lock, x: (lock.acquire(), lock.release(), x), threading.Lock())


def partial_state(stack: ExitStack) -> Any:
    made = functools.partial(sorted, reverse=True)
    made.label = "mine"  # type: ignore[attr-defined]
    return made


def partial_state_works(received: Any) -> None:
    assert received([1, 2]) == [2, 1]
    assert received.label == "mine"
    assert (received.func, received.keywords) == (sorted, {"reverse": True})


def by_length(a: str, b: str) -> int:
    return len(a) - len(b)


def key_of(mine: Any) -> Any:
    return functools.cmp_to_key(mine)


def key_sorts(received: Any) -> None:
    assert sorted(["ccc", "a", "bb"], key=received) == ["a", "bb", "ccc"]


def key_compares(received: Any) -> None:
    assert received.obj == "bb"
    assert received > key_of(by_length)("a")
    assert received == key_of(by_length)("zz")


def key_holds_lock(received: Any) -> None:
    with received.obj:
        pass


# --- Functions and cells ------------------------------------------------------------------------


def counter(stack: ExitStack) -> Any:
    count = 0
    seen: list[int] = []

    def increment() -> int:
        nonlocal count
        count += 1
        seen.append(count)
        return count

    def read() -> tuple[int, list[int]]:
        return count, seen

    return types.SimpleNamespace(increment=increment, read=read)


def counter_works(received: Any) -> None:
    assert received.read() == (0, [])
    received.increment()
    assert received.increment() == 2
    assert received.read() == (2, [1, 2])


def rebinds(stack: ExitStack) -> Any:
    """Two functions share a cell with an object that leads back to them."""

    class Node:
        pass

    node: Any = Node()

    def get() -> Any:
        return node

    def replace() -> Any:
        nonlocal node
        node = 5

    node.get, node.replace = get, replace
    return node


def rebinds_works(received: Any) -> None:
    get = received.get
    assert get() is received
    received.replace()
    assert get() == 5


def even_odd(stack: ExitStack) -> Any:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    return even


def even_odd_works(received: Any) -> None:
    assert (received(4), received(5)) == (True, False)
    (cell,) = received.__closure__
    assert cell.cell_contents.__closure__[0].cell_contents is received


def self_default(stack: ExitStack) -> Any:
    def outer(x: Any = None) -> Any:
        return x

    outer.__defaults__ = (outer,)
    return outer


def self_default_works(received: Any) -> None:
    assert received() is received


def with_lock(stack: ExitStack) -> Any:
    lock = threading.Lock()

    def guarded(x: int) -> int:
        with lock:
            return x + 1

    return guarded


def filled_cell(stack: ExitStack) -> Any:
    return types.CellType([1])


def cell_works(received: Any) -> None:
    assert received.cell_contents == [1]


def empty_cell(received: Any) -> None:
    try:
        _ = received.cell_contents
    except ValueError:
        return
    raise AssertionError("It is not empty.")


def same_cell(stack: ExitStack) -> Any:
    cell = types.CellType(1)
    return [cell, cell, types.CellType(cell)]


def same_cell_works(received: Any) -> None:
    first, second, third = received
    assert first is second is third.cell_contents


def own_cell(stack: ExitStack) -> Any:
    cell: Any = types.CellType()
    cell.cell_contents = cell
    return cell


def wrapped(stack: ExitStack) -> Any:
    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def outer(*args: Any) -> Any:
            return [function(*args)]

        return outer

    @decorate
    def inner(x: int) -> int:
        """Document it."""
        return x + 1

    return inner


def wrapped_works(received: Any) -> None:
    assert received(1) == [2]
    assert received.__wrapped__(1) == 2
    assert (received.__name__, received.__doc__) == ("inner", "Document it.")


def coroutine_function(stack: ExitStack) -> Any:
    async def answer() -> int:
        return 42

    return answer


def generator_function(stack: ExitStack) -> Any:
    def numbers(n: int) -> Any:
        yield from range(n)

    return numbers


# --- Methods ------------------------------------------------------------------------------------


class Renamed:
    """Its method has another name than it says, and a private one."""

    def __init__(self, number: int = 3) -> None:
        self.number = number

    def _get(self) -> int:
        return self.number

    fetch = _get
    del _get

    def __hidden(self) -> int:
        return self.number

    def hidden(self) -> Any:
        return self.__hidden

    @classmethod
    def make(cls) -> Any:
        return cls

    @staticmethod
    def plain(x: int) -> int:
        return x

    @property
    def doubled(self) -> int:
        return 2 * self.number


class Derived(Renamed):
    """Overrides what a bound method of its base is bound to."""

    def hidden(self) -> Any:
        return None


def base_method(stack: ExitStack) -> Any:
    return super(Derived, Derived(4)).hidden


class Slotted:
    """Has slots."""

    __slots__ = ("x",)


def local_methods(stack: ExitStack) -> Any:
    class Local:
        x = 3

        @classmethod
        def make(cls) -> Any:
            return cls.x

        @staticmethod
        def plain(x: int) -> int:
            return x

        @property
        def doubled(self) -> int:
            return 2 * self.x

        def own(self) -> int:
            return self.x

        def closes(self) -> Any:
            return __class__  # type: ignore[name-defined]

    return Local


def getset_works(received: Any) -> None:
    obj = received.__objclass__()
    obj.y = 1
    assert received.__get__(obj) == {"y": 1}


def with_slots(stack: ExitStack) -> Any:
    class Local:
        __slots__ = ("x",)

    return Local


def lock_method(stack: ExitStack) -> Any:
    lock = threading.Lock()
    return {"lock": lock, "acquire": lock.acquire, "release": lock.release}


def lock_method_works(received: Any) -> None:
    assert received["acquire"]()
    assert received["lock"].locked()
    received["release"]()
    assert not received["lock"].locked()


def acquires(received: Any) -> None:
    assert received()
    received.__self__.release()


def reads(stack: ExitStack) -> Any:
    source = io.StringIO("one\ntwo\n")
    source.readline()
    return source.readline


def appends(stack: ExitStack) -> Any:
    target = [1]
    return [target, target.append]


def appends_works(received: Any) -> None:
    received[1](2)
    assert received[0] == [1, 2]


def get_of(name: str) -> Callable[[Any], None]:
    """Check a staticmethod, classmethod, property and the like in a class of their own."""

    def check(received: Any) -> None:
        cls: Any = type("Made", (), {"x": 3, "attribute": received})
        if name == "static":
            assert cls.attribute(5) == 5
        elif name == "class":
            assert cls.attribute() == 3
        else:
            assert cls().attribute == 6

    return check


def property_of(stack: ExitStack) -> Any:
    class Local:
        def __init__(self) -> None:
            self.held = 1

        @property
        def x(self) -> int:
            """Document it."""
            return self.held

        @x.setter
        def x(self, value: int) -> None:
            self.held = value

        @x.deleter
        def x(self) -> None:
            self.held = 0

    return Local()


def property_works(received: Any) -> None:
    received.x = 5
    assert received.x == 5
    del received.x
    assert received.x == 0
    assert type(received).x.__doc__ == "Document it."


def dynamic_attribute(stack: ExitStack) -> Any:
    return types.DynamicClassAttribute(lambda self: 6)


def own_property(stack: ExitStack) -> Any:
    class Noted(property):
        pass

    made = Noted(lambda self: 6, doc="x")
    made.note = 1  # type: ignore[attr-defined]
    return made


def own_property_works(received: Any) -> None:
    assert received.fget(None) == 6
    assert received.note == 1


def noted_static(stack: ExitStack) -> Any:
    made = staticmethod(lambda x: x)
    made.note = 1  # type: ignore[attr-defined]
    return made


def noted_static_works(received: Any) -> None:
    assert received.__func__(5) == 5
    assert received.note == 1


# --- Context managers ---------------------------------------------------------------------------


@contextlib.contextmanager
def opened(x: int) -> Any:
    """Yield twice that."""
    yield 2 * x


def manager(stack: ExitStack) -> Any:
    return opened(3)


def local_manager(stack: ExitStack) -> Any:
    @contextlib.contextmanager
    def tag(name: str, log: list[str]) -> Any:
        log.append(name)
        yield log
        log.append("/" + name)

    return tag("a", log=[])


def entered(stack: ExitStack) -> Any:
    made = opened(3)
    stack.enter_context(made)
    return made


def manager_works(received: Any) -> None:
    with received as x:
        assert x == 6


def local_manager_works(received: Any) -> None:
    with received as log:
        assert log == ["a"]
    assert log == ["a", "/a"]


def decorates(received: Any) -> None:
    calls: list[int] = []
    received(lambda: calls.append(1))()
    received(lambda: calls.append(2))()
    assert calls == [1, 2]


@contextlib.asynccontextmanager
async def opened_async(x: int) -> Any:
    """Yield twice that."""
    yield 2 * x


def async_works(received: Any) -> None:
    import asyncio

    async def use() -> int:
        async with received as x:
            return int(x)

    assert asyncio.run(use()) == 6


def exit_stack(stack: ExitStack) -> Any:
    made = contextlib.ExitStack()
    made.callback(list.append, log := [], 1)
    made.enter_context(contextlib.suppress(KeyError))
    made.log = log  # type: ignore[attr-defined]
    return made


def exit_stack_works(received: Any) -> None:
    with received:
        raise KeyError
    assert received.log == [1]


def redirect(stack: ExitStack) -> Any:
    return contextlib.redirect_stdout(io.StringIO())


def redirect_works(received: Any) -> None:
    with received as out:
        print("x")
    assert out.getvalue() == "x\n"


def closing(stack: ExitStack) -> Any:
    return contextlib.closing(io.StringIO("x"))


def closing_works(received: Any) -> None:
    with received as source:
        assert source.read() == "x"
    assert source.closed


def suppress_works(received: Any) -> None:
    with received:
        raise KeyError


def ticking(stack: ExitStack) -> Any:
    class Ticking(contextlib.ContextDecorator):
        count = 0

        def __enter__(self) -> Any:
            self.count += 1
            return self

        def __exit__(self, *exc: Any) -> None:
            pass

    return Ticking()


def ticking_works(received: Any) -> None:
    assert received(lambda: 5)() == 5
    assert received.count == 1


# --- Others -------------------------------------------------------------------------------------


def namespace(stack: ExitStack) -> Any:
    made = types.SimpleNamespace(lock=threading.Lock(), f=lambda: 1)
    made.me = made
    return made


def namespace_works(received: Any) -> None:
    assert received.me is received
    assert received.f() == 1
    with received.lock:
        pass


def module(stack: ExitStack) -> Any:
    made: Any = types.ModuleType("made_up", "Document it.")
    exec("x = 3\ndef f(): return x", vars(made))
    return made


def module_works(received: Any) -> None:
    assert received.__name__ == "made_up"
    assert (received.f(), received.x, received.__doc__) == (3, 3, "Document it.")


def code_works(received: Any) -> None:
    assert eval(received) == 3


def item(stack: ExitStack) -> Any:
    return operator.methodcaller("split", sep=",", maxsplit=1)


CASES = [
    Case("lru_cache.local", cached, cached_works),
    Case("lru_cache.imported", lambda stack: imported, is_imported),
    Case("lru_cache.recursive", cached_recursive, recursive_works),
    Case("lru_cache.method", cached_method, cached_method_works),
    Case("lru_cache.builtin", lambda stack: cached_of(len), gives(2, "ab")),
    Case("lru_cache.imported_function", lambda stack: cached_of(by_length), gives(0, "b", "a")),
    Case("lru_cache.bound_method", lambda stack: cached_of(Renamed(4).fetch), gives(4)),
    Case("lru_cache.partial", lambda stack: cached_of(functools.partial(pow, 2)), gives(8, 3)),
    Case("lru_cache.bound", lambda stack: cached_method(stack).add, gives(5, 2)),
    Case("singledispatch.local", dispatched, dispatched_works),
    Case("singledispatch.imported", lambda stack: imported_dispatch, gives("any", 1)),
    Case("singledispatchmethod", dispatched_method, dispatched_method_works),
    Case(
        "singledispatchmethod.itself",
        lambda stack: vars(type(dispatched_method(stack)))["show"],
        lambda f: dispatched_method_works(type("T", (), {"show": f})()),
    ),
    Case("partialmethod", partial_method, lambda c: same(14)(c.seven())),
    Case(
        "partialmethod.itself",
        lambda stack: vars(type(partial_method(stack)))["seven"],
        lambda m: same(((7,), {"by": 2}))((m.args, m.keywords)),
    ),
    Case(
        "cached_property.itself",
        lambda stack: functools.cached_property(lambda self: 6),
        lambda p: same(6)(p.func(None)),
    ),
    Case("partial.lock", partial_lock, gives((True, None, 1), 1)),
    Case("partial.state", partial_state, partial_state_works),
    Case("cmp_to_key", lambda stack: key_of(by_length), key_sorts),
    Case("cmp_to_key.local", lambda stack: key_of(lambda a, b: len(a) - len(b)), key_sorts),
    Case("cmp_to_key.object", lambda stack: key_of(by_length)("bb"), key_compares),
    Case(
        "cmp_to_key.object.lock", lambda stack: key_of(by_length)(threading.Lock()), key_holds_lock
    ),
    Case(
        "total_ordering",
        lambda stack: functools.total_ordering(type("T", (), {"__lt__": lambda s, o: True})),
        lambda cls: same(True)(cls() <= cls()),
    ),
    Case("closures.counter", counter, counter_works),
    Case("closures.rebind", rebinds, rebinds_works),
    Case("closures.even_odd", even_odd, even_odd_works),
    Case("closures.lock", with_lock, gives(2, 1)),
    Case("default.itself", self_default, self_default_works),
    Case("cell", filled_cell, cell_works),
    Case("cell.empty", lambda stack: types.CellType(), empty_cell),
    Case("cell.same", same_cell, same_cell_works),
    Case("cell.own", own_cell, lambda c: same(True)(c.cell_contents is c)),
    Case("wrapped", wrapped, wrapped_works),
    Case(
        "coroutine_function",
        coroutine_function,
        lambda f: same((0, "answer"))((f.__code__.co_argcount, f.__name__)),
    ),
    Case("generator_function", generator_function, lambda f: same([0, 1])(list(f(2)))),
    Case("lambda", lambda stack: lambda x, *, y=2: x + y, gives(3, 1)),
    Case("code", lambda stack: compile("1 + 2", "x", "eval"), code_works),
    Case("builtin", lambda stack: len, same(len)),
    Case("builtin.os", lambda stack: os.getpid, same(os.getpid)),
    Case("type.method", lambda stack: dict.fromkeys, gives({1: None}, [1])),
    Case("method", lambda stack: Renamed(4).hidden, lambda m: same(4)(m()())),
    Case("method.renamed", lambda stack: Renamed(4).fetch, gives(4)),
    Case("method.private", lambda stack: Renamed(4).hidden(), gives(4)),
    Case("method.of_base", base_method, lambda m: same(4)(m()())),
    Case("method.class", lambda stack: Renamed.make, gives(Renamed)),
    Case("method.class.derived", lambda stack: Derived.make, gives(Derived)),
    Case("method.local", lambda stack: local_methods(stack)().own, gives(3)),
    Case("method.local.class", lambda stack: local_methods(stack).make, gives(3)),
    Case(
        "method.local.closes",
        lambda stack: local_methods(stack)().closes,
        lambda m: same(m())(type(m.__self__)),
    ),
    Case("method.made", lambda stack: types.MethodType(pow, 2), gives(8, 3)),
    Case("method.lambda", lambda stack: types.MethodType(lambda self, x: self + x, 2), gives(5, 3)),
    Case("method.partial", lambda stack: types.MethodType(functools.partial(pow, 2), 3), gives(8)),
    Case("method.lock", lock_method, lock_method_works),
    Case("method.lock.alone", lambda stack: threading.Lock().acquire, acquires),
    Case("method.rlock", lambda stack: threading.RLock().acquire, acquires),
    Case("method.event", lambda stack: threading.Event().is_set, gives(False)),
    Case("method.read", reads, gives("two\n")),
    Case("method.append", appends, appends_works),
    Case("method.str", lambda stack: "a,b".split, gives(["a", "b"], ",")),
    Case("method.dict", lambda stack: {"a": 1}.get, gives(1, "a")),
    Case("method.wrapper", lambda stack: (5).__add__, gives(7, 2)),
    Case("method.wrapper.list", lambda stack: [1].__len__, gives(1)),
    Case("method.wrapper.lambda", lambda stack: (lambda x: x).__call__, gives(1, 1)),
    Case("method.descriptor", lambda stack: str.upper, gives("A", "a")),
    Case("method.slot_wrapper", lambda stack: int.__add__, gives(3, 1, 2)),
    Case(
        "method.classmethod_descriptor",
        lambda stack: vars(dict)["fromkeys"],
        lambda d: same({1: None})(d.__get__(None, dict)([1])),
    ),
    Case(
        "descriptor.getset",
        lambda stack: vars(type)["__dict__"],
        lambda d: same(3)(d.__get__(type("T", (), {"x": 3}))["x"]),
    ),
    Case(
        "descriptor.getset.function",
        lambda stack: types.FunctionType.__code__,
        same(types.FunctionType.__code__),
    ),
    Case(
        "descriptor.getset.local",
        lambda stack: vars(local_methods(stack))["__dict__"],
        getset_works,
    ),
    Case("descriptor.member", lambda stack: Slotted.x, same(Slotted.x)),
    Case(
        "descriptor.member.function",
        lambda stack: types.FunctionType.__globals__,
        same(types.FunctionType.__globals__),
    ),
    Case(
        "descriptor.member.local",
        lambda stack: with_slots(stack).x,
        lambda d: same("x")(d.__name__),
    ),
    Case(
        "descriptor.wrapper.local",
        lambda stack: local_methods(stack).__init__,
        lambda d: same("__init__")(d.__name__),
    ),
    Case("staticmethod", lambda stack: vars(Renamed)["plain"], get_of("static")),
    Case("staticmethod.local", lambda stack: vars(local_methods(stack))["plain"], get_of("static")),
    Case("staticmethod.attributes", noted_static, noted_static_works),
    Case("classmethod", lambda stack: classmethod(lambda cls: cls.x), get_of("class")),
    Case("classmethod.local", lambda stack: vars(local_methods(stack))["make"], get_of("class")),
    Case("property", lambda stack: property(lambda self: 2 * self.x), get_of("property")),
    Case("property.local", property_of, property_works),
    Case("property.own", own_property, own_property_works),
    Case(
        "property.abstract",
        lambda stack: abc.abstractproperty(lambda self: 6),
        lambda p: same((6, True))((p.fget(None), p.__isabstractmethod__)),
    ),
    Case("property.dynamic", dynamic_attribute, get_of("property")),
    Case(
        "operator.attrgetter", lambda stack: operator.attrgetter("real", "imag"), gives((1, 0), 1)
    ),
    Case("operator.itemgetter", lambda stack: operator.itemgetter(slice(1)), gives("a", "ab")),
    Case("operator.methodcaller", lambda stack: operator.methodcaller("upper"), gives("A", "a")),
    Case("operator.methodcaller.keywords", item, gives(["a", "b,c"], "a,b,c")),
    Case("contextmanager.function", lambda stack: opened, same(opened)),
    Case("contextmanager", manager, manager_works),
    Case("contextmanager.decorates", manager, decorates),
    Case("contextmanager.local", local_manager, local_manager_works),
    Case("contextmanager.entered", entered, refused="entered"),
    Case("asynccontextmanager", lambda stack: opened_async(3), async_works),
    Case("exitstack", exit_stack, exit_stack_works),
    Case("exitstack.empty", lambda stack: contextlib.AsyncExitStack(), lambda s: s.callback(print)),
    Case("redirect_stdout", redirect, redirect_works),
    Case(
        "redirect_stderr",
        lambda stack: contextlib.redirect_stderr(io.StringIO()),
        lambda r: r._new_target.write("x"),
    ),
    Case("closing", closing, closing_works),
    Case("suppress", lambda stack: contextlib.suppress(KeyError, ValueError), suppress_works),
    Case("nullcontext", lambda stack: contextlib.nullcontext(5), lambda c: same(5)(c.__enter__())),
    Case("contextdecorator", ticking, ticking_works),
    Case(
        "chdir",
        lambda stack: contextlib.chdir("/"),
        lambda c: same("/")(c.path),
        versions=((3, 11), (3, 99)),
    ),
    Case("namespace", namespace, namespace_works),
    Case("module", lambda stack: os.path, same(os.path)),
    Case("module.made", module, module_works),
    Case(
        "frame",
        lambda stack: stack.callback(print) and __import__("sys")._getframe(),
        refused="call of this process",
    ),
]
