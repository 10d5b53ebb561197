"""Classes of functions and scripts, their instances; types without a name; typing; sentinels."""

from __future__ import annotations

import abc
import collections
import collections.abc
import configparser
import dataclasses
import enum
import inspect
import re
import socket
import sys
import threading
import types
import typing
import unittest.mock
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Generic, TypeVar

from corpus import Case

T = TypeVar("T")
S = TypeVar("S", bound=int)
P = typing.ParamSpec("P")
NOTHING = object()
UserId = typing.NewType("UserId", int)


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


def identical(expected: Any) -> Callable[[Any], None]:
    """Check that the receiver's own arrives."""

    def check(received: Any) -> None:
        assert received is expected, received

    return check


def same(expected: Any) -> Callable[[Any], None]:
    """Check that what arrives equals this."""

    def check(received: Any) -> None:
        assert received == expected, received

    return check


# --- Instances of local classes -----------------------------------------------------------------


def slotted(stack: ExitStack) -> Any:
    @dataclasses.dataclass(slots=True)
    class Slotted:
        x: int
        y: list[int] = dataclasses.field(default_factory=list)

    return Slotted(1)


def slotted_works(received: Any) -> None:
    assert (received.x, received.y) == (1, [])
    assert not hasattr(received, "__dict__")
    assert received == type(received)(1)
    assert repr(received).endswith("Slotted(x=1, y=[])")
    assert [f.name for f in dataclasses.fields(received)] == ["x", "y"]
    try:
        received.z = 1
    except AttributeError:
        return
    raise AssertionError("It has no slots.")


def frozen(stack: ExitStack) -> Any:
    @dataclasses.dataclass(frozen=True, order=True, slots=True)
    class Frozen:
        x: int
        y: str = "y"

    return Frozen(1)


def frozen_works(received: Any) -> None:
    assert received < type(received)(2)
    assert hash(received) == hash(type(received)(1))
    try:
        received.x = 2
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError("It is not frozen.")


def plain_slots(stack: ExitStack) -> Any:
    class Base:
        __slots__ = ("__private", "a")

        def __init__(self) -> None:
            self.a, self.__private = 1, 2

        def get(self) -> Any:
            return self.a, self.__private

    class Derived(Base):
        __slots__ = {"b": "documented"}

    made = Derived()
    made.b = threading.Lock()
    return made


def plain_slots_works(received: Any) -> None:
    assert received.get() == (1, 2)
    with received.b:
        pass
    assert not hasattr(received, "__dict__")
    assert inspect.getdoc(type(received).b) == "documented"


def weak_slots(stack: ExitStack) -> Any:
    class Local:
        __slots__ = ("__dict__", "__weakref__", "a")

    made = Local()
    made.a, made.b = 1, 2  # type: ignore[attr-defined]
    return made


def weak_slots_works(received: Any) -> None:
    import weakref

    assert (received.a, received.b, vars(received)) == (1, 2, {"b": 2})
    assert weakref.ref(received)() is received


def one_slot(stack: ExitStack) -> Any:
    class Local:
        __slots__ = "value"

    made = Local()
    made.value = 3
    return made


def keyword_data(stack: ExitStack) -> Any:
    @dataclasses.dataclass
    class Local:
        x: int
        _: dataclasses.KW_ONLY
        y: dataclasses.InitVar[int] = 3
        z: typing.ClassVar[int] = 5

        def __post_init__(self, y: int) -> None:
            self.x += y

    return Local(1)


def keyword_data_works(received: Any) -> None:
    assert received.x == 4
    assert type(received)(1, y=1).x == 2
    assert [f.name for f in dataclasses.fields(received)] == ["x"]
    assert dataclasses.replace(received, x=5, y=0).x == 5
    assert dataclasses.fields(received)[0].default is dataclasses.MISSING


def flags(stack: ExitStack) -> Any:
    class Flags(enum.Flag):
        A = enum.auto()
        B = enum.auto()

        @property
        def lower(self) -> str:
            return str(self.name).lower()

    return Flags


def int_enum(stack: ExitStack) -> Any:
    class Number(enum.IntEnum):
        ONE = 1
        UNO = 1
        TWO = 2

        @classmethod
        def first(cls) -> Any:
            return cls.ONE

    return Number


def tuple_enum(stack: ExitStack) -> Any:
    class Planet(enum.Enum):
        EARTH = (1.0, 2.0)
        MARS = (3.0, 4.0)

        def __init__(self, mass: float, radius: float) -> None:
            self.mass = mass
            self.radius = radius

    return Planet


def flag_works(received: Any) -> None:
    cls = type(received)
    assert received is cls.A
    assert (cls.A | cls.B) & cls.A is cls.A
    assert (received.lower, list(cls), cls["B"]) == ("a", [cls.A, cls.B], cls.B)


def flags_works(received: Any) -> None:
    cls = type(received)
    assert received == cls.A | cls.B
    assert cls.A in received


def number_works(received: Any) -> None:
    cls = type(received)
    assert received is cls.TWO is cls(2)
    assert received + 1 == 3
    assert cls.UNO is cls.ONE is cls.first()
    assert list(cls) == [1, 2]


def planet_works(received: Any) -> None:
    cls = type(received)
    assert received is cls.MARS
    assert (received.mass, received.radius, received.value) == (3.0, 4.0, (3.0, 4.0))


def named(stack: ExitStack) -> Any:
    Local = collections.namedtuple("Local", "x y", defaults=[2])
    return Local(1)


def typed(stack: ExitStack) -> Any:
    class Typed(typing.NamedTuple):
        x: int
        y: str = "y"

        def both(self) -> str:
            return f"{self.x}{self.y}"

    return Typed(1)


def named_works(received: Any) -> None:
    assert received == (1, 2)
    assert received._replace(x=3)._asdict() == {"x": 3, "y": 2}
    assert (type(received)._fields, type(received)(5)) == (("x", "y"), (5, 2))


def typed_works(received: Any) -> None:
    assert received == (1, "y")
    assert received.both() == "1y"
    assert typing.get_type_hints(type(received)) == {"x": int, "y": str}


def typed_dict(stack: ExitStack) -> Any:
    class Movie(typing.TypedDict, total=False):
        name: str
        year: int

    return Movie


def typed_dict_works(received: Any) -> None:
    assert received(name="x") == {"name": "x"}
    assert received.__total__ is False
    assert received.__optional_keys__ == {"name", "year"}
    assert typing.is_typeddict(received)


def abstract(stack: ExitStack) -> Any:
    class Base(abc.ABC):
        @abc.abstractmethod
        def run(self) -> int: ...

        @property
        @abc.abstractmethod
        def name(self) -> str: ...

    class Impl(Base):
        def run(self) -> int:
            return 5

        @property
        def name(self) -> str:
            return "impl"

    Base.register(int)
    return [Base, Impl()]


def abstract_works(received: Any) -> None:
    base, made = received
    assert isinstance(made, base)
    assert (made.run(), made.name, issubclass(int, base)) == (5, "impl", True)
    assert base.__abstractmethods__ == {"run", "name"}
    try:
        base()
    except TypeError:
        return
    raise AssertionError("It is not abstract.")


def protocol(stack: ExitStack) -> Any:
    @typing.runtime_checkable
    class Closes(typing.Protocol):
        def close(self) -> None: ...

    return Closes


def protocol_works(received: Any) -> None:
    assert isinstance(socket.socket, received) or issubclass(socket.socket, received)
    assert not issubclass(int, received)


def generic(stack: ExitStack) -> Any:
    class Box(Generic[T]):
        def __init__(self, item: T) -> None:
            self.item = item

    return Box[int](5)


def generic_works(received: Any) -> None:
    assert received.item == 5
    assert received.__orig_class__.__args__ == (int,)
    assert type(received)[str]("x").item == "x"
    assert type(received).__parameters__ == (T,)


def with_metaclass(stack: ExitStack) -> Any:
    class Meta(type):
        def __new__(mcs, name: str, bases: Any, namespace: Any, **kwargs: Any) -> Any:
            return super().__new__(mcs, name, bases, {**namespace, "added": 1})

        def __call__(cls, *args: Any) -> Any:
            made = super().__call__(*args)
            made.called = True
            return made

        def __len__(cls) -> int:
            return 7

    class Local(metaclass=Meta):
        def base(self) -> Any:
            return super().__init__

    return Local()


def metaclass_works(received: Any) -> None:
    assert (received.added, received.called, len(type(received))) == (1, True, 7)
    assert type(received)().called
    received.base()()


def registering(stack: ExitStack) -> Any:
    class Base:
        known: list[Any] = []

        def __init_subclass__(cls, **kwargs: Any) -> None:
            cls.known.append(cls.__name__)

        def __class_getitem__(cls, item: Any) -> Any:
            return cls.__name__, item

    class Local(Base):
        pass

    return Local


def nested(stack: ExitStack) -> Any:
    class Outer:
        class Inner:
            def outer(self) -> Any:
                return Outer

        inner = Inner()

    return Outer()


def nested_works(received: Any) -> None:
    assert received.inner.outer() is type(received)
    assert type(received.inner).__qualname__.endswith("Outer.Inner")
    assert type(received).Inner is type(received.inner)


def descriptor(stack: ExitStack) -> Any:
    class Positive:
        def __set_name__(self, owner: Any, name: str) -> None:
            self.name = "_" + name

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else getattr(obj, self.name)

        def __set__(self, obj: Any, value: int) -> None:
            setattr(obj, self.name, abs(value))

    class Local:
        x = Positive()

    made = Local()
    made.x = -3
    return made


def descriptor_works(received: Any) -> None:
    assert received.x == 3
    received.x = -5
    assert received.x == 5


def list_of_own(stack: ExitStack) -> Any:
    class Items(list[Any]):
        __slots__ = ("name",)

    made = Items([1, 2])
    made.name = "x"
    return made


def main_class(stack: ExitStack) -> Any:
    module: Any = types.ModuleType("__main__")
    source = (
        "class K:\n    __slots__ = ('x',)\n    def get(self): return self.x, NAMES\nNAMES = [1]\n"
    )
    exec(source, vars(module))
    made = module.K()
    made.x = 1
    return made


# --- Types that are not found under their name --------------------------------------------------


def type_of(make: Callable[[], Any]) -> Case:
    cls = type(make())
    name = f"type.{cls.__module__}.{cls.__qualname__}"
    return Case(
        name, lambda stack: type(make()), lambda received: identical(type(make()))(received)
    )


def generator() -> Any:
    yield


async def coroutine() -> Any:
    pass


async def async_generator() -> Any:
    yield


def closed(made: Any) -> Any:
    made.close()
    return made


def cell() -> Any:
    return (lambda: made).__closure__[0]  # type: ignore[index]


made = None
ANONYMOUS: list[Callable[[], Any]] = [
    threading.Lock,
    threading.RLock,
    lambda: {}.keys(),
    lambda: {}.values(),
    lambda: {}.items(),
    lambda: collections.OrderedDict().keys(),
    lambda: collections.OrderedDict().values(),
    lambda: collections.OrderedDict().items(),
    lambda: lambda: None,
    lambda: len,
    lambda: [].append,
    lambda: str.upper,
    lambda: int.__add__,
    lambda: (1).__add__,
    lambda: vars(dict)["fromkeys"],
    lambda: types.FunctionType.__code__,
    lambda: types.FunctionType.__globals__,
    lambda: generator(),
    lambda: closed(coroutine()),
    lambda: async_generator(),
    lambda: types.CellType(),
    lambda: compile("1", "x", "eval"),
    lambda: sys._getframe(),
    lambda: sys,
    lambda: types.MappingProxyType({}),
    lambda: types.SimpleNamespace(),
    lambda: list[int],
    lambda: int | str,
    lambda: NotImplemented,
    lambda: ...,
    lambda: None,
    lambda: iter([]),
    lambda: iter(()),
    lambda: iter({}),
    lambda: iter({}.values()),
    lambda: iter(set()),
    lambda: iter(range(1)),
    lambda: iter(range(2**70)),
    lambda: iter(""),
    lambda: iter("\u1234"),
    lambda: iter(b""),
    lambda: iter(bytearray()),
    lambda: iter(memoryview(b"")),
    lambda: iter(int, 1),
    lambda: reversed([]),
    lambda: reversed({}),
    lambda: iter(collections.deque()),
    lambda: iter(collections.OrderedDict()),
    lambda: re.compile("x"),
    lambda: re.match("", ""),
    lambda: collections.abc.Callable[[int], int],
    lambda: typing.Union[int, str],  # noqa: UP007
    lambda: typing.List[int],  # noqa: UP006
    lambda: sys.flags,
    lambda: sys.version_info,
    lambda: sys.implementation,
    lambda: sys.hash_info,
    lambda: dataclasses.MISSING,
    lambda: typing.Any,
    lambda: typing.TypeVar("X"),
    lambda: property(),
    lambda: super(int, 1),
    lambda: classmethod(len),
    lambda: staticmethod(len),
    lambda: memoryview(b""),
]


# --- typing ---------------------------------------------------------------------------------------


def local_var(stack: ExitStack) -> Any:
    V = TypeVar("V", bound=int, covariant=True)
    return [V, list[V], V]


def local_var_works(received: Any) -> None:
    var, alias, again = received
    assert var is again is alias.__args__[0]
    assert (var.__name__, var.__bound__, var.__covariant__) == ("V", int, True)


def local_spec(stack: ExitStack) -> Any:
    Q = typing.ParamSpec("Q")  # noqa: N806
    return [Q, Callable[Q, int], Q.args, Q.kwargs, typing.Concatenate[int, Q]]


def local_spec_works(received: Any) -> None:
    spec, function, args, kwargs, joined = received
    assert function.__args__ == (spec, int)
    assert function[[str]].__args__ == (str, int)
    assert (args.__origin__, kwargs.__origin__) == (spec, spec)
    assert joined.__args__ == (int, spec)


def local_tuple(stack: ExitStack) -> Any:
    Ts = typing.TypeVarTuple("Ts")  # noqa: N806
    return [Ts, tuple[typing.Unpack[Ts]]]


def local_tuple_works(received: Any) -> None:
    var, alias = received
    assert var.__name__ == "Ts"
    assert alias.__parameters__ == (var,)
    assert alias[int, str] == tuple[int, str]


def new_type(stack: ExitStack) -> Any:
    return typing.NewType("Local", int)


def new_type_works(received: Any) -> None:
    assert received(5) == 5
    assert (received.__name__, received.__supertype__) == ("Local", int)


def alias_type(stack: ExitStack) -> Any:
    namespace: dict[str, Any] = {"__name__": __name__}
    exec("def make():\n    type Pair[A] = tuple[A, A]\n    return Pair", namespace)
    return namespace["make"]()


def alias_type_works(received: Any) -> None:
    (var,) = received.__type_params__
    assert (received.__name__, received.__value__) == ("Pair", tuple[var, var])
    assert received[int].__args__ == (int,)


def recursive_alias_works(received: Any) -> None:
    assert received.__value__ == int | list[received]


def recursive_alias(stack: ExitStack) -> Any:
    namespace: dict[str, Any] = {"__name__": __name__}
    exec("def make():\n    type Tree = int | list[Tree]\n    return Tree", namespace)
    return namespace["make"]()


def generic_312(stack: ExitStack) -> Any:
    namespace: dict[str, Any] = {"__name__": __name__}
    source = """
def make():
    class Box[A: int = bool]:
        def __init__(self, item: A): self.item = item
        def map[B](self, f: B) -> B: return f
    return Box
"""
    exec(source if sys.version_info >= (3, 13) else source.replace(" = bool", ""), namespace)
    return namespace["make"]()[int](5)


def generic_312_works(received: Any) -> None:
    cls = type(received)
    assert received.item == 5
    (var,) = cls.__type_params__
    assert (var.__name__, var.__bound__, cls.__parameters__) == ("A", int, (var,))
    assert cls.map.__type_params__[0].__name__ == "B"
    if sys.version_info >= (3, 13):
        assert var.__default__ is bool


def signature(stack: ExitStack) -> Any:
    def f(x: int, *args: Any, y: Any = NOTHING) -> None: ...

    return inspect.signature(f)


def signature_works(received: Any) -> None:
    assert list(received.parameters) == ["x", "args", "y"]
    assert received.parameters["x"].default is inspect.Parameter.empty
    assert received.parameters["y"].default is NOTHING
    assert received.parameters["args"].kind is inspect.Parameter.VAR_POSITIONAL
    assert received.bind(1, 2, y=3).arguments == {"x": 1, "args": (2,), "y": 3}


def typing_case(name: str, make: Callable[[], Any], **kwargs: Any) -> Case:
    return Case(
        f"typing.{name}", lambda stack: make(), lambda received: same(make())(received), **kwargs
    )


SINCE_311: Any = ((3, 11), (3, 99))
SINCE_312: Any = ((3, 12), (3, 99))
SINCE_313: Any = ((3, 13), (3, 99))

TYPING = [
    typing_case("TypeVar", lambda: T),
    typing_case("ParamSpec", lambda: P),
    typing_case("ParamSpec.args", lambda: P.args),
    typing_case("NewType", lambda: UserId),
    typing_case("ForwardRef", lambda: typing.ForwardRef("int | None")),
    typing_case("Annotated", lambda: typing.Annotated[int, "x", 5]),
    typing_case("Annotated.nested", lambda: list[typing.Annotated[T, ("x",)]]),
    typing_case("Concatenate", lambda: typing.Concatenate[int, P]),
    typing_case("Callable", lambda: typing.Callable[[int, str], bool]),
    typing_case("Callable.any", lambda: typing.Callable[..., Any]),
    typing_case("Callable.P", lambda: typing.Callable[P, T]),
    typing_case("Callable.Concatenate", lambda: typing.Callable[typing.Concatenate[int, P], T]),
    typing_case("abc.Callable", lambda: collections.abc.Callable[[int], str]),
    typing_case("abc.Callable.P", lambda: collections.abc.Callable[P, str]),
    typing_case("Literal", lambda: typing.Literal["a", 1, None]),
    typing_case("Optional", lambda: typing.Optional[int]),  # noqa: UP045
    typing_case("Union", lambda: typing.Union[int, "str", T]),
    typing_case("UnionType", lambda: int | None),
    typing_case("UnionType.generic", lambda: list[int] | dict[str, T]),
    typing_case("GenericAlias", lambda: dict[str, list[int]]),
    typing_case("GenericAlias.forward", lambda: list["int"]),
    typing_case("GenericAlias.TypeVar", lambda: tuple[T, ...]),
    typing_case("List", lambda: typing.List[int]),  # noqa: UP006
    typing_case("List.bare", lambda: typing.List),  # noqa: UP006
    typing_case("Type", lambda: typing.Type[int]),  # noqa: UP006
    typing_case("ClassVar", lambda: typing.ClassVar[int]),
    typing_case("Final", lambda: typing.Final[int]),
    typing_case("TypeGuard", lambda: typing.TypeGuard[int]),
    typing_case("Any", lambda: typing.Any),
    typing_case("NoReturn", lambda: typing.NoReturn),
    typing_case("Pattern", lambda: re.Pattern[str]),
    typing_case("AnyStr", lambda: typing.AnyStr),
    typing_case("Self", lambda: typing.Self, versions=SINCE_311),
    typing_case("Never", lambda: typing.Never, versions=SINCE_311),
    typing_case("Required", lambda: typing.Required[int], versions=SINCE_311),
    typing_case("Unpack", lambda: typing.Unpack[tuple[int, str]], versions=SINCE_311),
    typing_case("star", lambda: next(iter(tuple[int, str])), versions=SINCE_311),
    typing_case("ReadOnly", lambda: typing.ReadOnly[int], versions=SINCE_313),
    typing_case("TypeIs", lambda: typing.TypeIs[int], versions=SINCE_313),
    Case(
        "typing.NoDefault",
        lambda stack: typing.NoDefault,
        lambda d: identical(typing.NoDefault)(d),
        versions=SINCE_313,
    ),
    Case("typing.TypeVar.local", local_var, local_var_works),
    Case("typing.ParamSpec.local", local_spec, local_spec_works),
    Case("typing.TypeVarTuple.local", local_tuple, local_tuple_works, versions=SINCE_311),
    Case("typing.NewType.local", new_type, new_type_works),
    Case("typing.NewType.same", lambda stack: [new_type(stack)] * 2, true(lambda r: r[0] is r[1])),
    Case("typing.TypeAliasType.local", alias_type, alias_type_works, versions=SINCE_312),
    Case(
        "typing.TypeAliasType.recursive",
        recursive_alias,
        recursive_alias_works,
        versions=SINCE_312,
    ),
    Case("typing.generic.type_params", generic_312, generic_312_works, versions=SINCE_312),
]

# --- Sentinels ------------------------------------------------------------------------------------

SENTINELS = [
    Case(
        f"sentinel.{name}",
        lambda stack, get=get: get(),
        lambda received, get=get: identical(get())(received),
    )
    for name, get in {
        "MISSING": lambda: dataclasses.MISSING,
        "KW_ONLY": lambda: dataclasses.KW_ONLY,
        "factory": lambda: dataclasses._HAS_DEFAULT_FACTORY,  # type: ignore[attr-defined]
        "field": lambda: dataclasses._FIELD,  # type: ignore[attr-defined]
        "empty": lambda: inspect.Parameter.empty,
        "own": lambda: NOTHING,
        "timeout": lambda: socket._GLOBAL_DEFAULT_TIMEOUT,  # type: ignore[attr-defined]
        "unset": lambda: configparser._UNSET,
        "mock.DEFAULT": lambda: unittest.mock.DEFAULT,
        "mock.sentinel": lambda: unittest.mock.sentinel.mine,
        "NotImplemented": lambda: NotImplemented,
        "Ellipsis": lambda: ...,
        "None": lambda: None,
        "unnamed": lambda: getattr(configparser, "UNNAMED_SECTION", None),
        "enum.auto_null": lambda: enum._auto_null,  # type: ignore[attr-defined]
        "Token.MISSING": lambda: __import__("contextvars").Token.MISSING,
        "sys": lambda: sys.stdout,
        "environ": lambda: __import__("os").environ,
        "environb": lambda: __import__("os").environb,
    }.items()
]


def several(stack: ExitStack) -> Any:
    mine = object()
    return [mine, NOTHING, mine, object()]


def several_works(received: Any) -> None:
    mine, known, again, other = received
    assert mine is again is not other
    assert known is NOTHING
    assert type(mine) is object


def unnamed_members(stack: ExitStack) -> Any:
    @dataclasses.dataclass
    class Local:
        x: int = 3
        y: Any = dataclasses.field(default=NOTHING, repr=False)

    return dataclasses.fields(Local)


def members_work(received: Any) -> None:
    x, y = received
    assert (x.name, x.default, y.name, y.repr) == ("x", 3, "y", False)
    assert x.default_factory is dataclasses.MISSING
    assert y.default is NOTHING
    assert x._field_type is dataclasses._FIELD  # type: ignore[attr-defined]


CASES = [
    Case("dataclass.slots", slotted, slotted_works),
    Case("dataclass.frozen", frozen, frozen_works),
    Case("dataclass.keywords", keyword_data, keyword_data_works),
    Case("dataclass.fields", unnamed_members, members_work),
    Case(
        "dataclass.field",
        lambda stack: dataclasses.field(default_factory=list),
        lambda f: identical(dataclasses.MISSING)(f.default),
    ),
    Case("slots", plain_slots, plain_slots_works),
    Case("slots.weak", weak_slots, weak_slots_works),
    Case("slots.one", one_slot, true(lambda r: r.value == 3 and not hasattr(r, "__dict__"))),
    Case("slots.list", list_of_own, true(lambda r: (r, r.name) == ([1, 2], "x"))),
    Case("enum.flag", lambda stack: flags(stack).A, flag_works),
    Case("enum.flags", lambda stack: flags(stack)(3), flags_works),
    Case("enum.flag.class", flags, lambda cls: flag_works(cls.A)),
    Case("enum.int", lambda stack: int_enum(stack).TWO, number_works),
    Case("enum.tuple", lambda stack: tuple_enum(stack).MARS, planet_works),
    Case(
        "enum.functional",
        lambda stack: enum.Enum("Local", "A B").B,
        true(lambda b: b.value == 2 and b is type(b).B),
    ),
    Case("enum.auto", lambda stack: enum.auto(), true(lambda a: a.value is enum._auto_null)),  # type: ignore[attr-defined]
    Case("namedtuple", named, named_works),
    Case("NamedTuple", typed, typed_works),
    Case("TypedDict", typed_dict, typed_dict_works),
    Case("abc", abstract, abstract_works),
    Case("protocol", protocol, protocol_works),
    Case("generic", generic, generic_works),
    Case("metaclass", with_metaclass, metaclass_works),
    Case(
        "init_subclass",
        registering,
        true(lambda c: c[int] == ("Local", int) and "Local" in c.known),
    ),
    Case("nested", nested, nested_works),
    Case("descriptor", descriptor, descriptor_works),
    Case("main", main_class, true(lambda k: k.get() == (1, [1]))),
    Case(
        "qualname",
        lambda stack: nested(stack).Inner,
        true(lambda c: c.__qualname__ == "nested.<locals>.Outer.Inner"),
    ),
    Case("signature", signature, signature_works),
    Case(
        "parameter",
        lambda stack: inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, default=NOTHING),
        true(lambda p: p.default is NOTHING and p.annotation is inspect.Parameter.empty),
    ),
    Case(
        "bound_arguments",
        lambda stack: inspect.signature(lambda x, y=2: x).bind(5),
        true(lambda b: b.args == (5,) and b.arguments == {"x": 5}),
    ),
    Case(
        "mock",
        lambda stack: unittest.mock.sentinel,
        true(lambda s: s.a is unittest.mock.sentinel.a),
        routes="closure data",  # it has all attributes of a future
    ),
    Case("sentinel.several", several, several_works),
    *SENTINELS,
    *TYPING,
    *{case.id: case for case in map(type_of, ANONYMOUS)}.values(),
]
