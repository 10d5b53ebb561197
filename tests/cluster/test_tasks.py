"""A task that is pickled alone: what names its class and function goes first; any node loads it."""

from __future__ import annotations

import copyreg
import functools
import gc
import math
import operator
import os.path
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import numpy
import pytest
from dask._task_spec import List, Task, TaskRef
from distributed.protocol import pickle as dask_pickle

import daskpickle

CODE = compile("lambda *args: (len(args), args)", "<script>", "eval")
USES_MODULE = compile("lambda *args: (math.floor(len(args)), args)", "<script>", "eval")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    daskpickle.install()
    yield
    daskpickle.uninstall()


def by_value(code: types.CodeType = CODE, **variables: Any) -> Any:
    """Return a new function of a script."""
    return eval(code, {"__name__": "__main__", **variables})


def with_closure() -> Any:
    number = 2
    return lambda *args: (number, args)


def dumps(task: Task) -> bytes:
    """Pickle a task several times: with fresh picklers, and with those that are used again."""
    first = dask_pickle.dumps(task)
    assert dask_pickle.dumps(task) == first
    out: list[Any] = []
    assert dask_pickle.dumps(task, buffer_callback=out.append) == first
    assert out == []
    return first


REF = TaskRef("y")
FUNCTIONS: dict[str, Callable[[], Any]] = {
    "python": lambda: os.path.join,
    "builtin": lambda: operator.add,
    "class": lambda: dict,
    "numpy": lambda: numpy.sum,
    "ufunc": lambda: numpy.sin,
    "partial": lambda: functools.partial(os.path.join, "a"),
    "method": lambda: "a".join,
    "getter": lambda: operator.itemgetter(1),
    "by value": by_value,
    "by value, with a module": lambda: by_value(USES_MODULE, math=math),
    "by value, with a variable": lambda: by_value(USES_MODULE, math=math, __doc__=[1]),
    "closure": with_closure,
}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "none": (),
    "atoms": (1, "a", None),
    "reference": (REF, 1),
    "nested": (List(REF, TaskRef(("z", 1))), {"a": [1.5]}),
    "function": (os.path.join, len),
    "text": ("dask._task_spec", "Task", "__main__", "x" * 3000),
    "large text": ("x" * 200_000,),
}


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_arrives_as_with_stock_pickle(function: str, arguments: str) -> None:
    """Loaded by plain pickle, as on a node without daskpickle."""
    task = Task(("x", 1), FUNCTIONS[function](), *ARGUMENTS[arguments], a=1)
    data = dumps(task)
    assert b"daskpickle" not in data
    received = pickle.loads(data)
    expected = pickle.loads(cloudpickle.dumps(task))
    assert type(received) is Task
    for name in Task.get_all_slots():
        if name not in ("func", "args"):
            assert getattr(received, name) == getattr(expected, name)
    assert repr(received.args) == repr(expected.args)
    assert type(received.func) is type(expected.func)
    if "closure" in function or "by value" in function:
        assert received.func(1, 2)[1] == (1, 2)
        assert received.func.__code__ == expected.func.__code__
        assert received.func.__qualname__ == task.func.__qualname__
    elif function in ("python", "builtin", "class", "numpy", "ufunc"):
        assert received.func is task.func
    again = pickle.loads(dumps(received))
    assert again.key == task.key


def test_what_is_the_same_object_stays_the_same() -> None:
    """The function, its class and the class of its references among the arguments too."""
    for function in (by_value(), os.path.join, operator.add):
        received = pickle.loads(dumps(Task("x", function, function, Task, TaskRef, REF)))
        assert received.args[0] is received.func
        assert received.args[1:3] == (Task, TaskRef)


def test_functions_that_are_pickled_together_share_their_variables() -> None:
    """As with cloudpickle: the task's own, and one among its arguments."""
    variables: dict[str, Any] = {"__name__": "__main__"}
    source = """
def count():
    global counter
    counter = globals().get("counter", 0) + 1
    return counter
def look(): return globals().get("counter", 0)
"""
    exec(source, variables)
    for other in (variables["look"], functools.partial(variables["look"]), [variables["look"]]):
        received = pickle.loads(dumps(Task("x", variables["count"], other)))
        look = received.args[0][0] if type(other) is list else received.args[0]
        assert (received.func(), look()) == (1, 1)
        assert look() == 1


def test_an_array_goes_out_of_band() -> None:
    """Beside the names."""
    for function in (by_value(), numpy.sum, functools.partial(numpy.sum, axis=0)):
        buffers: list[Any] = []
        task = Task("x", function, numpy.arange(1000.0), REF)
        data = dask_pickle.dumps(task, buffer_callback=buffers.append)
        assert len(data) < 1000
        assert pickle.loads(data, buffers=buffers).args[0].sum() == 499500.0
        assert pickle.loads(dask_pickle.dumps(task)).args[0].sum() == 499500.0


def test_what_is_by_value_or_ours_among_the_arguments() -> None:
    """Does not depend on what the function is."""
    for function in (by_value(), os.path.join):
        received = pickle.loads(dumps(Task("x", function, by_value(), REF)))
        assert received.args[0](1) == (1, (1,))
        lock = threading.Lock()
        received = pickle.loads(dask_pickle.dumps(Task("x", function, lock, REF)))
        assert received.dependencies == {"y"}
        assert isinstance(received, Task)
        task = Task("x", operator.is_, lock, lock)
        assert pickle.loads(dask_pickle.dumps(task))() is True


def test_a_function_that_its_module_no_longer_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Travels by value, as with cloudpickle; also after it was found there."""
    module = types.ModuleType("there")
    exec("def work(x): return x + 1", vars(module))
    work = vars(module)["work"]
    monkeypatch.setitem(sys.modules, "there", module)
    task = Task("x", work, REF)
    assert pickle.loads(dumps(task)).func is work
    module.work = len  # type: ignore[attr-defined]
    assert pickle.loads(dumps(task)).func(1) == 2
    del module.work
    assert pickle.loads(dumps(task)).func(1) == 2
    module.work = work  # type: ignore[attr-defined]
    assert pickle.loads(dumps(task)).func is work
    monkeypatch.delitem(sys.modules, "there")
    assert pickle.loads(dumps(task)).func(1) == 2
    monkeypatch.setitem(sys.modules, "there", types.ModuleType("there"))
    assert pickle.loads(dumps(task)).func(1) == 2


def test_a_module_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cloudpickle.register_pickle_by_value` counts at once."""
    module = types.ModuleType("there")
    exec("def work(x): return x + 1", vars(module))
    monkeypatch.setitem(sys.modules, "there", module)
    task = Task("x", vars(module)["work"], REF)
    assert b"_make_function" not in dumps(task)
    cloudpickle.register_pickle_by_value(module)
    try:
        data = dumps(task)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert b"_make_function" in data
    assert pickle.loads(data).func is not task.func
    assert b"_make_function" not in dumps(task)


@pytest.mark.parametrize("told", ["register", "copyreg"])
def test_what_is_told_of_a_class_of_functions_counts(told: str) -> None:
    """Of builtin functions, whose names have been kept, and of tasks themselves."""
    task = Task("x", operator.add, REF)
    before = dumps(task)
    reduce: Any = lambda function: (operator.attrgetter, ("said",))
    for cls in (types.BuiltinFunctionType, Task):
        if told == "register":
            daskpickle.register(cls, reduce)
        else:
            copyreg.pickle(cls, reduce)
        try:
            received = pickle.loads(dumps(task))
        finally:
            if told == "register":
                daskpickle.unregister(cls)
            else:
                del copyreg.dispatch_table[cls]
        received = received if cls is Task else received.func
        assert repr(received) == repr(operator.attrgetter("said"))
        assert dumps(task) == before


def test_code_that_was_kept_dies() -> None:
    """With its function, and the module's variables."""
    variables: dict[str, Any] = {"__name__": "__main__", "math": math}
    code = compile("lambda *args: math.floor(len(args))", "<script>", "eval")
    function = eval(code, variables)
    task = Task("x", function, REF)
    dumps(task)
    dead = [weakref.ref(function), weakref.ref(function.__code__)]
    del code, function, task
    gc.collect()
    assert [ref() for ref in dead] == [None, None]


def test_a_task_whose_function_is_missing_raises_when_it_runs() -> None:
    """Named first, or in code: the connection of a worker lives on."""
    module = types.ModuleType("there")
    exec("def work(x): return x + 1", vars(module))
    sys.modules["there"] = module
    try:
        named = dumps(Task("x", vars(module)["work"], 1))
        used = dumps(Task("x", by_value(USES_MODULE, math=module), 1))
    finally:
        del sys.modules["there"]
    for data in (named, used):
        task = dask_pickle.loads(data)
        with pytest.raises(ModuleNotFoundError, match="there"):
            task()
