"""Classes whose making does more than their attributes say: enumerations, metaclasses, hooks."""

from __future__ import annotations

import abc
import datetime
import enum
import functools
import types
import typing
from contextlib import ExitStack
from typing import Any, Generic, TypedDict, TypeVar

from corpus import Case

T = TypeVar("T")

# --- Enumerations -------------------------------------------------------------------------------


def second_names(stack: ExitStack) -> Any:
    class Color(enum.Enum):
        RED = 1
        ROT = 1
        BLUE = [2]
        BLEU = [2]

    return Color, Color.BLEU


def second_names_work(received: Any) -> None:
    cls, blue = received
    assert list(cls.__members__) == ["RED", "ROT", "BLUE", "BLEU"]
    assert [member.name for member in cls] == ["RED", "BLUE"]
    assert cls["ROT"] is cls.ROT is cls.RED is cls(1)
    assert cls["BLEU"] is blue is cls.BLUE


def composites(stack: ExitStack) -> Any:
    class Mode(enum.Flag):
        R = 4
        W = 2
        RW = 6
        NONE = 0

    return Mode, Mode.RW, Mode.NONE


def composites_work(received: Any) -> None:
    cls, both, none = received
    assert both is cls.RW is cls["RW"] is cls.R | cls.W
    assert none is cls.NONE is cls(0)
    assert list(cls.__members__) == ["R", "W", "RW", "NONE"]


def boundary(stack: ExitStack) -> Any:
    class Kept(enum.Flag, boundary=enum.KEEP):  # type: ignore[call-arg,unused-ignore]
        A = 1
        MANY = 13

    return Kept, Kept(9)


def boundary_works(received: Any) -> None:
    cls, nine = received
    assert cls(9) == nine
    assert cls.MANY.value == 13
    assert cls(16).value == 16


def own_new(stack: ExitStack) -> Any:
    class Code(bytes, enum.Enum):
        def __new__(cls, value: int, label: str) -> Any:
            member = bytes.__new__(cls, [value])
            member._value_ = value
            member.label = label  # type: ignore[attr-defined]
            return member

        ONE = 1, "one"
        TWO = 2, "two"

        def __str__(self) -> str:
            return "code"

    return Code, Code.TWO


def own_new_works(received: Any) -> None:
    cls, two = received
    assert two is cls.TWO is cls(2)
    assert (two == b"\2", two.label, str(two)) == (True, "two", "code")
    assert "__init__" not in vars(cls)


def numbered(stack: ExitStack) -> Any:
    class Numbered(enum.Enum):
        def __new__(cls) -> Any:
            member = object.__new__(cls)
            member._value_ = len(cls.__members__) + 1
            return member

    class Step(Numbered):
        FIRST = ()
        SECOND = ()

    return Step, Step.SECOND, Numbered


def numbered_works(received: Any) -> None:
    cls, second, base = received
    assert second is cls.SECOND is cls(2)
    assert "__new_member__" not in vars(cls)
    made = base("Other", {"A": (), "B": ()})
    assert made.B.value == 2


def of_dates(stack: ExitStack) -> Any:
    class Holiday(datetime.date, enum.Enum):
        NEW_YEAR = 2020, 1, 1
        MAY_DAY = 2020, 5, 1

    return Holiday, Holiday.MAY_DAY


def of_dates_works(received: Any) -> None:
    cls, day = received
    assert day is cls.MAY_DAY
    assert (day.year, day.month, day.value) == (2020, 5, datetime.date(2020, 5, 1))


def of_tuples(stack: ExitStack) -> Any:
    class Point(tuple[Any, ...], enum.Enum):
        ZERO = ()
        ONE = (1, 1)

    return Point, Point.ONE


def of_tuples_works(received: Any) -> None:
    cls, one = received
    assert one is cls.ONE is cls((1, 1))
    assert (tuple(one), tuple(cls.ZERO)) == ((1, 1), ())


def of_functions(stack: ExitStack) -> Any:
    class Operation(enum.Enum):
        TWICE = functools.partial(lambda x: 2 * x)
        NAN = float("nan")

    if hasattr(enum, "member"):  # else Python 3.13 warns of what 3.14 makes of a partial

        class Operation(enum.Enum):  # type: ignore[no-redef]
            TWICE = enum.member(functools.partial(lambda x: 2 * x))
            NAN = float("nan")

    return Operation, Operation.TWICE, Operation.NAN


def of_functions_works(received: Any) -> None:
    cls, twice, nan = received
    assert twice is cls.TWICE
    assert nan is cls.NAN
    assert twice.value(4) == 8


def by_metaclass(stack: ExitStack) -> Any:
    class Upper(enum.EnumMeta):
        def __getitem__(cls, name: str) -> Any:
            return super().__getitem__(name.upper())

    class Color(enum.Enum, metaclass=Upper):
        RED = 1
        ROT = 1

    return Color, Color.RED


def by_metaclass_works(received: Any) -> None:
    cls, red = received
    assert cls["rot"] is cls["red"] is red
    assert type(cls).__name__ == "Upper"


def abstract(stack: ExitStack) -> Any:
    class Meta(abc.ABCMeta, enum.EnumMeta):
        pass

    class Runs(abc.ABC):
        @abc.abstractmethod
        def run(self) -> str: ...

    class Job(Runs, enum.Enum, metaclass=Meta):
        A = 1

        def run(self) -> str:
            return self.name

    return Runs, Job.A


def abstract_works(received: Any) -> None:
    base, job = received
    assert isinstance(job, base)
    assert (job.run(), type(job)(1)) == ("A", job)


def generated(stack: ExitStack) -> Any:
    class Lower(str, enum.Enum):
        @staticmethod
        def _generate_next_value_(name: str, start: int, count: int, last: list[Any]) -> str:
            return name.lower()

    class Color(Lower):
        RED = enum.auto()

    return Lower, Color.RED


def generated_works(received: Any) -> None:
    base, red = received
    assert red == "red"
    assert base("Other", ["BLUE"]).BLUE.value == "blue"


# --- Those that a class statement calls ---------------------------------------------------------


def philosopher(stack: ExitStack) -> Any:
    class Philosopher:
        known: dict[str, type] = {}

        def __init_subclass__(cls, /, default_name: str, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            cls.default_name = default_name  # type: ignore[attr-defined]
            Philosopher.known[default_name] = cls

    class Australian(Philosopher, default_name="Bruce"):
        pass

    return Australian(), Philosopher


def philosopher_works(received: Any) -> None:
    bruce, base = received
    assert bruce.default_name == "Bruce"
    assert base.known == {"Bruce": type(bruce)}
    other = type("Other", (base,), {}, default_name="Other")
    assert base.known["Other"] is other


def named_plugin(stack: ExitStack) -> Any:
    class Plugin:
        known: dict[str, type] = {}

        def __init_subclass__(cls) -> None:
            if not callable(getattr(cls, "run", None)):
                raise TypeError("It cannot run.")
            Plugin.known[cls.name.upper()] = cls  # type: ignore[attr-defined]

    class Copy(Plugin):
        name = "copy"

        def run(self) -> str:
            return self.name

    return Copy(), Plugin


def named_plugin_works(received: Any) -> None:
    copy, base = received
    assert base.known == {"COPY": type(copy)}
    assert copy.run() == "copy"


def told_what(stack: ExitStack) -> Any:
    class Base:
        def __init_subclass__(cls, *, how: str) -> None:
            cls.shown = how.upper()  # type: ignore[attr-defined]

    class Derived(Base, how="x"):
        pass

    return Derived()


def metaclass_with_options(stack: ExitStack) -> Any:
    class Table(type):
        made: list[str] = []

        def __new__(mcs, name: str, bases: Any, names: Any, *, table: str) -> Any:
            cls = super().__new__(mcs, name, bases, names)
            cls._table = table  # type: ignore[attr-defined]
            mcs.made.append(name)
            return cls

        def __init__(cls, name: str, bases: Any, names: Any, *, table: str) -> None:
            super().__init__(name, bases, names)

    class User(metaclass=Table, table="users"):
        pass

    return User()


def metaclass_with_options_works(received: Any) -> None:
    cls = type(received)
    assert (cls._table, type(cls).__name__) == ("users", "Table")


def checked_by_metaclass(stack: ExitStack) -> Any:
    class Checked(abc.ABCMeta):
        def __new__(mcs, name: str, bases: Any, names: Any) -> Any:
            if "run" not in names:
                raise TypeError("It cannot run.")
            return super().__new__(mcs, name, bases, names)

    class Job(metaclass=Checked):
        def run(self) -> int:
            return 1

    return Job()


def checked_works(received: Any) -> None:
    assert received.run() == 1
    assert isinstance(received, type(received))


# --- Typed dicts, type variables and aliases ----------------------------------------------------


def typed_dict(stack: ExitStack) -> Any:
    class Movie(TypedDict):
        title: str

    class Seen(Movie, total=False):
        year: int

    return Movie, Seen, TypedDict("Keyed", {"in": int})  # type: ignore[operator]


def typed_dict_works(received: Any) -> None:
    movie, seen, keyed = received
    assert all(map(typing.is_typeddict, received))
    assert seen(title="M", year=1931) == {"title": "M", "year": 1931}
    assert (movie.__total__, seen.__required_keys__) == (True, {"title"})
    assert (seen.__optional_keys__, list(keyed.__annotations__)) == ({"year"}, ["in"])
    assert type("More", (seen,), {"__annotations__": {}}).__required_keys__ == {"title"}  # type: ignore[attr-defined]


def generic_typed_dict(stack: ExitStack) -> Any:
    names: dict[str, Any] = {
        "__name__": __name__,
        "TypedDict": TypedDict,
        "Generic": Generic,
        "T": T,
    }
    exec("class Box(TypedDict, Generic[T]):\n    item: T", names)
    return names["Box"], names["Box"][int]


def generic_typed_dict_works(received: Any) -> None:
    box, of_int = received
    assert of_int.__origin__ is box
    assert of_int(item=1) == {"item": 1}


def variable(stack: ExitStack) -> Any:
    return TypeVar("Local", bound=int)  # type: ignore[misc]


def variable_works(received: Any) -> None:
    assert (received.__name__, received.__bound__, received.__module__) == ("Local", int, __name__)


def recursive_alias(stack: ExitStack) -> Any:
    names: dict[str, Any] = {"__name__": "made"}
    exec("type Json = int | list[Json]\ntype A = list[B]\ntype B = dict[str, A]", names)
    return names["Json"], names["A"], names["B"]


def recursive_alias_works(received: Any) -> None:
    json, a, b = received
    assert json.__value__.__args__[1].__args__[0] is json
    assert (json.__name__, json.__module__, json.__type_params__) == ("Json", "made", ())
    assert a.__value__.__args__[0] is b
    assert b.__value__.__args__[1] is a


def recursive_tree(stack: ExitStack) -> Any:
    names: dict[str, Any] = {"__name__": "made"}
    exec("type Tree[T] = T | list[Tree[T]]", names)
    return names["Tree"]


# --- What belongs to a class --------------------------------------------------------------------


def attributes(stack: ExitStack) -> Any:
    class Plain:
        x = 1

        def method(self) -> int:
            return 2

    class Slots(Plain):
        __slots__ = ()

    return Plain, vars(Plain), vars(Plain).items(), vars(Slots), Slots, vars(int)


def attributes_work(received: Any) -> None:
    plain, names, items, of_slots, slots, of_int = received
    plain.x, slots.y = 3, 4
    assert type(names) is types.MappingProxyType
    assert (names["x"], ("x", 3) in items, of_slots["y"]) == (3, True, 4)
    assert names["method"] is plain.method
    assert of_int.keys() == vars(int).keys()


def method_kinds(stack: ExitStack) -> Any:
    class Static(staticmethod):  # type: ignore[type-arg]
        def shown(self) -> Any:
            return self.tag

    class OfClass(classmethod):  # type: ignore[type-arg]
        pass

    static: Any = Static(len)
    static.tag = [1]

    class Holder:
        size = static
        made = OfClass(lambda cls: cls)

    return static, Holder


def method_kinds_work(received: Any) -> None:
    static, cls = received
    assert (static.shown(), static("ab"), cls.size("a")) == ([1], 2, 1)
    assert type(vars(cls)["size"]) is type(static)
    assert cls.made() is cls
    assert type(vars(cls)["made"]).__name__ == "OfClass"


def cyclic_module(stack: ExitStack) -> Any:
    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # as Dask asks for
                raise AttributeError(name)
            return name

    module, lazy = types.ModuleType("made", "It was made."), Lazy("lazy")
    module.itself = module  # type: ignore[attr-defined]
    module.get = lambda: module.itself  # type: ignore[attr-defined]
    lazy.module = module
    return module, lazy


def cyclic_module_works(received: Any) -> None:
    module, lazy = received
    assert module.itself is module is module.get() is lazy.module
    assert (module.__doc__, lazy.__name__, lazy.anything) == ("It was made.", "lazy", "anything")
    assert type(lazy).__name__ == "Lazy"


CASES = [
    Case("enum.second_names", second_names, second_names_work),
    Case("enum.composites", composites, composites_work),
    Case("enum.boundary", boundary, boundary_works, versions=((3, 11), (3, 99))),
    Case("enum.own_new", own_new, own_new_works),
    Case("enum.numbered", numbered, numbered_works),
    Case("enum.dates", of_dates, of_dates_works),
    Case("enum.tuples", of_tuples, of_tuples_works),
    Case("enum.functions", of_functions, of_functions_works),
    Case("enum.metaclass", by_metaclass, by_metaclass_works),
    Case("enum.abstract", abstract, abstract_works),
    Case("enum.generated", generated, generated_works),
    Case("hook.philosopher", philosopher, philosopher_works),
    Case("hook.plugin", named_plugin, named_plugin_works),
    Case("hook.unknown", told_what, refused="given 'how'"),
    Case("metaclass.options", metaclass_with_options, metaclass_with_options_works),
    Case("metaclass.checks", checked_by_metaclass, checked_works),
    Case("typed_dict", typed_dict, typed_dict_works),
    Case(
        "typed_dict.generic",
        generic_typed_dict,
        generic_typed_dict_works,
        versions=((3, 11), (3, 99)),
    ),
    Case("variable", variable, variable_works),
    Case("alias.recursive", recursive_alias, recursive_alias_works, versions=((3, 12), (3, 99))),
    Case("alias.tree", recursive_tree, refused="refers to itself", versions=((3, 12), (3, 99))),
    Case("attributes", attributes, attributes_work),
    Case("methods", method_kinds, method_kinds_work),
    Case("module.cyclic", cyclic_module, cyclic_module_works),
]
