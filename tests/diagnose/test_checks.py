"""`check` finds all that cannot travel, where it is, and agrees with the pickler in every case."""

from __future__ import annotations

import functools
import gc
import io
import random
import re
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import dask
import dask.array
import dask.bag
import dask.dataframe
import numpy as np
import pandas as pd
import pytest
from dask._task_spec import Task
from hypothesis import given
from hypothesis import strategies as st

import daskpickle
from daskpickle.diagnose import Report, check
from daskpickle.errors import RefusedError


class Offender:
    """Cannot be pickled, as an object written in C cannot."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot pickle 'Offender' object")


class Holder:
    def __init__(self, value: Any = None, **attributes: Any) -> None:
        self.value = value
        self.__dict__.update(attributes)

    def method(self) -> Any:
        return self.value


class Slots:
    __slots__ = ("__private", "value")

    def __init__(self, value: Any) -> None:
        self.value = self.__private = value


class OwnState(Holder):
    def __getstate__(self) -> Any:
        return {"renamed": [0, self.value]}


class OwnReduce(Holder):
    def __reduce__(self) -> Any:
        return Holder, (1, [self.value])


class Renamed:
    def __init__(self, value: Any) -> None:
        self.hidden = [[value]]

    def __reduce__(self) -> Any:
        return Holder, (self.hidden[0][0],)


class Property(Holder):
    @property
    def shown(self) -> Any:
        return self.value


def by_value(source: str, **names: Any) -> Any:
    """Return ``made`` of code that runs as in a script: what it defines has no module."""
    namespace = {"__name__": "__main__", **names}
    exec(source, namespace)
    return namespace["made"]


def closure(value: Any) -> Any:
    return lambda: value


def default(value: Any) -> Any:
    def made(a: Any, b: Any = value) -> None: ...

    return made


def keyword_default(value: Any) -> Any:
    return by_value("def made(*, key=value): ...", value=value)


def global_variable(value: Any) -> Any:
    return by_value("def made(): return value", value=value)


def class_of_main(value: Any) -> Any:
    return by_value(
        "class made:\n  class Inner:\n    attribute = value\nmade = made.Inner()", value=value
    )


def property_of_main(value: Any) -> Any:
    source = "class made:\n  @property\n  def p(self): return value\nmade = made()"
    return by_value(source, value=value)


def of_function(value: Any) -> Any:
    made = closure(0)
    made.note = value
    return made


def object_array(value: Any) -> Any:
    array = np.empty((2, 2), dtype=object)
    array[1, 0] = value
    return array


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda o: [0, o],
    "tuple": lambda o: (o, "x"),
    "dict": lambda o: {"key": o, 1: 2},
    "set": lambda o: {1, closure(o)},
    "attribute": lambda o: Holder(None, session=o),
    "slot": Slots,
    "property": Property,
    "partial": lambda o: functools.partial(print, 0, o),
    "partial keyword": lambda o: functools.partial(print, sep=o),
    "bound method": lambda o: Holder(o).method,
    "own state": OwnState,
    "own reduction": OwnReduce,
    "closure": closure,
    "default": default,
    "keyword default": keyword_default,
    "global": global_variable,
    "nested class of main": class_of_main,
    "property of main": property_of_main,
    "function attribute": of_function,
    "object array": object_array,
    "dataframe": lambda o: pd.DataFrame({"a": [1, 2], "b": [None, Holder(o)]}),
    "series": lambda o: pd.Series([0, Holder(o)], dtype=object),
    "delayed": lambda o: dask.delayed(Holder(o), pure=False),
    "delayed call": lambda o: dask.delayed(len, pure=False)([Holder(o)]),
    "bag": lambda o: dask.bag.from_sequence([Holder(o)], npartitions=1),
    "array": lambda o: dask.array.zeros(4, chunks=2).map_blocks(closure(o), dtype=float),
    "task": lambda o: Task("key", len, [Holder(o)]),
}


def offender_in(report: Report, root: Any) -> list[Any]:
    return [finding.resolve(root) for finding in report]


@pytest.mark.parametrize("seed", range(200))
def test_one_that_is_planted_at_random_is_found(seed: int) -> None:
    """Wherever it is, it is the only finding, and its path leads to it."""
    chance = random.Random(seed)
    root = offender = Offender()
    for wrap in chance.choices(list(WRAPPERS), k=chance.randint(0, 6)):
        root = WRAPPERS[wrap](root)
    report = check(root)
    assert len(report) == 1
    assert report[0].resolve(root) is offender
    assert report[0].verdict == "refused"
    assert report[0].remedy.endswith("register a reducer for its type.")


@pytest.mark.parametrize("seed", range(20))
def test_all_of_several_are_found(seed: int) -> None:
    """Several offenders in one object are all named, each once."""
    chance = random.Random(seed)
    offenders = [Offender() for _ in range(chance.randint(2, 8))]
    parts = []
    for part in offenders:
        for wrap in chance.choices(list(WRAPPERS), k=chance.randint(0, 4)):
            part = WRAPPERS[wrap](part)
        parts.append(part)
    root = [parts[:2], {"rest": parts[2:]}]
    found = offender_in(check(root), root)
    assert sorted(map(id, found)) == sorted(map(id, offenders))


LEAVES: list[Callable[[], Any]] = [
    Offender,
    threading.Lock,
    lambda: (n for n in range(3)),
    lambda: 1,
    lambda: "text",
    lambda: closure(1),
    object,
    lambda: Holder,
    lambda: np.arange(3),
    lambda: threading.current_thread(),
    lambda: io.BytesIO(b"data"),
    lambda: sys._getframe(),
]


@given(st.data())
def test_it_is_empty_if_and_only_if_dumps_succeeds(data: st.DataObject) -> None:
    """Whatever the object, the pickler and the diagnosis never disagree."""
    leaf = st.sampled_from(LEAVES).map(lambda make: make())
    wrap = st.sampled_from([w for name, w in WRAPPERS.items() if "frame" not in name])
    root = data.draw(
        st.recursive(
            leaf,
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(st.integers(), inner, max_size=3),
                st.builds(lambda w, o: w(o), wrap, inner),
            ),
            max_leaves=6,
        )
    )
    report = check(root)
    try:
        daskpickle.dumps(root)
    except Exception as exc:
        error: Exception | None = exc
    else:
        error = None
    assert bool(report) == (error is not None)
    if isinstance(error, RefusedError):
        assert error.path in {path for f in report for path in (f.path, *f.also)}


def test_the_policy_of_the_context_holds() -> None:
    """What the policy refuses is found, with the sentence that says so."""
    lock = threading.Lock()
    assert not check([lock])
    with daskpickle.use_policy({"_thread.lock": "refuse"}):
        report = check([lock])
    assert [(f.path, f.why) for f in report] == [("obj[0]", "The policy refuses it.")]


# --- What a finding says --------------------------------------------------------------------------

HERE = r"tests/diagnose/test_checks\.py:\d+"
CAPTURED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "root": (lambda o: o, "the object itself"),
    "closure": (closure, rf"variable .value. in the closure of closure\..+<lambda> \(.*{HERE}\)"),
    "through a closure": (lambda o: closure(Holder([o])), r"variable 'value' in the closure of .*"),
    "global": (global_variable, r"global variable 'value' of made \(<string>:1\)"),
    "default": (default, rf"default of the parameter 'b' of default\.<locals>\.made \(.*{HERE}\)"),
    "attribute": (lambda o: Holder(x=o), rf"attribute 'x' of {__name__}\.Holder"),
    "item": (lambda o: {"k": o}, r"item \['k'\] of dict"),
    "set item": (lambda o: {o}, r"item <item> of set"),
    "bound method": (
        lambda o: Holder(o).method, rf"object of the bound method {__name__}\.Holder\.method"
    ),
    "partial": (lambda o: functools.partial(print, o), r"argument \[0\] of functools\.partial"),
    "state": (Renamed, rf"what {__name__}\.Renamed is reduced to"),
}  # fmt: skip


@pytest.mark.parametrize("case", CAPTURED)
def test_a_finding_says_how_it_was_captured(case: str) -> None:
    """By which variable of which function at which line, or in which attribute or item."""
    make, expected = CAPTURED[case]
    (finding,) = check(make(Offender()))
    assert re.fullmatch(expected, finding.captured), finding.captured


def test_a_finding_has_the_facts_of_the_refusal() -> None:
    """Type, owner, reason and remedy are those that `dumps` would give."""
    root = {"rows": (n for n in range(3))}
    (finding,) = check(root)
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps(root)
    error = caught.value
    assert (finding.path, finding.why, finding.remedy, finding.type_name) == (
        error.path, error.why, error.hint, error.type_name,
    )  # fmt: skip
    assert finding.owner == "builtins"


def test_what_travels_is_told_too() -> None:
    """Handles by recipe with their action, functions by value, and what is sent by name alone."""
    report = check([threading.Lock(), closure(1)])
    assert [(f.path, f.verdict, f.action) for f in report.travels] == [
        ("obj[0]", "by recipe", "process"),
        ("obj[1]", "by value", ""),
    ]
    assert [f.verdict for f in check(closure).travels] == ["by reference"]
    assert "the workers import it" in repr(check(closure))


def test_a_call_is_checked_with_its_arguments() -> None:
    """Paths start at the function, at args and at kwargs; `resolve` takes the same call."""
    first, second, third = Offender(), Offender(), Offender()
    function = closure(first)
    report = check(function, 1, [second], key=Holder(third))
    assert [f.path for f in report] == [
        "<lambda><closure 'value'>", "args[1][0]", "kwargs['key'].value",
    ]  # fmt: skip
    found = [f.resolve(function, 1, [second], key=Holder(third)) for f in report]
    assert found == [first, second, third]


def test_all_ways_to_one_object_are_told_together() -> None:
    """An object that is met several times is one finding."""
    offender = Offender()
    (finding,) = check([offender, {"k": offender}])
    assert (finding.path, finding.also) == ("obj[0]", ("obj[1]['k']",))


def test_two_of_one_set_are_told_apart() -> None:
    """Items of a set have no names, and yet each finding leads to its own."""
    root = {Offender(), Offender()}
    report = check(root)
    assert [f.path for f in report] == ["obj<item>", "obj<item>"]
    assert set(offender_in(report, root)) == root


def test_a_path_that_leads_nowhere_any_more_is_an_error() -> None:
    """If the object has been changed since, `resolve` says so."""
    root = [Offender()]
    (finding,) = check(root)
    root.clear()
    with pytest.raises(LookupError, match=r"no .*Offender at obj\[0\]"):
        finding.resolve(root)


def test_collections_of_dask_name_task_and_argument() -> None:
    """The key of the task is a fact, and the path goes on inside the task."""
    offender = Offender()
    root = dask.delayed(len)([1, Holder(offender)], dask_key_name="my-key")
    (finding,) = check(root)
    assert finding.key == "my-key"
    assert re.match(r"task 'my-key'\.args\[0\]", finding.path)
    assert finding.resolve(root) is offender

    bag = dask.bag.from_sequence([1, 2], npartitions=1).map(closure(offender))
    (finding,) = check(bag)
    assert finding.key is not None
    assert finding.key.startswith("('lambda-")
    assert finding.resolve(bag) is offender


def test_a_report_holds_nothing_that_was_checked() -> None:
    """What was checked can be collected while the report is kept."""
    holder = Holder(Offender())
    report = check([closure(holder)])
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None
    assert len(report) == 1


def test_nothing_happens_to_what_is_checked(tmp_path: Any) -> None:
    """A file stays where it is, a lock as it is."""
    (tmp_path / "f").write_text("some text")
    lock = threading.Lock()
    with (tmp_path / "f").open() as file, lock:
        file.read(4)
        check([file, lock])
        assert (file.read(), lock.locked()) == (" text", True)


# --- What must not happen -------------------------------------------------------------------------


class BadRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __reduce__(self) -> Any:
        raise ValueError(self)

    __str__ = __repr__


class BadGetattr:
    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")


class BadGetattribute:
    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class BadClass:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no class")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot pickle it")


class BadMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__mro__", "__qualname__", "__module__"):
            raise KeyError(name)
        return super().__getattribute__(name)


class BadType(metaclass=BadMeta):
    pass


class Endless:
    def __reduce__(self) -> Any:
        return Endless, (Endless(), Endless())


class Exits:
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class BadState:
    def __getstate__(self) -> Any:
        raise LookupError("no state")


class BadHash:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __reduce__(self) -> Any:
        return BadHash, 5


class LongWords:
    def __reduce__(self) -> Any:
        raise ValueError("x" * 10**6)


def cycle() -> Any:
    ring: list[Any] = [Offender()]
    ring.append({"ring": ring, "holder": Holder(ring)})
    return ring


def nested(depth: int) -> Any:
    value: Any = Offender()
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: dict[str, Callable[[], Any]] = {
    "repr": BadRepr,
    "getattr": BadGetattr,
    "getattribute": BadGetattribute,
    "class": BadClass,
    "metaclass": BadType,
    "endless": Endless,
    "exits": Exits,
    "state": BadState,
    "comparison": BadHash,
    "long words": LongWords,
    "cycle": cycle,
    "3 000 levels": lambda: nested(3_000),
    "100 000 levels": lambda: nested(100_000),
    "deep attributes": lambda: functools.reduce(lambda o, _: Holder(o), range(20_000), None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_that_objects_do_ends_it(case: str) -> None:
    """Hostile objects, cycles and depth are findings; each report can be shown in every form."""
    limit, stack = sys.getrecursionlimit(), threading.stack_size()
    root = {"first": HOSTILE[case](), "second": [Offender()]}
    report = check(root)
    assert report
    assert all(finding.why and finding.remedy for finding in report)
    assert len(repr(report)) < 40_000
    assert len(report._repr_html_()) < 40_000
    assert report.facts()["ships"] is False
    assert (sys.getrecursionlimit(), threading.stack_size()) == (limit, stack)
    if "levels" not in case and "deep" not in case and case != "endless":
        assert "obj['second'][0]" in [f.path for f in report]
    dismantle(root)


def dismantle(root: Any) -> None:
    """Take deep nesting apart step by step; freeing it all at once would take a deep stack."""
    todo = [root]
    while todo:
        obj = todo.pop()
        if type(obj) in (list, dict):
            todo.extend(obj if type(obj) is list else obj.values())
            obj.clear()


def test_deep_nesting_that_dumps_can_follow_is_no_finding() -> None:
    """A few hundred levels travel, and are no reason to give up."""
    root: Any = threading.Lock()
    for _ in range(400):
        root = [root]
    assert not check(root)
    assert check(root).complete


def test_what_fails_only_now_and_then_is_told_without_a_place() -> None:
    """If the walk does not see the failure again, it is told at the root."""

    class Once:
        failures = iter([KeyError("first")])

        def __reduce__(self) -> Any:
            for failure in self.failures:
                raise failure
            return int, ()

    (finding,) = check([Once()])
    assert finding.path == "obj"
    assert finding.why.endswith("KeyError: 'first'.")


@pytest.fixture
def large() -> list[Any]:
    return [[n] for n in range(50_000)]


def test_long_walks_say_how_far_they_are(large: list[Any]) -> None:
    """Each so many objects, the progress is told."""
    told: list[int] = []
    check(large, _progress=told.append)
    assert told == sorted(told)
    assert told[0] >= 20_000


# --- Its forms ------------------------------------------------------------------------------------


def test_the_text_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide."""
    report = check({"k" * 300: [closure(Offender())], "lock": threading.Lock()})
    for columns in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, repr(report).splitlines())) <= columns


def test_the_text_says_all() -> None:
    """Path, capture, reason, remedy, and a count."""
    offender = Offender()
    text = repr(check({"f": closure(offender), "again": offender}))
    assert text.startswith("dict cannot travel  1 of ")
    for line in ("at    obj['f']<closure 'value'>", "how   variable 'value'", "why   It is tied",
                 "do    Create it where", "also  obj['again']"):  # fmt: skip
        assert line in text
    assert repr(check([threading.Lock()])).startswith("list travels")


def test_the_html_is_escaped() -> None:
    """Nothing of an object becomes markup."""
    page = check({"<script>alert(1)</script>": Offender()})._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
