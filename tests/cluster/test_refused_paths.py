"""Every path with an object that nobody can pickle: the client is told which, and what to do."""

from __future__ import annotations

import re
import sys
import threading
import types
import uuid
from collections.abc import Iterator
from typing import Any

import distributed
import pytest
from distributed import Client

import daskpickle
from daskpickle.errors import RefusedError, describe_type

from .paths import CASES, Case, process_pool
from .test_paths import Stand
from .things import SECONDS, HolderError, StuckLock, in_main, maker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(SECONDS + 5)]

#: What ends in another way on these paths, and how.
OTHERWISE = {
    "spilled": "a result that cannot be written to disk stays in memory, and can be used",
    "log_event_raw": "Dask takes only what msgpack takes, and says so",
    "dataframe_p2p_shuffle_of_objects": "the path itself catches the error",
    "tokens": "the user asks for a deterministic key; nothing is sent",
    "work_stealing": "it is refused before there is a task to steal",
    "exception_attribute": "below: the error of the task holds it",
    "exception_of_main": "below: the error of the task holds it",
    "exception_of_dependency": "below: the error of the task holds it",
}
REFUSED = [case for case in CASES if case.id not in OTHERWISE]
REMEDY = "Create it where it is used, inside the task, or register a reducer for its type."


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A cluster of two worker processes, with daskpickle installed."""
    stand = Stand("tcp", tmp_path_factory.mktemp("refused"))
    process_pool().submit(int)  # the threads and pipes of the pool are no leaks of a test
    yield stand
    stand.close()


@pytest.fixture
def client(stand: Stand) -> Iterator[Client]:
    """Its client; afterwards all workers must be there."""
    yield stand.client
    assert set(stand.client.nthreads()) == stand.workers


def nestings(case: Case) -> tuple[str, ...]:
    return case.nestings if case.core else tuple(n for n in case.nestings if n == "attribute")


@pytest.mark.parametrize(
    ("case", "nesting"),
    [pytest.param(c, n, id=f"{c.id}-{n}") for c in REFUSED for n in nestings(c)],
)
def test_the_client_is_told_which_object_and_what_to_do(
    client: Client, stand: Stand, case: Case, nesting: str
) -> None:
    """The last line of the traceback names type, path and remedy; no worker dies, nothing hangs."""
    try:
        with pytest.raises(RefusedError) as caught:
            case.run(client, maker(nesting, StuckLock))
    except BaseException:  # pytest's own timeout is none of Exception
        stand.restart()
        raise
    said = str(caught.value)
    assert re.match(rf"Cannot pickle {re.escape(describe_type(StuckLock))} at `.+?`", said)
    assert said.endswith(REMEDY)


def test_every_path_is_tried_or_says_why_not() -> None:
    """No path is left out without a reason."""
    assert set(OTHERWISE) <= {case.id for case in CASES}


@pytest.mark.parametrize("name", ["HolderError", "MainError"])
def test_an_error_leaves_behind_what_cannot_travel(client: Client, stand: Stand, name: str) -> None:
    """It keeps its class, its words, its traceback and its other attributes."""
    cls = {"HolderError": HolderError, "MainError": in_main()["MainError"]}[name]

    def fail() -> None:  # local, or the workers would import this module
        error = cls(StuckLock())
        error.more = 1
        raise error from KeyError("cause")

    future = client.submit(fail, pure=False)
    dependent = client.submit(lambda x: x, future, pure=False)
    for failed in (future, dependent):
        error: Any = failed.exception(timeout=SECONDS)
        assert type(error).__name__ == name
        assert (str(error), error.more) == (str(cls(None)), 1)
        assert repr(error.__cause__) == "KeyError('cause')"
        left = error.lock if name == "HolderError" else error.thing
        assert left.why.startswith(f"Cannot pickle {describe_type(StuckLock)}")
        assert repr(left).startswith("<")
        with pytest.raises(type(error)) as caught:
            failed.result(timeout=SECONDS)
        assert [entry.name for entry in caught.traceback][-1] == "fail"


def test_an_error_that_says_itself_how_it_is_pickled_is_told_with_its_words(
    client: Client, stand: Stand
) -> None:
    """It cannot travel: its class, its words and the reason do."""

    class OwnError(HolderError):
        def __reduce__(self) -> Any:
            return OwnError, (self.lock,)

    def fail() -> None:
        raise OwnError(StuckLock())

    error = client.submit(fail, pure=False).exception(timeout=SECONDS)
    assert isinstance(error, RefusedError)
    assert str(error.path).startswith("OwnError")
    assert error.host in stand.workers
    assert re.search(
        r"held by the error that was raised: OwnError\('It .+'\)\. Create it", str(error)
    )


LACKING = {
    "by reference": lambda function: (function, 1),
    "sealed": lambda function: (lambda lock: function(1), threading.Lock()),
    "argument": lambda function: (len, [function]),
}


@pytest.mark.parametrize("how", LACKING)
def test_what_a_worker_lacks_is_named(
    client: Client, stand: Stand, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is missing where it is loaded, or is another one: where, and what to do."""
    name = f"only_here_{uuid.uuid4().hex}"
    module = types.ModuleType(name)
    exec("def function(n): return n", vars(module))
    monkeypatch.setitem(sys.modules, name, module)

    def submit() -> str:
        future = client.submit(*LACKING[how](module.function), pure=False)
        with pytest.raises((ModuleNotFoundError, AttributeError)) as caught:
            future.result(timeout=SECONDS)
        return str(caught.value)

    node = rf"on the node ({'|'.join(map(re.escape, stand.workers))})"
    assert re.search(rf"No module named '{name}' {node}: .* Install {name} there, or", submit())

    def make_another(name: str) -> None:
        sys.modules[name] = type(sys)(name)

    client.run(make_another, name)
    assert re.search(rf"get attribute 'function' .* {node}: .* Install the same version", submit())


def test_results_are_told_one_by_one(client: Client) -> None:
    """One result of several that cannot travel stops none of the others."""
    futures = client.map(lambda n: StuckLock() if n == 1 else n, range(3), pure=False)
    found = dict.fromkeys(futures)
    completed = distributed.as_completed(
        futures, with_results=True, raise_errors=False, timeout=SECONDS
    )
    for future, result in completed:
        found[future] = result
    assert [found[futures[0]], found[futures[2]]] == [0, 2]
    with pytest.raises(RefusedError, match=rf"task '{futures[1].key}'\.result"):
        bool(found[futures[1]])


def test_a_result_is_named_by_its_task(client: Client) -> None:
    """The path starts at the task, also when the result is a function."""
    lock = "<closure 'lock'>"
    future = client.submit(maker("closure", StuckLock), pure=False)
    with pytest.raises(RefusedError) as caught:
        future.result(timeout=SECONDS)
    assert caught.value.path == f"task {future.key!r}.result{lock}"
    assert daskpickle.dumps(str(caught.value))
