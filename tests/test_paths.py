"""Where the offender is: the path in a refusal, read as code, is the object that cannot travel."""

from __future__ import annotations

import ast
import collections
import functools
import io
import itertools
import pickle
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.paths import find_path


class Offender:
    """Cannot be pickled, as an object written in C cannot."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot pickle 'Offender' object")


# --- The path, read as code ---------------------------------------------------------------------

TOKENS = re.compile(r"\.(?P<attribute>\w+)|<(?P<word>\w+)(?: (?P<name>.+?))?>(?=[.\[<]|$)")


def resolve(path: str, root: Any) -> Iterator[Any]:
    """Yield what ``path`` leads to; one object, unless it goes by way of a set or a ``<state>``."""
    yield from follow(re.sub(r"^(<lambda>|\w+)", "", path), root)


def follow(path: str, obj: Any) -> Iterator[Any]:
    if not path:
        yield obj
    elif path[0] == "[":
        end = next(n for n in range(2, len(path) + 1) if is_literal(path[1 : n - 1], path[n - 1]))
        try:
            value = obj[ast.literal_eval(path[1 : end - 1])]
        except (LookupError, TypeError):  # another part of the state is meant
            return
        yield from follow(path[end:], value)
    else:
        token = TOKENS.match(path)
        assert token is not None, path
        for value in step(obj, **token.groupdict()):
            yield from follow(path[token.end() :], value)


def is_literal(text: str, after: str) -> bool:
    if after != "]":
        return False
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return False
    return True


def step(obj: Any, attribute: str | None, word: str | None, name: str | None) -> Iterator[Any]:
    """Translate what code cannot say."""
    if attribute is not None:
        yield getattr(obj, attribute)
    elif word == "closure":
        cells = dict(zip(obj.__code__.co_freevars, obj.__closure__, strict=True))
        yield cells[ast.literal_eval(name)].cell_contents
    elif word == "global":
        yield obj.__globals__[ast.literal_eval(name)]
    elif word == "default":
        values = obj.__defaults__ or ()
        names = obj.__code__.co_varnames[: obj.__code__.co_argcount][-len(values) :]
        yield {**dict(zip(names, values, strict=True)), **(obj.__kwdefaults__ or {})}[
            ast.literal_eval(name)
        ]
    elif word in ("item", "key"):
        yield from obj
    else:
        assert word == "state", word
        yield from obj.__reduce_ex__(4)[1:]


def path_of(root: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps(root)
    assert caught.value.type_name == f"{__name__}.Offender"
    assert caught.value.path is not None
    return caught.value.path


# --- Planted by hand ----------------------------------------------------------------------------


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Record:
    value: Any
    other: Any = field(default_factory=dict)


@dataclass(frozen=True)
class Frozen:
    value: Any


class Slots:
    __slots__ = ("__private", "value")

    def __init__(self, value: Any, private: Any = None) -> None:
        self.value, self.__private = value, private

    def method(self) -> Any:
        return self.value


class SlotsAndMore(Slots):
    def __init__(self, value: Any, more: Any) -> None:
        super().__init__(value)
        self.more = more


class Holder:
    def __init__(self, value: Any = None, **attributes: Any) -> None:
        self.value = value
        self.__dict__.update(attributes)

    def method(self) -> Any:
        return self.value

    @functools.cached_property
    def cached(self) -> Any:
        return self.value


class OwnState(Holder):
    def __getstate__(self) -> Any:
        return {"renamed": [0, self.value.value]}


class OwnReduce(Holder):
    def __reduce__(self) -> Any:
        return Holder, (1, self.value.value)


class ReducesToAttribute(Holder):
    def __reduce__(self) -> Any:
        return Holder, (self.value,)


class Mapping(dict[Any, Any]):
    pass


class Error(Exception):
    pass


def by_value(source: str, **names: Any) -> Any:
    """Return ``made`` of code that runs as in a script: what it defines travels by value."""
    namespace = {"__name__": "__main__", **names}
    exec(source, namespace)
    return namespace["made"]


def closure(value: Any) -> Any:
    return lambda: value


def nested_closure(value: Any) -> Any:
    def outer() -> Any:
        def inner() -> Any:
            return value

        return inner

    return closure(outer)


def recursive(value: Any) -> Any:
    def made(n: int) -> Any:
        return made(n - 1) if n else value

    return made


def cycle(value: Any) -> Any:
    ring: list[Any] = [Holder(None)]
    ring[0].value = {"back": ring, "here": value}
    return ring


def error_with(value: Any) -> Any:
    error = Error("message", value)
    return error


def error_attribute(value: Any) -> Any:
    error = Error("message")
    error.detail = value  # type: ignore[attr-defined]
    return error


def cached(value: Any) -> Any:
    holder = Holder(None)
    holder.__dict__["cached"] = value
    return holder


CLASS = """
class made:
    attribute = value
"""
INSTANCE = CLASS + "\nmade = made()"
INHERITED = """
class Base:
    attribute = value
class made(Base):
    pass
"""
METHODS = """
class made:
    def method(self, default=value): pass
"""
STATIC = """
class made:
    @staticmethod
    def method(*, default=value): pass
"""
CLASSMETHOD = """
class made:
    @classmethod
    def method(cls): return value
"""
PROPERTY = """
class made:
    @property
    def attribute(self): return value
made = made()
"""
FUNCTION = """
def made(): return value.attribute
"""
NESTED = """
def made():
    def inner(): return [value for _ in range(2)]
    return inner
"""

PLANTED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "root": (lambda o: o, "obj"),
    "list": (lambda o: [0, [o]], "obj[1][0]"),
    "tuple": (lambda o: (0, (o,)), "obj[1][0]"),
    "dict": (lambda o: {"a": {1: {None: o}}}, "obj['a'][1][None]"),
    "dict tuple key": (lambda o: {("x", 0): o}, "obj[('x', 0)]"),
    "dict key": (lambda o: {"a": {o: 1}}, f"obj['a']<key <{__name__}.Offender>>"),
    "set": (lambda o: [{o}], "obj[0]<item>"),
    "frozenset": (lambda o: frozenset([o]), "obj<item>"),
    "deque": (lambda o: collections.deque([1, o]), "obj[1]"),
    "ordered dict": (lambda o: collections.OrderedDict(a=o), "obj['a']"),
    "default dict": (lambda o: collections.defaultdict(list, a=[o]), "obj['a'][0]"),
    "dict subclass": (lambda o: Mapping(a=o), "obj['a']"),
    "mapping proxy": (lambda o: types.MappingProxyType({"a": o}), "obj['a']"),
    "named tuple": (lambda o: Point(0, o), "obj.y"),
    "dataclass": (lambda o: Record(1, {"k": Record(o)}), "obj.other['k'].value"),
    "frozen dataclass": (Frozen, "obj.value"),
    "slots": (Slots, "obj.value"),
    "slots and attributes": (lambda o: SlotsAndMore(0, [o]), "obj.more[0]"),
    "attribute": (lambda o: Holder(session=Holder(adapters={"https://": o})),
                  "obj.session.adapters['https://']"),
    "odd attribute": (lambda o: Holder(**{"not a name": o}), "obj.__dict__['not a name']"),
    "cached value": (cached, "obj.cached"),
    "bound self": (lambda o: Holder(o).method, "obj.__self__.value"),
    "bound method of a builtin": (lambda o: [o].append, "obj.__self__[0]"),
    "partial function": (lambda o: functools.partial(closure(o)), "obj.func<closure 'value'>"),
    "partial argument": (lambda o: functools.partial(print, 0, o), "obj.args[1]"),
    "partial keyword": (lambda o: functools.partial(print, end=o), "obj.keywords['end']"),
    "closure": (closure, "<lambda><closure 'value'>"),
    "nested closure": (nested_closure, "<lambda><closure 'value'><closure 'value'>"),
    "recursive closure": (recursive, "made<closure 'value'>"),
    "cell": (lambda o: types.CellType([o]), "obj.cell_contents[0]"),
    "function attribute": (lambda o: setattr(f := closure(1), "a", o) or f, "<lambda>.a"),
    "global": (lambda o: by_value(FUNCTION, value=o), "made<global 'value'>"),
    "global of an inner function": (lambda o: by_value(NESTED, value=o), "made<global 'value'>"),
    "default": (lambda o: by_value("def made(a, b=1, c=value): pass", value=o),
                "made<default 'c'>"),
    "keyword default": (lambda o: by_value("def made(*, c=value): pass", value=o),
                        "made<default 'c'>"),
    "class": (lambda o: by_value(CLASS, value=o), "made.attribute"),
    "class of an instance": (lambda o: by_value(INSTANCE, value=o), "obj.__class__.attribute"),
    "base class": (lambda o: by_value(INHERITED, value=o), "made.__bases__[0].attribute"),
    "method": (lambda o: by_value(METHODS, value=o), "made.method<default 'default'>"),
    "static method": (lambda o: by_value(STATIC, value=o), "made.method<default 'default'>"),
    "class method": (lambda o: by_value(CLASSMETHOD, value=o),
                     "made.method.__func__<global 'value'>"),
    "property": (lambda o: by_value(PROPERTY, value=o),
                 "obj.__class__.attribute.fget<global 'value'>"),
    "exception argument": (error_with, "obj.args[1]"),
    "exception attribute": (error_attribute, "obj.detail"),
    "cycle": (cycle, "obj[0].value['here']"),
    "own state": (lambda o: [OwnState(Holder(o))], "obj[0]<state>['renamed'][1]"),
    "own reduction": (lambda o: [OwnReduce(Holder(o))], "obj[0]<state>[1]"),
    "own reduction to an attribute": (lambda o: [ReducesToAttribute(o)], "obj[0].value"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_the_path_says_where_it_is(case: str) -> None:
    """The path is the expected one, and evaluates to the very object."""
    make, expected = PLANTED[case]
    offender = Offender()
    root = make(offender)
    path = path_of(root)
    assert path == expected
    assert any(found is offender for found in resolve(path, root))


def test_arrays_of_objects() -> None:
    """By index, whatever the shape."""
    numpy = pytest.importorskip("numpy")
    for shape, index, path in (
        ((3,), 1, "obj[1]"),
        ((2, 2), (1, 0), "obj[(1, 0)]"),
        ((), (), "obj[()]"),
    ):
        offender = Offender()
        array = numpy.empty(shape, dtype=object)
        array[index] = offender
        assert path_of(array) == path
        assert offender in resolve(path, array)


def test_frames_of_pandas() -> None:
    """By column and place."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": pandas.Series(["x", Offender()], dtype=object)})
    assert path_of([frame]) == "obj[0]['b'].iloc[1]"
    assert path_of({"s": frame["b"]}) == "obj['s'].iloc[1]"
    frame = pandas.DataFrame({"a": [1]})
    frame.attrs["source"] = Offender()
    assert path_of(frame) == "obj.attrs['source']"


def test_tasks_of_dask_have_names() -> None:
    """The path begins at the task, whose key is a fact of the error."""
    spec = pytest.importorskip("dask._task_spec")
    task = spec.Task("sum-1", print, [1, Offender()], sep={"a": 1})
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps({"graph": [task]})
    assert (caught.value.path, caught.value.key) == ("task 'sum-1'.args[0][1]", "sum-1")
    task = spec.Task(("sum", 1), print, sep=Offender())
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps(task)
    assert caught.value.path == "task ('sum', 1).kwargs['sep']"


def test_the_path_is_in_the_sentence() -> None:
    """The message names the type, the path, and what to do."""
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps({"model": Holder(Offender())})
    assert str(caught.value) == (
        f"Cannot pickle {__name__}.Offender at `obj['model'].value`: it is tied to this process, "
        "and no reducer is registered for its type. Create it where it is used, inside the task, "
        "or register a reducer for its type."
    )
    assert isinstance(caught.value.__cause__, TypeError)


# --- Planted at random --------------------------------------------------------------------------

WRAPPERS: list[Callable[[Any], Any]] = [
    lambda o: [0, o],
    lambda o: (o, "x"),
    lambda o: {"key": o, 1: 2},
    lambda o: Record(0, o),
    lambda o: Frozen(o),
    lambda o: Slots(o),
    lambda o: SlotsAndMore(1, o),
    lambda o: Point(o, 0),
    lambda o: Holder(None, attribute=o),
    lambda o: collections.deque([o]),
    lambda o: collections.OrderedDict(k=o),
    lambda o: Mapping(k=o),
    lambda o: functools.partial(print, o),
    lambda o: functools.partial(print, sep=o),
    lambda o: Holder(o).method,
    lambda o: Slots(o).method,
    lambda o: Error(1, o),
    lambda o: OwnState(Holder(o)),
    lambda o: OwnReduce(Holder(o)),
    lambda o: by_value(CLASS, value=o),
    lambda o: by_value(INSTANCE, value=o),
    lambda o: by_value(METHODS, value=o),
    lambda o: by_value(FUNCTION, value=o),
    closure,
    nested_closure,
    recursive,
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WRAPPERS), max_size=12))
def test_the_path_leads_through_any_nesting(wrappers: list[Callable[[Any], Any]]) -> None:
    """Whatever holds the object, the path evaluates to it."""
    offender = root = Offender()
    for wrap in wrappers:
        root = wrap(root)
    assert any(found is offender for found in resolve(path_of(root), root))


# --- What must not happen -----------------------------------------------------------------------


class Hostile:
    """Must not be asked anything."""

    def __init__(self, value: Any, asked: list[str]) -> None:
        object.__getattribute__(self, "__dict__").update(value=value, asked=asked)

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "__dict__")["asked"].append(name)
        raise RuntimeError(name)

    def _ask(self, *args: Any) -> Any:
        Hostile.__getattribute__(self, "special method")

    __eq__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = __getitem__ = _ask  # type: ignore[assignment]
    __contains__ = __format__ = __call__ = __index__ = _ask  # type: ignore[assignment]
    __hash__ = object.__hash__


class HostileList(list[Any]):
    asked: list[str] = []

    def _ask(self, *args: Any) -> Any:
        self.asked.append("special method")
        raise RuntimeError

    __eq__ = __repr__ = __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = _ask  # type: ignore[assignment]


def test_objects_on_the_way_are_not_asked_anything() -> None:
    """To find the path no attribute, comparison or representation of an object is used."""
    asked: list[str] = []
    offender = Offender()
    hostile = Hostile({"here": offender}, asked)
    sibling = Hostile(None, asked)
    chain = [[sibling, hostile], hostile, vars(Holder), {"here": offender}, offender]
    object.__getattribute__(hostile, "__dict__")["value"] = chain[3]
    assert find_path(chain) == ("obj[1].value['here']", None)
    assert asked == []

    many = HostileList([sibling, offender])
    assert find_path([{sibling: many}, many, offender]) == (
        f"obj[<{__name__}.Hostile>][1]",
        None,
    )
    assert asked == HostileList.asked == []


class UnreadableError(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError


def test_properties_are_not_read() -> None:
    """A property is not taken for what it hides, not even one named ``__dict__`` or ``args``."""
    error = UnreadableError(offender := Offender())
    assert find_path([error, offender]) == ("obj.args[0]", None)


class BadMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__mro__":
            raise KeyError(name)
        return super().__getattribute__(name)


def test_what_cannot_be_looked_at_leaves_the_error_as_it_was() -> None:
    """An object that breaks the search for the path does not hide the error of the dump."""

    class Bad(metaclass=BadMeta):
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise ZeroDivisionError("mine")

    with pytest.raises((ZeroDivisionError, KeyError)):
        daskpickle.Pickler(io.BytesIO()).dump([Bad()])


def test_a_large_dict_is_no_obstacle() -> None:
    """An object at the end of 200 000 entries is found."""
    root: dict[Any, Any] = dict.fromkeys(range(200_000))
    root["last"] = [Offender()]
    assert path_of(root) == "obj['last'][0]"


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_does_not_stop_the_search() -> None:
    """What the C pickler reaches, the search reaches, although it is written in Python."""
    limit = sys.getrecursionlimit()
    assert path_of(nested(Offender(), 300)) == "obj" + 300 * "[0]"
    assert sys.getrecursionlimit() == limit


def test_too_deep_nesting_is_an_error_and_no_crash() -> None:
    """Ten thousand lists in each other end in an error, with or without a path."""
    root = nested(Offender(), 10_000)
    with pytest.raises(pickle.PicklingError):
        daskpickle.dumps(root)


class Endless:
    """Is made of itself."""

    def __reduce__(self) -> Any:
        return Endless, (("more", self),)


def test_what_it_takes_itself_to_make_is_refused_with_its_path() -> None:
    """Not as something that is too deep: no limit would do."""
    with pytest.raises(RefusedError, match="among what it is made of") as caught:
        daskpickle.dumps({"a": Endless()})
    assert (caught.value.path, caught.value.type_name) == ("obj['a']", f"{__name__}.Endless")


def test_a_long_key_is_cut() -> None:
    """A key that would fill the screen is shortened."""
    path = path_of({"x" * 1000: Offender()})
    assert path == f"obj['{55 * 'x'}...']"


# --- Errors of users ----------------------------------------------------------------------------


class MyError(TypeError):
    pass


class Raises:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        KeyError("mine"),
        TypeError("mine"),
        AttributeError("mine"),
        OSError("mine"),
        ValueError("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_object_itself_is_a_refusal_that_says_where(error: Exception) -> None:
    """What a ``__reduce__`` raises is caught as what it is, and chained."""
    with pytest.raises(type(error)) as caught:
        daskpickle.dumps({"a": [Raises(error)]})
    refusal = caught.value
    assert isinstance(refusal, RefusedError)
    assert refusal.path == "obj['a'][0]"
    assert f"raised {type(error).__name__}: " in refusal.why
    assert refusal.__cause__ is error


def test_an_error_of_a_class_of_its_own_keeps_its_type() -> None:
    """It is raised, with a note that says where."""
    error = MyError("cannot pickle it")
    with pytest.raises(MyError) as caught:
        daskpickle.dumps({"a": [Raises(error)]})
    assert caught.value is error
    if sys.version_info >= (3, 11):
        assert error.__notes__ == [f"While pickling {__name__}.Raises at `obj['a'][0]`."]


def test_the_note_is_made_once() -> None:
    """The same error, raised twice at the same place, has one note."""
    error = MyError("mine")
    for _ in range(2):
        with pytest.raises(MyError):
            daskpickle.dumps([Raises(error)])
    assert len(getattr(error, "__notes__", ["one"])) == 1


def test_a_failure_that_does_not_happen_again_stays_as_it_is() -> None:
    """Where the second walk succeeds there is no path, and the error is raised."""

    class Once:
        failures = iter([KeyError("first")])

        def __reduce__(self) -> Any:
            for failure in self.failures:
                raise failure
            return int, ()

    with pytest.raises(KeyError, match="first"):
        daskpickle.Pickler(io.BytesIO()).dump([Once()])


def test_a_refusal_inside_of_another_dump_keeps_its_path() -> None:
    """A reducer that pickles by itself reports where in what it pickled."""

    class Nests:
        def __reduce__(self) -> Any:
            return bytes, (daskpickle.dumps({"inner": Offender()}),)

    assert path_of([Nests()]) == "obj['inner']"


# --- Other picklers -----------------------------------------------------------------------------


class Persistent(daskpickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return "known" if isinstance(obj, Holder) else None


class Overriding(daskpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Holder:
            return str, ("seen",)
        return super().reducer_override(obj)


@pytest.mark.parametrize("cls", [Persistent, Overriding])
def test_the_rules_of_a_subclass_hold_for_the_search(cls: type[daskpickle.Pickler]) -> None:
    """What a subclass takes care of is not reported."""
    with pytest.raises(RefusedError) as caught:
        cls(io.BytesIO()).dump([Holder(Offender()), {"a": Offender()}])
    assert caught.value.path == "obj[1]['a']"


def test_the_table_of_an_instance_holds_for_the_search() -> None:
    """What a pickler's own table takes care of is not reported."""
    pickler = daskpickle.Pickler(io.BytesIO())
    pickler.dispatch_table = pickler.dispatch_table.copy()
    pickler.dispatch_table[Holder] = lambda holder: (str, ("seen",))
    with pytest.raises(RefusedError) as caught:
        pickler.dump([Holder(Offender()), Offender()])
    assert caught.value.path == "obj[1]"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_has_paths(protocol: int) -> None:
    """The path is found whatever the protocol."""
    root = [Holder(Slots(1)) if protocol > 1 else Holder(1), closure(Holder(Offender()))]
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps(root, protocol)
    assert caught.value.path == "obj[1]<closure 'value'>.value"


def test_out_of_band_buffers_are_not_given_out_by_the_search() -> None:
    """The callback sees each buffer once: the second walk drops its own."""
    buffers: list[Any] = []
    data = bytearray(10)
    with pytest.raises(RefusedError):
        daskpickle.dumps([pickle.PickleBuffer(data), Offender()], buffer_callback=buffers.append)
    assert len(buffers) == 1


def test_what_is_by_reference_is_not_searched() -> None:
    """A function of a module travels by name: what its globals hold is of no concern."""
    assert pickle.loads(daskpickle.dumps(closure)) is closure
    assert itertools.chain in cloudpickle.loads(daskpickle.dumps([itertools.chain]))
