"""The dispatch table: who says how a class travels, in which order, and since when."""

from __future__ import annotations

import abc
import collections
import copyreg
import gc
import io
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle import (
    DispatchTable,
    Pickler,
    Recipe,
    RefusedError,
    register,
    registrations,
    unregister,
    use_policy,
)
from daskpickle.errors import RegistrationError
from daskpickle.handles import Handle
from daskpickle.pool import count_fired
from daskpickle.table import PLUGIN, ROOM, registry


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """Take back what a test registers, here, in copyreg and in cloudpickle; rooms stay."""
    tables: list[dict[Any, Any]] = [
        registry.actions,
        copyreg.dispatch_table,
        cloudpickle.Pickler._dispatch_table,
        Pickler.dispatch_table._own,
    ]
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        for key in set(table) - set(entries):
            if key.__module__ in (__name__, "lazykit") or key is float:
                del table[key]
        table.update(entries)
    registry.changed()


def travel(obj: Any) -> Any:
    return pickle.loads(daskpickle.dumps(obj))


def says(text: str) -> Callable[[Any], Any]:
    """Return a reducer of which nothing but ``text`` arrives."""
    return lambda obj: (str, (text,))


class Plain:
    pass


class Base:
    def __init__(self, name: Any = "") -> None:
        self.name = name


class Sub(Base):
    pass


class SubSub(Sub):
    pass


class WithReduce(Base):
    def __reduce__(self) -> Any:
        return str, ("its own",)


class WithReduceEx(Base):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return str, ("its own",)


class WithState(Base):
    def __getstate__(self) -> Any:
        return {"name": "its own"}


class WithNewargs(Base):
    def __getnewargs__(self) -> Any:
        return ()


class WithNewargsEx(Base):
    def __getnewargs_ex__(self) -> Any:
        return (), {}


SAYS_ITSELF = [WithReduce, WithReduceEx, WithState, WithNewargs, WithNewargsEx]


class Interface(abc.ABC):
    @abc.abstractmethod
    def read(self) -> Any: ...


@Interface.register
class Virtual:
    def __init__(self) -> None:
        self.name = ""


class Sized(abc.ABC):  # noqa: B024
    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        raise ZeroDivisionError


# --- 1, 2: the class itself ---------------------------------------------------------------------


def test_a_registration_of_the_class_goes_first() -> None:
    """Before those of its bases, copyreg, cloudpickle and its own methods."""
    register(Base, says("base"), subclasses=True)
    copyreg.pickle(WithReduce, says("copyreg"))
    cloudpickle.Pickler.dispatch_table[WithReduce] = says("cloudpickle")
    register(WithReduce, says("registered"))
    assert travel(WithReduce()) == "registered"


def test_a_registration_is_for_the_class_alone() -> None:
    """Without ``subclasses=True`` subclasses travel as ever."""
    register(Base, says("base"))
    assert travel(Base()) == "base"
    assert travel(Sub("n")).name == "n"


def test_a_room_is_imported_on_first_sight(fresh_process: Callable[..., bytes]) -> None:
    """The owner's room, and no other one, when its first object is pickled."""
    fresh_process("""
        import sys, threading
        import daskpickle
        daskpickle.dumps([1, "a", object()])
        assert "daskpickle.reducers.locks" not in sys.modules
        daskpickle.dumps(threading.Event())
        assert "daskpickle.reducers.locks" in sys.modules
        assert "daskpickle.reducers.sqlite" not in sys.modules
    """)


def test_a_user_may_come_before_the_room(fresh_process: Callable[..., bytes]) -> None:
    """What the user registered before a room is imported survives it, and stays the default."""
    fresh_process("""
        import threading
        import daskpickle
        from daskpickle import reducers
        Lock = type(threading.Lock())
        reducers._known.update(("_thread", "threading"))
        daskpickle.register(Lock, lambda lock: (str, ("user",)), action="process")
        daskpickle.register(threading.Event, lambda event: (str, ("mine",)), action="mine")
        reducers._known.clear()
        assert daskpickle.loads(daskpickle.dumps(threading.Lock())) == "user"
        assert daskpickle.loads(daskpickle.dumps(threading.Event())) == "mine"
        actions = {r.action: r for r in daskpickle.registrations() if r.cls is Lock}
        assert actions["process"].default and set(actions) == {"process", "fresh"}, actions
        with daskpickle.use_policy({"threading.Event": "process"}):
            assert type(daskpickle.loads(daskpickle.dumps(threading.Event()))) is threading.Event
    """)


# --- 3: bases -----------------------------------------------------------------------------------


def reduce_named(obj: Any) -> Any:
    return type(obj), (obj.name + "!",)


@pytest.mark.parametrize("cls", [Base, Sub, SubSub])
def test_subclasses_are_rebuilt_as_themselves(cls: type) -> None:
    """A reducer for subclasses passes ``type(obj)`` on."""
    register(Base, reduce_named, subclasses=True)
    received = travel(cls("n"))
    assert type(received) is cls
    assert received.name == "n!"


def test_the_nearest_base_counts() -> None:
    """In the order of the MRO, and only bases that are registered for subclasses."""
    register(Base, says("base"), subclasses=True)
    register(Sub, lambda obj: (SubSub, ("sub",)), subclasses=True)
    assert travel(SubSub()).name == "sub"
    unregister(Sub)
    register(Sub, says("sub alone"))
    with pytest.raises(RefusedError, match="subclass of"):
        travel(SubSub())


@pytest.mark.parametrize("cls", SAYS_ITSELF)
def test_a_class_that_says_itself_how_it_is_pickled_is_left_alone(cls: type) -> None:
    """It, and its own subclasses: they mean what they say."""
    register(Base, says("base"), subclasses=True)
    expected = pickle.loads(pickle.dumps(cls("n")))
    for obj in (cls("n"), types.new_class("Local", (cls,))("n")):
        received = travel(obj)
        assert received == expected or received.name == expected.name


def test_what_copyreg_says_of_a_subclass_counts() -> None:
    """Also when it says so after an object of the class has been pickled."""
    register(Base, reduce_named, subclasses=True)
    assert travel(Sub("n")).name == "n!"
    copyreg.pickle(Sub, says("copyreg"))
    assert travel(Sub("n")) == "copyreg"
    assert travel(SubSub("n")).name == "n!"
    del copyreg.dispatch_table[Sub]
    assert travel(Sub("n")).name == "n!"
    cloudpickle.Pickler.dispatch_table[Sub] = says("cloudpickle")
    assert travel(Sub("n")) == "cloudpickle"


def test_an_abc_counts_for_virtual_subclasses() -> None:
    """A class that was registered with an ABC, and inherits nothing."""
    register(Interface, lambda obj: (type(obj), ()), subclasses=True)
    assert type(travel(Virtual())) is Virtual
    register(Virtual, says("virtual"))
    assert travel(Virtual()) == "virtual"


def test_an_abc_that_raises_is_no_base() -> None:
    """Its ``__subclasshook__`` is anyone's code, and is asked about every class."""
    register(Sized, says("sized"), subclasses=True)
    assert type(travel(Plain())) is Plain


def test_a_reducer_that_makes_the_base_is_made_to_make_the_subclass() -> None:
    """With the attributes and slots that the base does not set; those that it sets are new."""

    class Made:
        __slots__ = ("url",)

        def __init__(self, url: str) -> None:
            self.url = url

    class More(Made):
        __slots__ = ("__dict__", "colour")

        def __init__(self) -> None:
            raise AssertionError("Only the base is made again.")

    register(Made, lambda obj: (Made, (obj.url + "!",)), subclasses=True)
    obj = More.__new__(More)
    obj.url, obj.colour, obj.note = "u", "red", "n"
    received = travel(obj)
    assert type(received).__name__ == "More"
    assert (received.url, received.colour, received.note) == ("u!", "red", "n")


def test_the_state_of_the_base_is_kept_too() -> None:
    """What a base's reducer returns beside its arguments applies to the subclass as well."""
    register(Base, lambda obj: (Base, (1,), {"name": obj.name, "state": 1}), subclasses=True)
    obj = Sub("n")
    obj.mine = [2]  # type: ignore[attr-defined]
    received = travel(obj)
    assert type(received) is Sub
    assert vars(received) == {"name": "n", "state": 1, "mine": [2]}


def test_a_base_with_a_new_of_its_own() -> None:
    """Immutable bases get their arguments in ``__new__``."""

    class Number(float):
        pass

    register(float, lambda obj: (float, (float.__float__(obj) * 2,)), subclasses=True)
    obj = Number(1.5)
    obj.unit = "m"  # type: ignore[attr-defined]
    received = travel(obj)
    assert (type(received).__name__, received, received.unit) == ("Number", 3.0, "m")


def test_a_class_method_of_the_subclass_knows_it() -> None:
    """A bound class method is as good as the class."""

    class Node(Base):
        @classmethod
        def load(cls, name: str) -> Any:
            return cls(name)

    class Leaf(Node):
        pass

    register(Node, lambda obj: (type(obj).load, ("loaded",)), subclasses=True)
    received = travel(Leaf("n"))
    assert (type(received).__name__, received.name) == ("Leaf", "loaded")


def test_the_name_of_a_global_is_for_all() -> None:
    """A reducer that returns a string says: it is importable by that name."""
    register(Base, lambda obj: "SINGLETON", subclasses=True)
    assert travel(SINGLETON) is SINGLETON


SINGLETON = Sub("singleton")


def test_a_reducer_that_does_not_know_subclasses_refuses_them() -> None:
    """Rather than let a base arrive where a subclass was sent."""
    register(Base, says("base"), subclasses=True, hint="Register it.")
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps([Sub()])
    assert str(caught.value) == (
        f"Cannot pickle {__name__}.Sub at `obj[0]`: it is a subclass of {__name__}.Base, whose "
        "reducer does not make subclasses. Register it."
    )


def test_handles_of_subclasses_open_subclasses() -> None:
    """Handle style: what opens the base opens the subclass, with its state."""
    register(Base, recipe=lambda obj: (obj.name,), open=Base, subclasses=True)
    obj = Sub("n")
    obj.extra = 1  # type: ignore[attr-defined]
    handle = travel(obj)
    assert isinstance(handle, Sub)
    from daskpickle.testing import elsewhere

    data = daskpickle.dumps(obj)
    with elsewhere():
        received = pickle.loads(data)
        assert issubclass(type(received), Handle)
        assert (received.name, received.extra) == ("n", 1)


def test_the_order_of_registrations_does_not_matter() -> None:
    """A base that is registered after its subclass was pickled counts from then on."""
    assert travel(Sub("n")).name == "n"
    register(Base, reduce_named, subclasses=True)
    assert travel(Sub("n")).name == "n!"
    unregister(Base)
    assert travel(Sub("n")).name == "n"


# --- Veto ---------------------------------------------------------------------------------------


def refuse(obj: Any) -> Any:
    raise RefusedError(obj, "It is forbidden.")


@pytest.mark.parametrize("cls", [Base, Sub, SubSub, *SAYS_ITSELF])
def test_a_veto_goes_before_everything(cls: type) -> None:
    """Before registrations of the very class, its own methods, copyreg; subclasses included."""
    if cls is not Base:
        register(cls, says("registered"))
    copyreg.pickle(cls, says("copyreg"))
    register(Base, refuse, veto=True)
    with pytest.raises(RefusedError, match="it is forbidden"):
        daskpickle.dumps(cls())


def test_a_veto_of_an_abc() -> None:
    """It holds for virtual subclasses."""
    register(Interface, refuse, veto=True)
    with pytest.raises(RefusedError, match="it is forbidden"):
        daskpickle.dumps(Virtual())


def test_a_veto_that_makes_something_does_not_lose_the_subclass() -> None:
    """A veto is a reducer as any other: it must know subclasses, or refuses them."""
    register(Base, lambda obj: (Base, ("vetoed",)), veto=True)
    assert type(travel(Base())) is Base
    received = travel(WithReduce("n"))
    assert type(received) is WithReduce
    assert received.name == "vetoed"


def test_a_veto_is_an_action_among_others() -> None:
    """A policy that chooses another action of the class lifts it."""
    register(Base, says("travels"), action="travel")
    register(Base, refuse, action="forbid", veto=True, default=True)
    with pytest.raises(RefusedError):
        daskpickle.dumps(Base())
    with use_policy({f"{__name__}.Base": "travel"}):
        assert travel(Base()) == "travels"


# --- 4, 5: others -------------------------------------------------------------------------------


def test_copyreg_counts_at_once_and_as_it_is() -> None:
    """Entries made, replaced and deleted after the class was pickled are seen."""
    assert type(travel(Plain())) is Plain
    copyreg.pickle(Plain, says("one"))
    assert travel([Plain()]) == ["one"]
    copyreg.dispatch_table[Plain] = says("two")  # type: ignore[assignment]
    assert travel([Plain()]) == ["two"]
    del copyreg.dispatch_table[Plain]
    assert type(travel(Plain())) is Plain


def test_cloudpickle_counts_at_once_and_as_it_is() -> None:
    """The same for cloudpickle's own table, which others write to."""
    assert type(travel(Plain())) is Plain
    cloudpickle.Pickler.dispatch_table[Plain] = says("one")
    assert travel([Plain()]) == ["one"]
    cloudpickle.Pickler.dispatch_table[Plain] = says("two")
    assert travel([Plain()]) == ["two"]
    del cloudpickle.Pickler.dispatch_table[Plain]
    assert type(travel(Plain())) is Plain


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_copyreg_counts_for_a_pickler_that_exists(protocol: int) -> None:
    """Between two dumps of one pickler too."""
    file = io.BytesIO()
    pickler = Pickler(file, protocol)
    pickler.dump([Plain()])
    copyreg.pickle(Plain, says("copyreg"))
    register(Base, says("registered"))
    file.seek(0)
    pickler.clear_memo()
    pickler.dump([Plain(), Base()])
    assert pickle.loads(file.getvalue()) == ["copyreg", "registered"]


def test_registrations_count_at_once() -> None:
    """Made, replaced and taken back after the class was pickled."""
    assert type(travel(Plain())) is Plain
    register(Plain, says("one"))
    assert travel([Plain()]) == ["one"]
    register(Plain, says("two"), replace=True)
    assert travel([Plain()]) == ["two"]
    unregister(Plain)
    assert type(travel(Plain())) is Plain


# --- Dask's serializers -------------------------------------------------------------------------


@pytest.fixture
def serializers() -> Iterator[Callable[..., None]]:
    """Register with Dask, and take it back."""
    from distributed.protocol.serialize import dask_deserialize, dask_serialize

    registered: list[type] = []

    def add(cls: type, dumps: Any, loads: Any = lambda header, frames: (header, frames)) -> None:
        dask_serialize.register(cls)(dumps)
        dask_deserialize.register(cls)(loads)
        registered.append(cls)

    yield add
    for cls in registered:
        del dask_serialize._lookup[cls], dask_deserialize._lookup[cls]


def frames_of(obj: Any) -> Any:
    return {"type": type(obj).__name__}, [b"frame"]


def decline(obj: Any) -> Any:
    raise NotImplementedError


class Opaque:
    """As h5py's objects: only Dask's serializer knows how it travels."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("h5py objects cannot be pickled")


class Guarded:
    """Nobody but Dask's serializer can pickle its attribute."""

    def __init__(self) -> None:
        self.pointer = iter(()).__iter__


@pytest.mark.parametrize("cls", [Opaque, Guarded])
def test_dask_serialize_counts_everywhere(cls: type, serializers: Callable[..., None]) -> None:
    """Alone, nested, and beside a function by value, where Dask itself drops it."""
    serializers(cls, frames_of)
    expected = ({"type": cls.__name__}, [b"frame"])
    assert travel(cls()) == expected
    assert travel({"a": [cls()]}) == {"a": [expected]}
    received, function = travel([cls(), lambda: 7])
    assert (received, function()) == (expected, 7)


def test_dask_serialize_counts_for_subclasses_of_any_time(serializers: Callable[..., None]) -> None:
    """Of a base, and when it is registered or replaced after objects were pickled."""
    assert type(travel(Sub())) is Sub
    serializers(Base, lambda obj: ("one", []))
    assert travel([Sub()]) == [("one", [])]
    serializers(Sub, lambda obj: ("two", []))
    assert travel([Sub()]) == [("two", [])]
    from distributed.protocol.serialize import dask_serialize

    dask_serialize._lookup[Sub] = lambda obj: ("three", [])
    assert travel([Sub()]) == [("three", [])]


def test_what_pickles_by_itself_does_so(serializers: Callable[..., None]) -> None:
    """As in Dask, a class that says itself how it is pickled is asked first."""
    serializers(WithReduce, frames_of)
    assert travel([WithReduce()]) == ["its own"]


def test_a_serializer_may_decline(serializers: Callable[..., None]) -> None:
    """``NotImplementedError`` means: pickle it as ever; and if that fails, that error counts."""
    serializers(Plain, decline)
    assert type(travel([Plain()])[0]) is Plain
    serializers(Opaque, decline)
    with pytest.raises(RefusedError, match="h5py objects cannot be pickled"):
        daskpickle.dumps([Opaque()])


def test_a_serializer_that_fails_is_an_error(serializers: Callable[..., None]) -> None:
    """Its error is raised, and keeps its type."""

    def fail(obj: Any) -> Any:
        raise ZeroDivisionError

    serializers(Plain, fail)
    with pytest.raises(ZeroDivisionError):
        daskpickle.dumps([Plain()])


def test_a_registration_goes_before_dask_serialize(serializers: Callable[..., None]) -> None:
    """Of the class; and of a base, unless Dask knows a class that is nearer."""
    serializers(Sub, frames_of)
    register(Base, reduce_named, subclasses=True)
    assert travel(Sub("n")) == ({"type": "Sub"}, [b"frame"])
    register(Sub, says("registered"))
    assert travel(Sub("n")) == "registered"


def test_lazy_registrations_with_dask_count(serializers: Callable[..., None]) -> None:
    """``register_lazy`` runs when an object of its owner is pickled."""
    from distributed.protocol.serialize import dask_deserialize, dask_serialize

    module = types.ModuleType("lazykit")
    cls = type("Thing", (), {"__module__": "lazykit"})
    module.Thing = cls  # type: ignore[attr-defined]
    sys.modules["lazykit"] = module

    @dask_serialize.register_lazy("lazykit")
    def later() -> None:
        serializers(cls, frames_of)

    @dask_deserialize.register_lazy("lazykit")
    def nothing() -> None:
        """Both are registered by the other one."""

    try:
        assert travel([cls()]) == [({"type": "Thing"}, [b"frame"])]
    finally:
        del sys.modules["lazykit"]
        dask_deserialize._lazy.pop("lazykit", None)


def test_arrays_travel_as_ever() -> None:
    """Dask's serializers of numpy's types do not take the place of numpy's own pickling."""
    numpy = pytest.importorskip("numpy")
    import distributed  # noqa: F401

    buffers: list[Any] = []
    array = numpy.arange(10)
    data = daskpickle.dumps({"a": array}, buffer_callback=buffers.append)
    assert data == pickle.dumps({"a": array}, 5, buffer_callback=lambda buffer: None)
    assert len(buffers) == 1
    matrix = travel([numpy.ma.masked_array([1, 2], [True, False])])[0]
    assert matrix.mask.tolist() == [True, False]


# --- The registry -------------------------------------------------------------------------------


def test_duplicates_are_refused() -> None:
    """The error names both reducers and the way out."""
    register(Plain, reduce_named)
    message = (
        rf"{__name__}\.Plain has a reducer for the action 'rebuild' already: "
        rf"{__name__}\.reduce_named\. Pass replace=True to put {__name__}\.refuse in its place\."
    )
    with pytest.raises(RegistrationError, match=message):
        register(Plain, refuse)
    register(Plain, refuse, action="refuse")
    register(Plain, says("replaced"), replace=True)
    assert travel(Plain()) == "replaced"


def test_a_built_in_reducer_is_not_overridden_by_accident() -> None:
    """Its room is imported first, so that the duplicate is seen."""
    with pytest.raises(RegistrationError, match="has a reducer for the action 'process' already"):
        register(threading.Event, says("mine"), action="process")


def test_unregister_says_what_is_known() -> None:
    """Of a class or an action that is not registered; rooms are looked into."""
    register(Plain, says("one"), action="one")
    with pytest.raises(RegistrationError, match=r"is not registered\. Registered are: .*\.Plain"):
        unregister(Base)
    with pytest.raises(RegistrationError, match="Plain, action 'two', is not registered"):
        unregister(Plain, "two")
    unregister(Plain, "one")
    with pytest.raises(RegistrationError, match="is not registered"):
        unregister(Plain)


def test_unregister_finds_what_a_room_would_register(fresh_process: Callable[..., bytes]) -> None:
    """The room of the class is imported, so that it does not bring the reducer back."""
    fresh_process("""
        import threading
        import daskpickle
        daskpickle.unregister(threading.Event)
        assert threading.Event not in {r.cls for r in daskpickle.registrations()}
        daskpickle.dumps(threading.Lock())
        assert threading.Event not in {r.cls for r in daskpickle.registrations()}
    """)


def test_another_action_becomes_the_default() -> None:
    """When the default action is taken back."""
    register(Plain, says("one"), action="one")
    register(Plain, says("two"), action="two")
    unregister(Plain, "one")
    assert travel(Plain()) == "two"
    assert [(r.action, r.default) for r in registrations() if r.cls is Plain] == [("two", True)]


def test_a_class_has_one_default() -> None:
    """The first action, or the last one that says so."""
    for action, default in (("a", False), ("b", False), ("c", True), ("d", False), ("e", True)):
        register(Plain, says(action), action=action, default=default)
        assert sum(r.default for r in registrations() if r.cls is Plain) == 1
    assert travel(Plain()) == "e"
    register(Plain, says("e2"), action="e", replace=True)
    register(Plain, says("a2"), action="a", replace=True)
    assert travel(Plain()) == "e2"


@pytest.mark.parametrize("rank", [ROOM, PLUGIN])
def test_who_comes_later_in_the_order_is_not_overridden(rank: int) -> None:
    """Rooms, plug-ins, the user: each may replace those before it, and not those after it."""
    register(Plain, says("user"))
    with registry.registering(rank):
        register(Plain, says("other"))
        register(Plain, says("other"), replace=True)
        register(Plain, says("another action"), action="another", default=True)
    assert travel(Plain()) == "user"
    with registry.registering(rank):
        register(Base, says("other"))
    assert travel(Base()) == "other"
    with registry.registering(PLUGIN):
        register(Base, says("plug-in"), replace=True)
    assert travel(Base()) == "plug-in"
    register(Base, says("user"), replace=True)
    assert travel(Base()) == "user"


def test_registrations_are_sorted_and_complete() -> None:
    """``load=True`` shows those of all rooms, whether their library was imported or not."""
    found = registrations(load=True)
    assert list(found) == sorted(found, key=lambda r: (r.cls_name, r.action))
    assert {"_thread.lock", "sqlite3.Connection", "socket.socket"} <= {r.cls_name for r in found}
    assert len({(r.cls, r.action) for r in found}) == len(found)


def test_a_registration_keeps_what_it_was_told() -> None:
    """As facts for the documentation."""

    @register(
        Plain, action="copy", scope="process", hint="H.", travels="t", lost="l", refused="r",
        subclasses=True, veto=True,
    )  # fmt: skip
    def reduce_plain(obj: Plain) -> Any:
        return Plain, ()

    (found,) = (r for r in registrations() if r.cls is Plain)
    assert found.reducer is reduce_plain
    facts = (found.action, found.scope, found.hint, found.travels, found.lost, found.refused)
    assert facts == ("copy", "process", "H.", "t", "l", "r")
    assert (found.default, found.subclasses, found.veto) == (True, True, True)
    assert (found.cls_name, found.room) == (f"{__name__}.Plain", __name__)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scope": "galaxy"}, RegistrationError, "'galaxy' is none of process, thread, fresh"),
        ({"recipe": id}, RegistrationError, "recipe= says what travels, open= opens it"),
        ({"open": id}, RegistrationError, "recipe= says what travels, open= opens it"),
        ({"reducer": id, "recipe": id, "open": id}, RegistrationError, "not both"),
        ({"reducer": id, "close": id}, RegistrationError, "need recipe= and open="),
        ({"reset": id}, RegistrationError, "need recipe= and open="),
        ({"recipe": 1, "open": id}, TypeError, "Expected a function for recipe=, got 1"),
        ({"recipe": id, "open": 1}, TypeError, "Expected a function for open=, got 1"),
        (
            {"recipe": id, "open": id, "close": 1},
            TypeError,
            "Expected a function for close=, got 1",
        ),
        (
            {"recipe": id, "open": id, "reset": 1},
            TypeError,
            "Expected a function for reset=, got 1",
        ),
        ({"reducer": 1}, TypeError, "Expected a reduction function, got 1"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: Any, message: str) -> None:
    """When they are given, and not when an object is pickled."""
    with pytest.raises(error, match=message):
        register(Plain, **arguments)
    assert type(travel(Plain())) is Plain


def test_only_classes_can_be_registered() -> None:
    """An instance given by mistake is named."""
    with pytest.raises(TypeError, match="Expected a class to register a reducer for, got 3"):
        register(3, says("three"))  # type: ignore[call-overload]


@pytest.mark.parametrize("cls", [int, dict, list, str, type(None), type, types.FunctionType])
def test_what_the_pickler_never_asks_for_cannot_be_registered(cls: type) -> None:
    """Such a reducer would silently do nothing; for subclasses of the class it works."""
    with pytest.raises(RegistrationError, match="only about those of its subclasses"):
        register(cls, says("never"))


def test_subclasses_of_builtins_can_be_registered_for() -> None:
    """The pickler asks about them."""
    register(dict, lambda obj: (type(obj), ([("seen", True)],)), subclasses=True)
    received = travel([collections.OrderedDict(a=1), {"a": 1}])
    assert received[1] == {"a": 1}
    assert received[0] == {"a": 1}, "OrderedDict says itself how it is pickled"

    class Mine(dict[Any, Any]):
        pass

    assert travel(Mine(a=1)) == {"seen": True}
    daskpickle.unregister(dict)


def test_a_recipe_must_return_a_tuple() -> None:
    """Anything else is a mistake of the registration."""
    register(Plain, recipe=lambda obj: "url", open=Plain)
    with pytest.raises(TypeError, match="recipe= must return a tuple of arguments for open="):
        daskpickle.dumps(Plain())


def test_what_registers_is_returned() -> None:
    """`register` is a decorator, and a call."""

    def reduce_plain(obj: Any) -> Any:
        return Plain, ()

    assert register(Plain, reduce_plain) is reduce_plain
    assert register(Plain, action="other")(reduce_plain) is reduce_plain
    reducer = register(Plain, recipe=lambda obj: (), open=Plain, action="third")
    reduced = reducer(Plain())
    assert isinstance(reduced, Recipe)
    assert reduced.open is Plain
    with use_policy({f"{__name__}.Plain": "third"}):
        assert issubclass(type(travel(Plain)), type)


def test_a_registration_while_others_pickle() -> None:
    """Eight threads pickle while a ninth registers and takes back: each sees one or the other."""
    stop, failures = threading.Event(), []

    def work() -> None:
        while not stop.is_set():
            received = travel([Plain(), Sub("n")])
            if received[0] != "registered" and type(received[0]) is not Plain:
                failures.append(received)
            if received[1].name not in ("n", "n!"):
                failures.append(received)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        register(Plain, says("registered"))
        register(Base, reduce_named, subclasses=True)
        unregister(Plain)
        unregister(Base)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


# --- Tables of instances and subclasses ---------------------------------------------------------


def dump_with(pickler_class: Any, obj: Any, table: Any = None) -> Any:
    file = io.BytesIO()
    pickler = pickler_class(file)
    if table is not None:
        pickler.dispatch_table = table
    pickler.dump(obj)
    return pickle.loads(file.getvalue())


def test_an_instance_may_have_a_table_of_its_own() -> None:
    """As ``p.dispatch_table = copyreg.dispatch_table.copy()`` in the documentation of pickle."""
    register(Plain, says("registered"))
    table: Any = copyreg.dispatch_table.copy()
    assert type(dump_with(Pickler, Plain(), table)) is Plain
    table[Plain] = says("own")
    assert dump_with(Pickler, Plain(), table) == "own"
    assert travel(Plain()) == "registered"


def test_a_copy_of_the_table_is_independent_and_as_live() -> None:
    """A copy knows what is registered later, and keeps what is its own to itself."""
    table = Pickler.dispatch_table.copy()
    assert type(table) is DispatchTable
    table[Plain] = says("own")
    register(Base, says("later"))
    assert dump_with(Pickler, [Plain(), Base()], table) == ["own", "later"]
    assert type(travel(Plain())) is Plain


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_the_table_of_an_instance_can_be_changed_at_any_time(protocol: int) -> None:
    """It is a mapping that the pickler asks, and no copy of one."""
    file = io.BytesIO()
    pickler = Pickler(file, protocol)
    pickler.dispatch_table = pickler.dispatch_table.copy()
    pickler.dump(Plain())
    pickler.clear_memo()
    for text in ("one", "two"):
        pickler.dispatch_table[Plain] = says(text)
        file.seek(0)
        pickler.dump([Plain(), text])
        pickler.clear_memo()
        assert pickle.loads(file.getvalue()) == [text, text]
    del pickler.dispatch_table[Plain]
    file.seek(0)
    pickler.dump(Plain())
    assert type(pickle.loads(file.getvalue())) is Plain


def test_without_a_table_of_its_own_an_instance_has_that_of_its_class() -> None:
    """Also after its own has been deleted."""
    register(Plain, says("registered"))
    file = io.BytesIO()
    pickler = Pickler(file)
    assert pickler.dispatch_table is Pickler.dispatch_table
    pickler.dispatch_table = {}
    assert pickler.dispatch_table == {}
    del pickler.dispatch_table
    assert pickler.dispatch_table is Pickler.dispatch_table
    pickler.dump(Plain())
    assert pickle.loads(file.getvalue()) == "registered"


@pytest.mark.parametrize(
    "make", [dict, lambda t: collections.ChainMap(t, copyreg.dispatch_table), DispatchTable]
)
def test_a_subclass_may_have_a_table_of_its_own(make: Callable[..., Any]) -> None:
    """A class attribute: it is the default for its instances, which may have their own still."""
    register(Plain, says("registered"))
    own = make({})
    own[Base] = says("subclass")

    class Mine(Pickler):
        dispatch_table = own

    assert Mine.dispatch_table is own
    assert dump_with(Mine, Base()) == "subclass"
    expected = "registered" if type(own) is DispatchTable else Plain
    received = dump_with(Mine, Plain())
    assert received == expected or type(received) is expected
    own[Plain] = says("later")
    assert dump_with(Mine, [Plain()]) == ["later"]
    assert dump_with(Mine, [Plain()], {Plain: says("instance")}) == ["instance"]
    assert type(dump_with(Pickler, Base())) is Base

    class Inherits(Mine):
        pass

    assert dump_with(Inherits, Base()) == "subclass"


def test_the_table_of_the_class_can_be_written_to() -> None:
    """``Pickler.dispatch_table[cls] = reducer``, under every policy."""
    with use_policy({"_thread.lock": "fresh"}):
        assert type(travel(Plain())) is Plain
    Pickler.dispatch_table[Plain] = says("table")
    try:
        assert travel(Plain()) == "table"
        with use_policy({"_thread.lock": "fresh"}):
            assert travel(Plain()) == "table"
    finally:
        del Pickler.dispatch_table[Plain]
    with use_policy({"_thread.lock": "fresh"}):
        assert type(travel(Plain())) is Plain


def test_a_table_is_a_mapping_in_every_way() -> None:
    """All ways to write to a dict register; all ways to ask it answer."""
    a, b, c, d = (type(name, (), {"__module__": __name__}) for name in "abcd")
    table = DispatchTable()
    one, two = says("one"), says("two")
    table.update({a: one})
    assert table.setdefault(a, two) is one
    assert table.setdefault(b, two) is two
    table |= {c: one}
    register(d, says("registry"))
    assert [cls in table for cls in (a, b, c, d, int)] == [True, True, True, True, False]
    assert table[a] is table.get(a) is one
    assert table.get(int, 7) == 7
    with pytest.raises(KeyError):
        table[int]
    with pytest.raises(KeyError):
        del table[d]
    assert table.pop(a) is one
    assert table.pop(a, 7) == 7
    with pytest.raises(KeyError):
        table.pop(a)
    assert a not in table
    table.clear()
    assert [cls in table for cls in (b, c, d)] == [False, False, True]
    assert 3 not in table


def test_a_table_can_be_pickled() -> None:
    """With what is its own."""
    table = DispatchTable({"a.B": "c"})
    table[Plain] = reduce_named
    received = travel(table)
    assert type(received) is DispatchTable
    assert received[Plain] is reduce_named


# --- What arrived where nothing is registered ---------------------------------------------------


def test_what_arrived_is_repeated_where_its_class_is_not_registered() -> None:
    """A worker does not know the registrations of the client, and must not guess."""
    from daskpickle.handles import real
    from daskpickle.testing import elsewhere

    register(Base, recipe=lambda obj: (obj.name,), open=Base)
    data = daskpickle.dumps({"b": Base("n")})
    unregister(Base)
    with elsewhere():
        received = pickle.loads(data)
        opened = {"b": real(received["b"])}
        assert type(opened["b"]) is Base
        opened["b"].changed = 1
        assert daskpickle.dumps(received) == data
        assert daskpickle.dumps(opened) == data
        assert vars(travel(Base("local"))) == {"name": "local"}, "made here: as ever"


# --- Nothing leaks ------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [object, threading.Event, Base, dict, Opaque])
def test_short_lived_classes_die(base: type, serializers: Callable[..., None]) -> None:
    """No table keeps a class alive, whichever way it was found; no map grows."""
    register(Base, lambda obj: (str, ()), subclasses=True)
    register(Interface, lambda obj: (str, ()), subclasses=True)
    serializers(Opaque, frames_of)
    classes: weakref.WeakSet[type] = weakref.WeakSet()
    with use_policy({"_thread.lock": "fresh"}):
        pickle_local(base, 1)
    before = sizes()
    for number in range(200):
        if number % 2:
            with use_policy({"_thread.lock": "fresh"}):
                classes.add(pickle_local(base, number))
        else:
            classes.add(pickle_local(base, number))
    collect()
    assert len(classes) == 0
    grown = {name: size - before.get(name, 0) for name, size in sizes().items()}
    assert {name: size for name, size in grown.items() if size > 64} == {}


def pickle_local(base: type, number: int) -> type:
    cls = type(f"Local{number}", (base,), {"__module__": __name__})
    globals()[cls.__name__] = cls  # so that it travels by its name
    try:
        with use_policy({}):
            try:
                daskpickle.dumps([cls(), cls()])
            except RefusedError:
                assert base is Base, "whose reducer does not know subclasses"
    finally:
        del globals()[cls.__name__]
    return cls


def collect() -> None:
    """Collect what is garbage only after other garbage has gone, too."""
    for _ in range(3):
        gc.collect()


def sizes() -> dict[str, int]:
    """The size of everything in our core that could grow, and of Dask's registry."""
    from distributed.protocol.serialize import dask_serialize

    gc.collect()
    found = {"dask": len(dask_serialize._lookup)}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "daskpickle" or module is None:
            continue
        for attribute, value in vars(module).items():
            found.update(count(f"{name}.{attribute}", value))
    return found


def count(name: str, value: Any) -> dict[str, int]:
    if isinstance(value, (dict, list, set, weakref.WeakSet, weakref.WeakKeyDictionary)):
        return {} if name.endswith(("__dict__", "__builtins__")) else {name: len(value)}
    if type(value).__module__.startswith("daskpickle.") and hasattr(value, "__dict__"):
        found: dict[str, int] = {}
        for attribute, inner in vars(value).items():
            found.update(count(f"{name}.{attribute}", inner))
        return found
    return {}


@pytest.mark.slow
def test_a_hundred_thousand_dumps_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of instances of classes that live for one dump."""
    classes: weakref.WeakSet[type] = weakref.WeakSet()
    sample, original = 0, Plain
    monkeypatch.setitem(globals(), "Plain", original)  # put back at the end, whatever happens
    for number in range(100_000):
        cls = type("Local", (), {})
        cls.__qualname__ = cls.__name__ = "Plain"
        cls.__module__ = __name__
        obj = cls()
        globals()["Plain"] = cls
        daskpickle.dumps(obj)
        if number % 1000 == 0:
            classes.add(cls)
            sample += 1
        del cls, obj
        if number % 20_000 == 0:
            gc.collect()
    globals()["Plain"] = original
    collect()
    assert (sample, len(classes)) == (100, 0)


def test_functions_and_classes_by_value_die() -> None:
    """What travels by value is not kept either: functions, their code, local classes."""
    alive: list[weakref.ref[Any]] = []
    for number in range(50):

        class Local:
            def method(self, number: int = number) -> int:
                return number

        def function(local: Any = Local) -> Any:
            return local

        daskpickle.dumps([Local(), function])
        alive += [weakref.ref(Local), weakref.ref(function)]
        del Local, function
    collect()
    assert [ref for ref in alive if ref() is not None] == []


class Named(type):
    """A metaclass whose classes have numbers."""

    number = 0


class Importable(metaclass=Named):
    pass


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_reducer_of_a_metaclass_is_asked_about_its_classes(protocol: int) -> None:
    """It makes local ones; what it declines travels by name, or by value, as without it."""

    class Local(metaclass=Named):
        number = 2

    class Other(metaclass=Named):
        number = 3

    @register(Named)
    def reduce_named(cls: Any) -> Any:
        return (make_named, (cls.number,)) if cls.number == 2 else NotImplemented

    sent = [Local, Other, Importable, Importable()]
    made, other, importable, obj = pickle.loads(daskpickle.dumps(sent, protocol))
    assert made == "number 2"
    assert (other.number, type(other)) == (3, Named)
    assert importable is Importable is type(obj)


def make_named(number: int) -> str:
    return f"number {number}"


def test_a_reducer_for_subclasses_may_decline() -> None:
    """What it declines is pickled as it was without it, and does not count as one of ours."""

    class Base:
        def __init__(self, number: int) -> None:
            self.number = number

    class Derived(Base):
        pass

    @register(Base, subclasses=True)
    def reduce_base(obj: Any) -> Any:
        return (make_numbered, (type(obj), obj.number)) if obj.number < 0 else NotImplemented

    before = count_fired()
    assert travel(Derived(1)).number == 1
    assert count_fired() == before
    assert travel(Derived(-1)) == ("Derived", -1)
    assert count_fired() > before


def make_numbered(cls: type, number: int) -> Any:
    return cls.__name__, number
