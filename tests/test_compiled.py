"""`daskpickle.compiled`: the same bytes as the standard pickler's, whatever a class is like."""

from __future__ import annotations

import abc
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import gc
import io
import pickle
import sys
import threading
import types
import uuid
import weakref
from pathlib import PurePosixPath
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import daskpickle
from daskpickle import compiled
from daskpickle.pickler import current_table
from daskpickle.quick import Picklers

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("without_tblib")


class Plain:
    pass


class Slots:
    __slots__ = ("a", "b")


class HiddenSlot:
    __slots__ = ("__hidden", "__weakref__")

    def __init__(self) -> None:
        self.__hidden = 1


class SlotsAndDict(Slots):
    pass


class SlotTwice(Slots):
    __slots__ = ("a", "c")


@dataclasses.dataclass
class Record:
    a: Any = 1
    b: Any = "two"


@dataclasses.dataclass(slots=True, frozen=True)
class FrozenRecord:
    a: Any = 1
    b: Any = "two"


class GetState:
    def __getstate__(self) -> Any:
        return {"state": sorted(self.__dict__)}


class GetStateNone:
    def __getstate__(self) -> Any:
        return None


class GetStateSlots:
    __slots__ = ("a",)

    def __getstate__(self) -> Any:
        return None, {"a": getattr(self, "a", "unset")}

    def __setstate__(self, state: Any) -> None:
        self.a = state[1]["a"]


class Reduce:
    def __reduce__(self) -> Any:
        return Reduce, ()


class ReduceSlots:
    __slots__ = ()

    def __reduce__(self) -> Any:
        return ReduceSlots, ()


class ReduceByName:
    def __reduce__(self) -> Any:
        return "the_one"


the_one = ReduceByName()


class ReduceEx:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return ReduceEx, (), {"protocol": protocol}


class NewArgs(int):
    def __getnewargs__(self) -> Any:
        return (int(self),)


class NewArgsEx:
    def __new__(cls, *, a: int = 0) -> NewArgsEx:
        self = super().__new__(cls)
        self.a = a  # type: ignore[attr-defined]
        return self

    def __getnewargs_ex__(self) -> Any:
        return (), {"a": 3}


class WithGetattr:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class WithGetattribute:
    def __getattribute__(self, name: str) -> Any:
        return {"not": "there"} if name == "__dict__" else object.__getattribute__(self, name)


class DictProperty:
    __slots__ = ("_data",)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return {"made": "up"}


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        return type.__getattribute__(cls, name)


class MetaWithMethod(type):
    @property
    def __getstate__(cls) -> Any:
        return lambda: "of the metaclass"


class OfMeta(metaclass=Meta):
    pass


class OfMetaWithMethod(metaclass=MetaWithMethod):
    pass


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self) -> None: ...


class Concrete(Abstract):
    def method(self) -> None: ...


class Colour(enum.Enum):
    RED = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class MyList(list[Any]):
    pass


class MyDict(dict[Any, Any]):
    pass


class MySet(set[Any]):
    pass


class MyTuple(tuple[Any, ...]):
    pass


class MyStr(str):
    pass


class MyBytes(bytes):
    pass


class MyFloat(float):
    __slots__ = ("unit",)


class Pair(NamedTuple):
    a: Any
    b: Any


class MyError(ValueError):
    pass


class Box(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


class Final:
    __slots__ = ()


def filled(obj: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        object.__setattr__(obj, name, value)
    return obj


OBJECTS: dict[str, Any] = {
    "plain": filled(Plain(), a=1, b=[2]),
    "plain, empty": Plain(),
    "odd attribute": filled(Plain(), **{"not an identifier": 1}),
    "slots": filled(Slots(), a=1, b=2),
    "slots, half set": filled(Slots(), b=2),
    "slots, unset": Slots(),
    "hidden slot": HiddenSlot(),
    "slots and dict": filled(SlotsAndDict(), a=1, b=2, c=3),
    "slots and empty dict": filled(SlotsAndDict(), a=1, b=2),
    "dict and unset slots": filled(SlotsAndDict(), c=3),
    "slot twice": filled(SlotTwice(), a=1, b=2, c=3),
    "no slots": Final(),
    "dataclass": Record(),
    "frozen slots dataclass": FrozenRecord(),
    "getstate": filled(GetState(), a=1),
    "getstate None": filled(GetStateNone(), a=1),
    "getstate and slots": filled(GetStateSlots(), a=1),
    "reduce": Reduce(),
    "reduce and slots": ReduceSlots(),
    "reduce to a name": the_one,
    "reduce_ex": ReduceEx(),
    "newargs": NewArgs(3),
    "newargs_ex": NewArgsEx(a=3),
    "getattr": filled(WithGetattr(), a=1),
    "getattribute": filled(WithGetattribute(), a=1),
    "dict property": DictProperty(),
    "metaclass": filled(OfMeta(), a=1),
    "metaclass with the method": filled(OfMetaWithMethod(), a=1),
    "abc": filled(Concrete(), a=1),
    "enum": Colour.RED,
    "flags": Flags.A | Flags.B,
    "list": filled(MyList([1, 2]), a=1),
    "dict": filled(MyDict(a=1), a=1),
    "set": filled(MySet([1]), a=1),
    "tuple": filled(MyTuple((1, 2)), a=1),
    "str": filled(MyStr("text"), a=1),
    "bytes": MyBytes(b"text"),
    "float": filled(MyFloat(2.5), unit="m"),
    "named tuple": Pair(1, [2]),
    "error": filled(MyError("text", 1), a=1),
    "error with slots": KeyError("k"),
    "generic": Box(1),
    "generic, said": Box[int](1),
    "namespace": types.SimpleNamespace(a=1),
    "datetime": datetime.datetime(2024, 2, 29, 1, 2, 3, fold=1),
    "aware datetime": datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
    "date": datetime.date(2024, 2, 29),
    "time": datetime.time(1, 2, 3, fold=1),
    "timedelta": datetime.timedelta(3, 4),
    "Decimal": decimal.Decimal("1.5"),
    "Fraction": fractions.Fraction(1, 3),
    "complex": 1 + 2j,
    "UUID": uuid.UUID(int=5),
    "path": PurePosixPath("a/b"),
    "deque": collections.deque([1, 2], maxlen=3),
    "OrderedDict": collections.OrderedDict(a=1),
    "Counter": collections.Counter("aab"),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "ChainMap": collections.ChainMap({"a": 1}),
    "range": range(1, 10, 2),
    "slice": slice(1, 2),
    "Ellipsis": Ellipsis,
    "NotImplemented": NotImplemented,
    "builtin": len,
    "class": Plain,
    "class of a metaclass": Colour,
    "type of None": type(None),
    "alias": list[int],
    "bytearray": bytearray(b"text"),
    "frozenset": frozenset([1]),
    "iterator": iter([1, 2]),
}


@pytest.fixture(params=sorted(OBJECTS))
def obj(request: pytest.FixtureRequest) -> Any:
    return OBJECTS[request.param]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_bytes_are_the_standard_picklers(obj: Any, protocol: int) -> None:
    """For any class that it can pickle, alone and beside others."""
    if protocol < 2 and isinstance(obj, bytes):
        return  # Dask has registered for them, once it is imported: never less than protocol 2
    for root in (obj, [obj, obj, {"a": obj}], (1, obj), {"k": [obj]}):
        if protocol < 2 and outcome(pickle.dumps, root, protocol) is True:
            return  # it cannot
        expected = pickle.dumps(root, protocol)
        assert daskpickle.dumps(root, protocol) == expected
        file = io.BytesIO()
        daskpickle.dump(root, file, protocol)
        assert file.getvalue() == expected


def test_a_reducer_answers_as_the_object(obj: Any) -> None:
    """Also when it is asked outside of a pickler."""
    if isinstance(obj, type):
        return
    got = compiled.reducer_of(type(obj))(obj)
    expected = obj.__reduce_ex__(5)
    if isinstance(expected, str):
        assert got == expected
        return
    assert len(got) <= len(expected)
    got = (*got, *(None,) * (len(expected) - len(got)))
    assert [type(part) for part in got] == [type(part) for part in expected]
    assert got[0] == expected[0]
    assert pickle.dumps(got[1:3]) == pickle.dumps(expected[1:3])


@pytest.mark.parametrize("name", ["__reduce_ex__", "__reduce__", "__getstate__"])
@pytest.mark.parametrize("cls", [Plain, SlotsAndDict, GetState, Reduce, Record, MyError])
def test_a_method_of_the_instance_counts_as_in_pickle(cls: type, name: str) -> None:
    """`object.__reduce_ex__` looks on the instance; so it is here."""
    obj = cls()
    obj.a = obj.b = 1
    obj.__dict__[name] = functionless
    assert outcome(daskpickle.dumps, obj) == outcome(pickle.dumps, obj)
    calls: list[Any] = []
    obj.__dict__[name] = lambda *args: calls.append(args) or (Plain, ())
    pickle.dumps([cls()], 5)
    outcome(lambda o, p: pickle.Pickler(io.BytesIO(), p).dump(o), obj)
    expected = len(calls)
    outcome(daskpickle.dumps, obj)
    assert (len(calls) > expected) == (expected > 0)


def functionless(*args: Any) -> Any:
    return Plain, ()


def outcome(dumps: Any, obj: Any, protocol: int = 5) -> Any:
    try:
        return dumps(obj, protocol)
    except Exception as exc:
        return isinstance(exc, (pickle.PicklingError, TypeError, AttributeError))


CHANGES: dict[str, Any] = {
    "__reduce__": lambda self: (Plain, ()),
    "__reduce_ex__": lambda self, protocol: (Plain, ()),
    "__getstate__": lambda self: {"changed": True},
    "__getnewargs__": lambda self: (),
    "__getnewargs_ex__": lambda self: ((), {}),
    "__getattr__": lambda self, name: exec("raise AttributeError"),
    "__getattribute__": lambda self, name: object.__getattribute__(self, name),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("where", ["class", "base"])
@pytest.mark.parametrize("cls_name", ["Changing", "ChangingSlots", "ChangingState"])
def test_a_class_may_be_changed_at_any_time(name: str, where: str, cls_name: str) -> None:
    """What it is like is looked at in each dump."""
    base = type("Base", (), {"__slots__": () if cls_name == "ChangingSlots" else ("__dict__",)})
    body: dict[str, Any] = {"__module__": __name__, "__slots__": ("a",)}
    if cls_name == "ChangingState":
        body["__getstate__"] = lambda self: (None, {"a": 2})
    cls = type(cls_name, (base,), body)
    sys.modules[__name__].__dict__[cls_name] = cls
    try:
        obj = cls()
        obj.a = 1
        before = daskpickle.dumps(obj)
        assert before == pickle.dumps(obj, 5)
        target = cls if where == "class" else base
        former = vars(target).get(name)
        setattr(target, name, CHANGES[name])
        assert daskpickle.dumps(obj) == pickle.dumps(obj, 5)
        if former is None:
            delattr(target, name)
        else:
            setattr(target, name, former)
        assert daskpickle.dumps(obj) == before
    finally:
        del sys.modules[__name__].__dict__[cls_name]


@pytest.mark.parametrize("cls", [Plain, Slots, datetime.timedelta, Colour, Record])
def test_copyreg_counts_whenever_it_is_told(cls: type) -> None:
    """Registered, replaced and taken back between dumps."""
    obj = Colour.RED if cls is Colour else cls()
    before = daskpickle.dumps(obj)
    try:
        for text in ("one", "two"):
            copyreg.pickle(cls, lambda obj, text=text: (str, (text,)))  # type: ignore[misc]
            assert pickle.loads(daskpickle.dumps(obj)) == text
    finally:
        del copyreg.dispatch_table[cls]
    assert daskpickle.dumps(obj) == before


def test_an_object_that_holds_more_than_attributes_is_refused_as_by_pickle() -> None:
    """A class over a type written in C whose data nobody would copy."""

    class Data(property):
        pass

    class Module(types.ModuleType):
        pass

    for obj in (Data(), Module("m")):
        with pytest.raises(TypeError, match="cannot pickle"):
            obj.__reduce_ex__(5)
        with pytest.raises(TypeError, match="cannot pickle"):
            compiled.reducer_of(type(obj))(obj)


def test_classes_die() -> None:
    """Nothing that was found out about a class keeps it."""
    references = []
    for number in range(200):
        cls = type(f"Local{number}", (), {"__slots__": ("a",) if number % 2 else ("__dict__",)})
        daskpickle.dumps(cls())
        references.append(weakref.ref(cls))
        del cls
    gc.collect()
    assert not [ref for ref in references if ref() is not None]
    assert len(compiled._known) < 2000


def test_threads_and_nested_dumps_have_picklers_of_their_own() -> None:
    """Eight at once, each with a reducer that dumps in turn."""
    start = threading.Barrier(8)
    wrong: list[Any] = []

    def work(number: int) -> None:
        objs = [[Nested(number, [Record(i, str(i)) for i in range(20)]), lambda: number]]
        expected = [(n.number, n.data) for n in [objs[0][0]]]
        start.wait()
        for _ in range(100):
            got = pickle.loads(daskpickle.dumps(objs))[0]
            if [(got[0].number, got[0].data)] != expected or got[1]() != number:
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Nested:
    def __init__(self, number: int, data: Any) -> None:
        self.number, self.data = number, data

    def __reduce__(self) -> Any:
        return unnest, (self.number, daskpickle.dumps(self.data))


def unnest(number: int, data: bytes) -> Nested:
    return Nested(number, pickle.loads(data))


def test_a_buffer_callback_may_keep_buffers_in_band() -> None:
    """One that returns true, as the standard pickler documents; and one that appends."""
    obj = [Record(pickle.PickleBuffer(b"one")), pickle.PickleBuffer(bytearray(b"two"))]
    seen: list[Any] = []

    def callback(buffer: Any) -> bool:
        seen.append(buffer.raw().tobytes())
        return len(seen) == 1

    expected = pickle.dumps(obj, 5, buffer_callback=callback)
    assert seen == [b"one", b"two"]
    seen.clear()
    assert daskpickle.dumps(obj, buffer_callback=callback) == expected
    assert seen == [b"one", b"two"]
    buffers: list[Any] = []
    data = daskpickle.dumps([*obj, lambda: 1], buffer_callback=buffers.append)
    assert [bytes(buffer) for buffer in buffers] == [b"one", b"two"]
    assert pickle.loads(data, buffers=buffers)[1] == bytearray(b"two")


BUILTIN: list[Any] = [
    {"a": 1, b"b": None, 2: "c"}, [1, 2.5, "a", True], (1,), "text", {"a": [{"b": {1, 2}}]}, [], {},
    bytearray(b"a"), frozenset("a"), [b"\x93", "\x93"], ["x" * 70_000, "y"], list(range(100)),
    [b"x" * 100_000], {"__main__": "__main__"}, [1j, MyStr("a"), Plain()], [Plain, len, {1: Plain}],
]  # fmt: skip


@pytest.mark.parametrize("obj", BUILTIN, ids=range(len(BUILTIN)))
def test_messages_are_the_bytes_of_pickle(obj: Any) -> None:
    """What holds nothing but builtin objects, and what looks like it at first."""
    out: list[Any] = []
    for _ in range(2):  # the second time there is a pickler that is used again
        assert daskpickle.dumps(obj) == pickle.dumps(obj, 5)
        assert daskpickle.dumps(obj, buffer_callback=out.append) == pickle.dumps(obj, 5)
    assert out == []


def test_buffers_in_messages() -> None:
    """Are kept apart where they are asked for, and only there."""
    obj = {"a": [pickle.PickleBuffer(b"one"), 1]}
    for _ in range(2):
        out: list[Any] = []
        assert daskpickle.dumps(obj) == pickle.dumps(obj, 5)
        data = daskpickle.dumps(obj, buffer_callback=out.append)
        assert data == pickle.dumps(obj, 5, buffer_callback=[].append)
        assert out == [obj["a"][0]]


def test_a_module_is_looked_at_by_the_next_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that can no longer be imported travels by value from then on."""
    obj = Record()
    assert b"_make_skeleton_class" not in daskpickle.dumps(obj)
    monkeypatch.delitem(sys.modules[__name__].__dict__, "Record")
    data = daskpickle.dumps(obj)
    assert b"_make_skeleton_class" in data


# --- Random classes and objects -------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "_c", "__d", "e1"])


def _make_class(
    slots: list[str], with_dict: bool, weak: bool, base: Any, method: str | None, meta: type
) -> type:
    namespace: dict[str, Any] = {"__module__": __name__, "__qualname__": "Random"}
    if base in (ValueError, MySet):
        slots = []  # of these, plain pickle loses what slots hold; of sets up to Python 3.10
    if not with_dict:
        namespace["__slots__"] = [*slots, *["__weakref__"] * (weak and base is object)]
    if method == "__getstate__":
        namespace[method] = lambda self: ({"x": 1}, {})
        namespace["__setstate__"] = lambda self, state: None
    elif method == "__reduce__":
        namespace[method] = lambda self: (Plain, ())
    elif method == "__reduce_ex__":
        namespace[method] = lambda self, protocol: (Plain, (), {"p": protocol})
    elif method == "__getnewargs__":
        namespace[method] = lambda self: ()
    elif method == "__getattr__":
        namespace[method] = CHANGES["__getattr__"]
    return meta("Random", (base,), namespace)


_classes = st.builds(
    _make_class,
    st.lists(_names, unique=True, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from([object, object, Plain, Slots, MyList, MyDict, MySet, ValueError, Box, Final]),
    st.sampled_from([None, None, *sorted(CHANGES)[1:]]),
    st.sampled_from([type, Meta]),
)

_atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.binary(),
    st.datetimes(), st.timedeltas(), st.decimals(), st.fractions(), st.complex_numbers(),
    st.uuids(), st.sampled_from(list(OBJECTS.values())),
)  # fmt: skip


_KINDS = ["list", "tuple", "dict", "object", "object", "object", "record", "set"]


@st.composite
def _graphs(draw: st.DrawFn) -> Any:
    """Draw a class and a graph of its objects and others, with shared parts and cycles."""
    cls = draw(_classes)
    made: list[Any] = [draw(_atoms) for _ in range(3)]
    for _ in range(draw(st.integers(1, 16))):
        parts = draw(st.lists(st.sampled_from(range(len(made))), max_size=4))
        values = [made[i] for i in parts]
        kind = draw(st.sampled_from(_KINDS))
        if kind == "object":
            obj = cls.__new__(cls)
            for name, value in zip(draw(st.lists(_names, unique=True)), values, strict=False):
                try:
                    object.__setattr__(obj, name, value)
                except AttributeError:  # it has no such slot
                    continue
            made.append(obj)
        elif kind == "record":
            made.append(Record(*values[:2]))
        elif kind == "dict":
            made.append({f"k{i}": value for i, value in enumerate(values)})
        elif kind == "set":
            made.append({repr(type(value)) for value in values[:1]})
        else:
            made.append(list(values) if kind == "list" else tuple(values))
    lists = [obj for obj in made if type(obj) is list]
    if lists and draw(st.booleans()):
        lists[0].append(made)
    return cls, made


PLAIN_FIRST = Picklers(current_table)  # as the hooks have


@given(_graphs(), st.sampled_from([2, 3, 4, 5, 5, 5, 5]))
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_graphs_give_the_standard_picklers_bytes(graph: Any, protocol: int) -> None:
    """Whatever the classes are like; where it fails, so does ours."""
    cls, root = graph
    module = sys.modules[__name__].__dict__
    module["Random"] = cls
    try:
        for _ in range(2):
            try:
                expected = pickle.dumps(root, protocol)
            except Exception as exc:
                with pytest.raises((type(exc), pickle.PicklingError)):
                    daskpickle.dumps(root, protocol)
            else:
                assert daskpickle.dumps(root, protocol) == expected
                if protocol == 5:
                    assert PLAIN_FIRST.dump(root)[0] == expected
    finally:
        del module["Random"]
