"""Handles: stand-ins that open at first real use, and at nothing else; and their recipes."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import copy
import doctest
import functools
import inspect
import operator
import os
import pickle
import pprint
import reprlib
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest
from labs import Lab, Slim, as_task, in_threads, open_lab, registered, reset_lab, sent

import daskpickle
from daskpickle import Recipe, handles, register, unregister
from daskpickle.errors import RefusedError
from daskpickle.handles import Handle, call_method, handle_type, pool, real
from daskpickle.testing import elsewhere


@pytest.fixture(autouse=True)
def other_process() -> Iterator[None]:
    with elsewhere():
        pool.counts.clear()
        Lab.opened.clear()
        yield
        Lab.opened.clear()


class Everything:
    """Defines all that a handle forwards; each says its name and its arguments."""

    attribute = "class attribute"

    def __init__(self) -> None:
        self.items = [1, 2]

    def method(self, *args: Any) -> Any:
        return "method", args

    @property
    def computed(self) -> str:
        return "computed"

    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> type:
        return cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return "called", args, kwargs

    def __enter__(self) -> Any:
        return "entered"

    def __exit__(self, *exc: Any) -> bool:
        return exc[0] is KeyError

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __next__(self) -> Any:
        return "next"

    def __getitem__(self, key: Any) -> Any:
        return "item", key

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def __delitem__(self, key: Any) -> None:
        self.items.remove(key)

    def __contains__(self, key: Any) -> bool:
        return key in self.items

    def __reversed__(self) -> Any:
        return reversed(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __fspath__(self) -> str:
        return "/path"

    def __await__(self) -> Iterator[Any]:
        yield from ()
        return "awaited"

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *exc: Any) -> None:
        self.items.append("exited")

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        if not self.items:
            raise StopAsyncIteration
        return self.items.pop()


def named(name: str) -> Any:
    return lambda self, *args: (name, *args)


VALUES = {"int": 7, "index": 7, "float": 7.5, "complex": 7j, "bytes": b"7", "length_hint": 7}
for _name, _value in VALUES.items():
    setattr(Everything, f"__{_name}__", lambda self, value=_value: value)
BINARY = "add sub mul matmul truediv floordiv mod divmod pow and or xor lshift rshift".split()
for _name in BINARY:
    for _prefix in ("", "r", "i"):
        if (_prefix, _name) != ("i", "divmod"):
            setattr(Everything, f"__{_prefix}{_name}__", named(_prefix + _name))
for _name in "neg pos abs invert round trunc floor ceil lt le gt ge".split():
    setattr(Everything, f"__{_name}__", named(_name))


class Nothing:
    """Has no special method of its own; its metaclass has some."""

    class Meta(type):
        def __call__(cls, *args: Any) -> Any:
            return super().__call__(*args)

        def __len__(cls) -> int:
            return 3

        def __iter__(cls) -> Any:
            return iter(())

    class Plain(metaclass=Meta):
        __contains__ = None

        def method(self) -> str:
            return "method"


opened: list[Any] = []


def open_of(cls: Any, *args: Any) -> Any:
    obj = cls(*args)
    opened.append(obj)
    return obj


def handle_of(cls: type, *args: Any, scope: str = "process", **facts: Any) -> Any:
    """Return a handle that has not been opened."""
    opened.clear()
    recipe = Recipe(open_of, cls, *args, token=os.urandom(8).hex(), **facts)
    recipe.bind(None, cls, scope)
    return handles.rebuild_handle(*recipe.reduce()[1])


# --- Inert --------------------------------------------------------------------------------------


def scan_doctests(h: Any) -> Any:
    module = types.ModuleType("scanned")
    module.handle = h  # type: ignore[attr-defined]
    return doctest.DocTestFinder().find(module)


def attributes_of_all(h: Any) -> Any:
    return [getattr(h, name, None) for name in dir(type(h))]


class Hook:
    """Looks up what pytest, mock and IPython do."""

    @staticmethod
    def ipython(h: Any) -> Any:
        names = ["_ipython_canary_method_should_not_exist_", "_ipython_display_"]
        names += [f"_repr_{kind}_" for kind in "html markdown svg png pdf jpeg latex json".split()]
        return [getattr(h, name, None) for name in [*names, "_repr_mimebundle_"]]


INERT: dict[str, Callable[[Any], Any]] = {
    "isinstance": lambda h: [isinstance(h, c) for c in (int, dict, type, Everything)],
    "isinstance of an ABC": lambda h: isinstance(h, collections.abc.Mapping),
    "issubclass of its type": lambda h: issubclass(type(h), collections.abc.Sized),
    "hash": hash,
    "repr": repr,
    "str": str,
    "format": lambda h: f"{h} {h!r} {h:}",
    "bool": bool,
    "not": operator.not_,
    "equal": lambda h: (h == 1, h != 1, h == h, h is None, [h] == [1], h == [h]),
    "contained": lambda h: (h in [1, h], [h].index(h), {h: 1}[h], h in {h}),
    "dir": dir,
    "type": type,
    "class": lambda h: h.__class__,
    "callable": callable,
    "doc": lambda h: (h.__doc__, h.__module__),
    "dunders": lambda h: [getattr(h, f"__{n}__", 0) for n in ("dict", "wrapped", "array", "name")],
    "dask": lambda h: [
        hasattr(h, f"__dask_{n}__") for n in ("graph", "tokenize", "keys", "postcompute")
    ],
    "attributes of its type": attributes_of_all,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda h: pickle.loads(pickle.dumps(h)),
    "cloudpickle": lambda h: cloudpickle.loads(cloudpickle.dumps([h, lambda: h])),
    "daskpickle": lambda h: daskpickle.loads(daskpickle.dumps({"a": h})),
    "reduce": lambda h: h.__reduce_ex__(4),
    "weak reference": lambda h: weakref.ref(h)(),
    "size": sys.getsizeof,
    "iscoroutinefunction": lambda h: (
        inspect.iscoroutinefunction(h), asyncio.iscoroutine(h), inspect.isawaitable(1)
    ),
    "inspect": lambda h: [
        test(h)
        for name, test in vars(inspect).items()
        if name.startswith("is") and name not in ("isabstract", "isawaitable")
    ],
    "unwrap": inspect.unwrap,
    "getmodule": inspect.getmodule,
    "getattr_static": lambda h: inspect.getattr_static(h, "method", None),
    "doctest": scan_doctests,
    "pprint": pprint.pformat,
    "reprlib": reprlib.repr,
    "ipython": Hook.ipython,
    "dispatch": lambda h: functools.singledispatch(lambda obj: 1)(h),
    "partial": lambda h: functools.partial(print, h).args,
}  # fmt: skip


@pytest.mark.parametrize("cls", [Everything, Nothing.Plain, Lab])
@pytest.mark.parametrize("how", INERT)
def test_introspection_opens_nothing(how: str, cls: type) -> None:
    """Looking at a handle is not using it."""
    handle = handle_of(cls)
    INERT[how](handle)
    assert opened == []
    assert len(pool) == 0


def test_dask_looks_and_opens_nothing() -> None:
    """What Dask asks of every argument, key and result."""
    import dask.base
    import dask.sizeof
    import dask.utils
    from distributed.utils import iscoroutinefunction

    for cls in (Lab, Nothing.Plain):  # Dask makes lists of iterators, of any class
        handle = handle_of(cls)
        assert not dask.base.is_dask_collection(handle)
        assert dask.sizeof.sizeof(handle) > 0
        assert dask.sizeof.sizeof([handle, {"a": handle}]) > 0
        assert "Handle" in dask.utils.typename(type(handle))
        assert dask.utils.funcname(handle)
        assert not iscoroutinefunction(handle)
        assert len(dask.base.unpack_collections(handle)[0]) == 0
        assert opened == []


def test_what_introspection_says() -> None:
    """It looks like the object where it can, and like itself where it must."""
    handle = handle_of(Everything)
    assert isinstance(handle, Everything)
    assert handle.__class__ is Everything
    assert not isinstance(handle, Nothing.Plain)
    assert issubclass(type(handle), Handle)
    assert not issubclass(type(handle), Everything)
    assert repr(handle) == str(handle) == f"<handle of {__name__}.Everything>"
    assert bool(handle) is True
    assert set(dir(handle)) == set(dir(Everything))
    assert callable(handle)
    assert not callable(handle_of(Nothing.Plain))


def test_it_is_equal_to_what_stands_for_the_same() -> None:
    """By token and state; not to the object itself, whose ``==`` might be anything."""
    lab = Lab(["x"])
    with registered("process"):
        data = daskpickle.dumps(lab)
        lab.name.append("y")
        other = daskpickle.dumps(lab)
    with elsewhere():
        one, two, three = (daskpickle.loads(d) for d in (data, data, other))
        assert one == two
        assert hash(one) == hash(two)
        assert one != three, "another state"
        assert len({one, two, three}) == 2
        assert one != daskpickle.loads(sent("process"))
        assert one != real(one)
        assert one == one.__copy__() if hasattr(one, "__copy__") else True


@pytest.mark.parametrize("name", sorted(dict.fromkeys(BINARY)))
def test_a_class_without_operators_gives_a_handle_without(name: str) -> None:
    """What the metaclass has, or sets to None, is not the object's."""
    handle = handle_of(Nothing.Plain)
    defined = {name for base in type(handle).__mro__[:-1] for name in vars(base)}
    others = "call iter len contains getitem lt enter next".split()
    assert not {f"__{n}__" for n in (name, "r" + name, "i" + name, *others)} & defined
    with pytest.raises(TypeError):
        handle < handle  # noqa: B015
    assert opened == []


# --- Real use -----------------------------------------------------------------------------------


async def use_async(h: Any) -> list[Any]:
    async with h as entered:
        found = [entered]
    found += [item async for item in h]
    return [*found, await h]


def with_error(h: Any) -> str:
    with h as entered:
        raise KeyError
    return str(entered)


def delete_item(h: Any) -> Any:
    h["k"] = "v"
    del h["k", "v"]
    return list(h)


USES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "method": (lambda h: h.method(1), ("method", (1,))),
    "attribute": (lambda h: h.attribute, "class attribute"),
    "property": (lambda h: h.computed, "computed"),
    "static method": (lambda h: h.static(), "static"),
    "class method": (lambda h: h.of_class(), Everything),
    "instance attribute": (lambda h: h.items, [1, 2]),
    "call": (lambda h: h(1, b=2), ("called", (1,), {"b": 2})),
    "with": (with_error, "entered"),
    "async": (lambda h: asyncio.run(use_async(h)), ["entered", "exited", 2, 1, "awaited"]),
    "iter": (list, [1, 2]),
    "next": (next, "next"),
    "getitem": (lambda h: h["k"], ("item", "k")),
    "delitem": (delete_item, [1, 2]),
    "contains": (lambda h: (1 in h, 5 in h), (True, False)),
    "reversed": (lambda h: list(reversed(h)), [2, 1]),
    "len": (len, 2),
    "length_hint": (operator.length_hint, 2),
    "fspath": (os.fspath, "/path"),
    "int": (int, 7), "float": (float, 7.5), "complex": (complex, 7j), "bytes": (bytes, b"7"),
    "index": (operator.index, 7),
    "round": (lambda h: round(h, 1), ("round", 1)),
    "pow": (lambda h: pow(h, 2, 3), ("pow", 2, 3)),
    "abs": (abs, ("abs",)), "neg": (operator.neg, ("neg",)), "pos": (operator.pos, ("pos",)),
    "invert": (operator.invert, ("invert",)),
    "lt": (lambda h: h < 1, ("lt", 1)), "ge": (lambda h: h >= 1, ("ge", 1)),
    "divmod": (lambda h: divmod(h, 3), ("divmod", 3)),
    **{
        n: (lambda h, f=getattr(operator, {"and": "and_", "or": "or_"}.get(n, n)): f(h, 3), (n, 3))
        for n in BINARY if n != "divmod"
    },
    **{
        "r" + n: (
            lambda h, f=getattr(operator, {"and": "and_", "or": "or_"}.get(n, n)): f("3", h),
            ("r" + n, "3"),
        )
        for n in BINARY if n not in ("divmod", "mod")  # a string has its own "%"
    },
    **{
        "i" + n: (lambda h, f=getattr(operator, "i" + n): f(h, 3), ("i" + n, 3))
        for n in BINARY if n != "divmod"
    },
}  # fmt: skip


@pytest.mark.parametrize("how", USES)
def test_use_opens_it(how: str) -> None:
    """Once; and gives what the object gives."""
    use, expected = USES[how]
    handle = handle_of(Everything)
    try:
        found = use(handle)
    except KeyError:
        found = None
    assert found == expected if how != "with" else found is None or found == expected
    assert len(opened) == 1
    assert use(Everything()) == expected if how != "with" else True


def test_a_with_statement_ends_as_the_object_says() -> None:
    """``__exit__`` gets the error, and may swallow it."""
    handle = handle_of(Everything)
    with handle as entered:
        raise KeyError
    assert entered == "entered"
    with pytest.raises(ValueError, match="not swallowed"), handle:
        raise ValueError("not swallowed")
    assert len(opened) == 1


def test_attributes_are_set_and_deleted_on_the_object() -> None:
    """The handle has none of its own."""
    handle = handle_of(Everything)
    handle.new = 1
    assert (handle.new, opened[0].new) == (1, 1)
    del handle.new
    assert not hasattr(opened[0], "new")
    with pytest.raises(AttributeError, match="no attribute 'new'"):
        handle.new  # noqa: B018
    with pytest.raises(AttributeError):
        del handle.new


def test_methods_can_be_passed_around() -> None:
    """A method is looked up without opening anything, travels, and opens when it is called."""
    handle = handle_of(Everything)
    method = handle.method
    assert opened == []
    received = pickle.loads(daskpickle.dumps([method]))[0]
    assert opened == []
    assert method(1) == received(1) == call_method(handle, "method", 1) == ("method", (1,))
    assert len(opened) == 1


class Shadowed(Everything):
    method = property(lambda self: "a property now")  # type: ignore[assignment]


def test_looking_up_a_method_opens_nothing() -> None:
    """Nor does looking for ``close``."""
    handle = handle_of(Lab)
    assert callable(handle.ping)
    assert hasattr(handle, "close")
    assert opened == []
    handle.close()
    assert opened == []
    assert hasattr(handle, "record"), "an attribute is real use"
    assert len(opened) == 1


def test_the_nearest_definition_of_a_name_counts() -> None:
    """A subclass may turn a method into a property."""
    assert handle_of(Shadowed).method == "a property now"


def test_real_gives_the_object() -> None:
    """For C functions that ask for the very type; other objects are given back."""
    handle = handle_of(Everything)
    assert type(real(handle)) is Everything
    assert real(handle) is opened[0]
    assert real(3) == 3
    assert real(Everything) is Everything


def test_types_of_handles_are_made_once() -> None:
    """For each class, and go with it."""
    assert handle_type(Everything) is handle_type(Everything)
    assert handle_type(Everything) is not handle_type(Lab)
    cls = type("Short", (), {})
    gone = weakref.ref(handle_type(cls))
    assert gone() is not None
    del cls
    import gc

    for _ in range(3):
        gc.collect()
    assert gone() is None


def test_close_is_there_if_the_class_has_it() -> None:
    """And by the name that the class has for it."""

    class Device:
        def __init__(self) -> None:
            self.down = 0

        def shut_down(self) -> None:
            self.down += 1

    register(Device, recipe=lambda d: (), open=Device, close=Device.shut_down)
    try:
        data = daskpickle.dumps(Device())
        with elsewhere():
            handle = daskpickle.loads(data)
            assert not hasattr(handle, "close")
            device = real(handle)
            handle.shut_down()
            assert device.down == 0, "it is detached"
            device.shut_down()
            assert device.down == 0, "the object that tasks share is, too"
            pool.close_all()
            assert device.down == 1
    finally:
        unregister(Device)
    assert not hasattr(handle_of(Nothing.Plain), "close")


def test_threads_may_share_a_handle() -> None:
    """One handle that eight threads use at once opens one object per scope."""
    for scope, expected in (("process", 1), ("thread", 8)):
        handle = daskpickle.loads(sent(scope))
        Lab.opened.clear()
        barrier = __import__("threading").Barrier(8)

        def use(_: int, handle: Any = handle, barrier: Any = barrier) -> int:
            number = handle.ping()
            barrier.wait()
            return int(number)

        assert len(set(in_threads(8, use))) == expected
        assert len(Lab.opened) == expected


# --- Recipes ------------------------------------------------------------------------------------


def test_defaults_of_a_recipe() -> None:
    """They follow from the scope and from what else there is."""
    for scope, reset, bound, drop in (
        ("thread", None, True, True),
        ("thread", reset_lab, True, False),
        ("process", None, False, False),
        ("fresh", None, False, False),
    ):
        recipe = Recipe(open_lab, "x", reset=reset).bind(Lab(), Lab, scope)
        assert (recipe.thread_bound, recipe.drop_on_failure) == (bound, drop)
        assert recipe.scope == scope
    assert Recipe(open_lab).bind(Lab(), Lab, "").scope == "process"
    explicit = Recipe(open_lab, thread_bound=False, drop_on_failure=False, token="t")
    explicit.scope = "thread"
    explicit.bind(Lab(), Lab, "process")
    facts = explicit.scope, explicit.thread_bound, explicit.drop_on_failure, explicit.token
    assert facts == ("thread", False, False, "t")


def test_a_recipe_does_not_show_its_arguments() -> None:
    """They may be secret."""
    recipe = Recipe(open_lab, "password", key="secret").bind(Lab(), Lab, "process")
    assert repr(recipe) == "<Recipe of labs.Lab, scope 'process'>"
    assert "password" not in repr(handles.rebuild_handle(*recipe.reduce()[1]))


def test_keyword_arguments_reach_open() -> None:
    """As they were given."""
    recipe = Recipe(lambda *args, **kwargs: (args, kwargs), 1, a=2).bind(Lab(), tuple, "process")
    assert real(handles.rebuild_handle(*recipe.reduce()[1])) == ((1,), {"a": 2})


def test_older_recipes_are_still_loaded() -> None:
    """The first version of the wire format had six arguments; the others have defaults."""
    handle = handles.rebuild_handle(Lab, "process", "token", open_lab, ("old",), {})
    assert handle.name == "old"
    handle = handles.rebuild_handle(Lab, "thread", "t", open_lab, (1,), {}, Lab.close, reset_lab)
    assert handle.name == 1


def test_what_takes_no_weak_references_goes_by_its_recipe() -> None:
    """Two that are opened in the same way are one; the bytes are the same."""
    register(Slim, lambda obj: Recipe(open_lab, obj.name), scope="process")
    try:
        first, second, third = (daskpickle.dumps(Slim(name)) for name in ("a", "a", "b"))
        assert first == second != third
        with elsewhere():
            assert as_task(first) == as_task(second) != as_task(third)
    finally:
        unregister(Slim)


def test_what_has_no_identity_at_all_is_refused() -> None:
    """It takes no weak references, and its recipe holds what only a token would tell apart."""
    import threading

    register(Slim, lambda obj: Recipe(open_lab, obj.name), scope="process")
    try:
        with pytest.raises(
            RefusedError, match=r"no weak references.*Pass token= to Recipe"
        ) as caught:
            daskpickle.dumps([Slim(threading.Lock())])
    finally:
        unregister(Slim)
    assert caught.value.path == "obj[0]"


def test_states_are_compared_and_not_shown() -> None:
    """A state is equal to one of the same value, has its hash, and nothing else."""
    same = [Recipe(open_lab, ["x", {"y": 1}], a=b"z").state for _ in range(2)]
    assert same[0] == same[1]
    assert hash(same[0]) == hash(same[1])
    others = [
        Recipe(open_lab, ["x", {"y": 2}], a=b"z"), Recipe(open_lab, ["x", {"y": 1}]),
        Recipe(open_of, ["x", {"y": 1}], a=b"z"), Recipe(open_lab, ("x", {"y": 1}), a=b"z"),
        Recipe(open_lab, ["x", {"y": True}], a=b"z"),
    ]  # fmt: skip
    assert all(other.state != same[0] for other in others)
    assert same[0] != 1


class BadHash:
    def __hash__(self) -> int:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


def test_a_state_of_anything_can_be_made() -> None:
    """Arguments that cannot be hashed or compared are equal to themselves only."""
    recipe = Recipe(open_lab, BadHash())
    assert recipe.state == recipe.state
    assert hash(recipe.state) == hash(recipe.state)
    with contextlib.suppress(RuntimeError):
        assert recipe.state != Recipe(open_lab, BadHash()).state


def test_handles_in_a_state_are_compared_by_what_they_stand_for() -> None:
    """Opened or not."""
    data = sent("process")
    with handles.running_task():
        lazy = daskpickle.loads(data)
        with handles.opening():
            opened_lab = daskpickle.loads(data)
        states = [Recipe(open_lab, x).state for x in (lazy, opened_lab, daskpickle.loads(data))]
        assert states[0] == states[1] == states[2]
        assert states[0] != Recipe(open_lab, daskpickle.loads(sent("process"))).state


class Numbers:
    """Holds numbers, and is sent as a handle."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)


def test_what_iterates_over_a_handle_opens_nothing_when_it_is_loaded() -> None:
    """`map` asks for an iterator where it is made; the first item opens what is iterated over."""
    register(Numbers, recipe=lambda obj: obj.numbers, open=Numbers)
    try:
        data = daskpickle.dumps(Numbers(1, 2, 3))
    finally:
        unregister(Numbers)
    with elsewhere():
        handle = daskpickle.loads(data)
        mapped = map(str, handle)
        again = daskpickle.dumps(mapped)
        assert len(pool) == 0
        assert list(mapped) == ["1", "2", "3"]
        assert len(pool) == 1
        assert list(daskpickle.loads(again)) == ["1", "2", "3"]
