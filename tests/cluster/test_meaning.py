"""What was submitted is what arrives; one token is one object; what is opened is closed."""

from __future__ import annotations

import gc
import socket
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from distributed import Client, Event, Future

import daskpickle
from daskpickle.policy import Policy, set_default_policy
from daskpickle.pool import pool

from .clusters import LineServer, local_cluster, until
from .things import SECONDS, WORKS, Holder, LabClient, fail_once, ping, spill, truth

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(SECONDS + 5)]


KEEPS = pytest.mark.leaks("Workers in this process keep what tasks have opened.")


@pytest.fixture(scope="module", params=["tcp", pytest.param("inproc", marks=KEEPS)])
def transport_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client whose scheduler runs in this process; on "inproc" its workers do so as well."""
    with local_cluster(processes=request.param == "tcp", threads_per_worker=2) as client:
        daskpickle.install(client)
        yield client
        daskpickle.uninstall()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of two worker processes with two threads each."""
    with local_cluster(threads_per_worker=2) as client:
        daskpickle.install(client)
        yield client
        daskpickle.uninstall()


@pytest.fixture(scope="module")
def server() -> Iterator[LineServer]:
    """A server that counts connections."""
    server = LineServer()
    yield server
    server.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test opens is closed at its end."""
    with ExitStack() as stack:
        yield stack


# --- Original and arrival -------------------------------------------------------------------------


@dataclass(frozen=True)
class Thing:
    """Something that is submitted.

    Attributes
    ----------
    make
        ``make(world)`` returns the original.
    use
        ``use(arrived)`` runs in the task, and returns what was to be seen.
    expected
        What was to be seen.
    mutate, close
        What the user does to the original while the task is queued.
    """

    id: str
    make: Callable[[World], Any]
    use: Callable[[Any], Any]
    expected: Any
    mutate: Callable[[Any], object]
    close: Callable[[Any], object] = lambda original: None


@dataclass(frozen=True)
class World:
    """What things are made of."""

    folder: Path
    server: LineServer
    stack: ExitStack


def make_holder(world: World) -> Holder:
    holder = Holder(threading.Lock())
    holder.values = [1, 2]  # type: ignore[attr-defined]
    return holder


def make_socket(world: World) -> socket.socket:
    connected = world.stack.enter_context(world.server.connect())
    connected.settimeout(12.5)
    return connected


def make_database(world: World) -> sqlite3.Connection:
    database = sqlite3.connect(world.folder / "a?b.db")
    world.stack.callback(database.close)
    database.execute("CREATE TABLE t (n)")
    database.execute("INSERT INTO t VALUES (1), (2)")
    database.commit()
    return database


def use_database(database: sqlite3.Connection) -> Any:
    rows = database.execute("SELECT n FROM t ORDER BY n").fetchall()
    database.execute("INSERT INTO t VALUES (3)")  # not committed: no task sees it
    return rows, database.isolation_level, database.row_factory


def mutate_database(database: sqlite3.Connection) -> None:
    database.isolation_level = "IMMEDIATE"
    database.row_factory = sqlite3.Row


def make_file(world: World) -> Any:
    path = world.folder / "a file.txt"
    path.write_text("one\ntwo\nthree\n")
    file = world.stack.enter_context(path.open())
    file.readline()
    return file


def use_file(file: Any) -> Any:
    return file.tell(), file.read(), file.mode


def make_lab(world: World) -> LabClient:
    lab = LabClient(world.server.address)
    world.stack.callback(lab.close)
    return lab


THINGS = [
    Thing("lock", lambda world: threading.Lock(), truth, WORKS, lambda lock: lock.acquire()),
    Thing(
        "holder", make_holder, lambda holder: (truth(holder.lock), holder.values), (WORKS, [1, 2]),
        lambda holder: holder.values.append(3), lambda holder: vars(holder).clear(),
    ),
    Thing(
        "socket", make_socket, lambda sock: (ping(sock), sock.gettimeout()), ("pong", 12.5),
        lambda sock: sock.settimeout(1), lambda sock: sock.close(),
    ),
    Thing(
        "sqlite", make_database, use_database, ([(1,), (2,)], "", None),
        mutate_database, lambda database: database.close(),
    ),
    Thing(
        "file", make_file, use_file, (4, "two\nthree\n", "r"),
        lambda file: file.read(), lambda file: file.close(),
    ),
    Thing(
        "lab", make_lab, lambda lab: (lab.ask(), type(lab) is LabClient), ("pong", True),
        lambda lab: setattr(lab, "address", ("127.0.0.1", 1)), lambda lab: lab.close(),
    ),
]  # fmt: skip


def submit_argument(
    client: Client, gate: Future, use: Callable[[Any], Any], original: Any
) -> Future:
    return client.submit(lambda gate, arg: use(arg), gate, original, pure=False)


def submit_closure(
    client: Client, gate: Future, use: Callable[[Any], Any], original: Any
) -> Future:
    return client.submit(lambda gate: use(original), gate, pure=False)


def submit_keyword(
    client: Client, gate: Future, use: Callable[[Any], Any], original: Any
) -> Future:
    check = lambda n, *, gate, thing: use(thing["k"][0])
    return client.map(check, [0], gate=gate, thing={"k": [original]}, pure=False)[0]


def submit_delayed(
    client: Client, gate: Future, use: Callable[[Any], Any], original: Any
) -> Future:
    check = dask.delayed(lambda gate, arg: use(arg), pure=False)
    return client.compute(check(gate, original))


FORMS = [submit_argument, submit_closure, submit_keyword, submit_delayed]


@pytest.fixture
def gate(transport_client: Client) -> Iterator[tuple[Future, Callable[[], None]]]:
    """A task that runs until the gate is opened, and what opens it."""
    event = Event(client=transport_client)
    future = transport_client.submit(event.wait, SECONDS, pure=False)
    yield future, event.set
    event.set()


@pytest.fixture
def world(tmp_path: Path, server: LineServer, stack: ExitStack) -> Iterator[World]:
    """What things are made of, and `LabClient` registered as the documentation says."""
    daskpickle.register(
        LabClient, recipe=lambda lab: (lab.address,), open=LabClient, close=LabClient.close,
        scope="process",
    )  # fmt: skip
    yield World(tmp_path, server, stack)
    daskpickle.unregister(LabClient)


def things(test: Any) -> Any:
    """Run a test with each thing, submitted in each form."""
    for name, values in (("form", FORMS), ("thing", THINGS)):
        ids = [getattr(value, "id", None) or value.__name__ for value in values]
        test = pytest.mark.parametrize(name, values, ids=ids)(test)
    return test


Gate = tuple[Future, Callable[[], None]]


@things
def test_original_mutated(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """What the user does to the original after he has submitted it is not seen."""
    original = thing.make(world)
    future = form(transport_client, gate[0], thing.use, original)
    thing.mutate(original)
    if thing.id == "lock" and not transport_client.cluster.processes:
        original.release()  # it is the very lock that the task gets
    gate[1]()
    assert future.result(SECONDS) == thing.expected


@things
def test_original_closed(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """A handle that is closed after it was submitted is open where it arrives."""
    original = thing.make(world)
    future = form(transport_client, gate[0], thing.use, original)
    thing.close(original)
    gate[1]()
    assert future.result(SECONDS) == thing.expected


@things
def test_original_collected(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """Nobody holds the original, not even the scheduler in this process; the task works."""
    with ExitStack() as stack:
        original = thing.make(World(world.folder, world.server, stack))
        future = form(transport_client, gate[0], thing.use, original)
    ref = None if thing.id == "sqlite" else weakref.ref(original)  # which has no weak references
    del original
    if ref is not None:
        until(lambda: gc.collect() is not None and ref() is None, "the original is collected")
    gate[1]()
    assert future.result(SECONDS) == thing.expected


@things
def test_policy_changed(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """The policy that counts is the one under which it was submitted."""
    refused = "_thread.lock", "socket.socket", "sqlite3.Connection", "_io.TextIOWrapper"
    future = form(transport_client, gate[0], thing.use, thing.make(world))
    former = set_default_policy(Policy(dict.fromkeys(refused, "refuse")))
    try:
        gate[1]()
        assert future.result(SECONDS) == thing.expected
    finally:
        set_default_policy(former)


@things
def test_uninstalled(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """Tasks that are queued when daskpickle is uninstalled in the client still run."""
    future = form(transport_client, gate[0], thing.use, thing.make(world))
    try:
        daskpickle.uninstall()
        gate[1]()
        assert future.result(SECONDS) == thing.expected
    finally:
        daskpickle.install(transport_client)


@things
def test_used_in_sequence(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """Each of several tasks sees what was submitted, whatever the one before has done with it."""
    original, futures = thing.make(world), [gate[0]]
    for _ in range(4):
        futures.append(form(transport_client, futures[-1], thing.use, original))
    gate[1]()
    assert transport_client.gather(futures) == [True, *[thing.expected] * 4]


@things
def test_retried(
    transport_client: Client, gate: Gate, world: World, thing: Thing, form: Any
) -> None:
    """So does the second attempt of a task whose first one has failed after using it."""
    key, use = f"{thing.id}-{form.__name__}", thing.use

    def use_and_fail(arrived: Any) -> Any:
        found = use(arrived)
        fail_once(key)
        return found

    with dask.annotate(retries=3):
        future = form(transport_client, gate[0], use_and_fail, thing.make(world))
    gate[1]()
    assert future.result(SECONDS) == thing.expected


# --- Identity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack",
    [lambda lock: lock, Holder, lambda lock: [1, {"k": lock}], lambda lock: partial(truth, lock)],
    ids=["lock", "attribute", "list", "partial"],
)
def test_lock_comes_home(client: Client, pack: Callable[[Any], Any]) -> None:
    """The lock that comes back to the client is the lock that left."""

    def unpack(thing: Any) -> Any:
        if isinstance(thing, Holder):
            return thing.lock
        if isinstance(thing, list):
            return thing[1]["k"]
        return thing.args[0] if isinstance(thing, partial) else thing

    lock = threading.Lock()
    submitted = client.submit(lambda thing: thing, pack(lock), pure=False)
    scattered = client.scatter(pack(lock), hash=False)
    returned = client.submit(lambda: pack(lock), pure=False)
    (ran,) = set(map(id, map(unpack, client.run(lambda: pack(lock)).values())))
    assert unpack(submitted.result()) is lock
    assert unpack(client.gather(scattered)) is lock
    assert unpack(returned.result()) is lock
    assert ran == id(lock)


def hold(lock: Any, entered: Event, leave: Event) -> bool:
    """Hold a lock until another task has tried to take it."""
    with lock:
        entered.set()
        return bool(leave.wait(SECONDS))


def take(lock: Any, entered: Event, leave: Event) -> bool:
    """Try to take a lock while another task holds it."""
    try:
        assert entered.wait(SECONDS)
        taken = lock.acquire(blocking=False)
        if taken:
            lock.release()
        return bool(taken)
    finally:
        leave.set()


def truth_of_cluster_lock(lock: Any) -> bool:
    """Whether a lock is free, and can be released."""
    return bool(lock.acquire(blocking=False)) and lock.release() is None


def hold_and_take(client: Client, lock: Any, holder: str, taker: str) -> bool:
    """Whether a task can take a lock that another one holds."""
    events = Event(client=client), Event(client=client)
    held = client.submit(hold, lock, *events, workers=[holder], pure=False)
    taken = client.submit(take, lock, *events, workers=[taker], pure=False)
    result = taken.result(SECONDS)
    assert held.result(SECONDS) is True
    return bool(result)


def test_lock_excludes_on_one_worker(client: Client) -> None:
    """Two tasks on one worker exclude each other by a lock; on two workers they do not."""
    lock = threading.Lock()
    first, second = sorted(client.nthreads())
    assert hold_and_take(client, lock, first, first) is False
    assert hold_and_take(client, lock, first, second) is True
    assert not lock.locked()


def test_lock_of_the_cluster_excludes_on_all_workers(client: Client) -> None:
    """With the action "cluster", two tasks on two workers exclude each other as well."""
    lock = threading.Lock()
    first, second = sorted(client.nthreads())
    with daskpickle.use_policy({"_thread.lock": "cluster"}):
        assert hold_and_take(client, lock, first, second) is False
        assert hold_and_take(client, lock, second, second) is False
        free = client.submit(truth_of_cluster_lock, lock, pure=False)
    assert free.result(SECONDS) is True


# --- Counts ---------------------------------------------------------------------------------------


def opens(type_name: str) -> int:
    """How many handles of a type this process has opened."""
    return pool.counts["opens", type_name]


def closes(type_name: str) -> int:
    """How many it has closed again."""
    return pool.counts["closes", type_name]


def run_thousand(client: Client, use: Callable[[Any], Any], original: Any) -> set[Any]:
    """Use one object in a thousand tasks, half of them mapped and half submitted."""
    nested = Holder(original)
    futures = client.map(lambda n, *, thing: use(thing.lock), range(500), thing=nested, pure=False)
    futures += [client.submit(lambda: use(nested.lock), pure=False) for _ in range(500)]
    return set(client.gather(futures))


@pytest.mark.timeout(90)
def test_socket_connects_once_per_thread(client: Client, server: LineServer) -> None:
    """1,000 tasks that share a socket make at most one connection per worker thread."""
    before = server.counts()[0]
    with server.connect() as original:
        here = opens("socket.socket")
        already = sum(client.run(opens, "socket.socket").values())
        assert run_thousand(client, ping, original) == {"pong"}
        made = server.counts()[0] - before - 1
        assert 1 <= made <= 4
        # All of them are the workers': none is the scheduler's, which is in this process.
        assert sum(client.run(opens, "socket.socket").values()) - already == made
        assert opens("socket.socket") == here


@pytest.mark.timeout(90)
def test_sqlite_opens_once_per_thread(client: Client, tmp_path: Path) -> None:
    """1,000 tasks that share a database open it at most once per worker thread."""
    here = opens("sqlite3.Connection")
    already = client.run(opens, "sqlite3.Connection")
    database = sqlite3.connect(tmp_path / "shared.db")
    database.execute("CREATE TABLE t (n)")
    database.commit()
    count = lambda database: database.execute("SELECT COUNT(*) FROM t").fetchone()
    assert run_thousand(client, count, database) == {(0,)}
    database.close()
    made = {w: n - already[w] for w, n in client.run(opens, "sqlite3.Connection").items()}
    assert all(n <= 2 for n in made.values())
    assert sum(made.values()) >= 1
    assert opens("sqlite3.Connection") == here


@pytest.mark.timeout(90)
def test_file_opens_once_per_task(client: Client, tmp_path: Path) -> None:
    """1,000 tasks that share an open file open it once each, and close it at their end."""
    path = tmp_path / "shared.txt"
    path.write_text("head\nbody\n")
    name, here = "_io.TextIOWrapper", opens("_io.TextIOWrapper")
    already = sum(client.run(opens, name).values()), sum(client.run(closes, name).values())
    with path.open() as file:
        file.readline()
        assert run_thousand(client, lambda file: file.read(), file) == {"body\n"}
    assert sum(client.run(opens, name).values()) - already[0] == 1000
    until(
        lambda: sum(client.run(closes, name).values()) - already[1] == 1000, "all files are closed"
    )
    assert opens(name) == here


@pytest.mark.timeout(90)
def test_process_scope_opens_once_per_worker(client: Client, world: World) -> None:
    """1,000 tasks that share a client of the user's own connect at most once per worker process."""
    before = world.server.counts()[0]
    here = opens(f"{LabClient.__module__}.LabClient")
    assert run_thousand(client, lambda lab: lab.ask(), make_lab(world)) == {"pong"}
    made = world.server.counts()[0] - before - (not here)
    assert 1 <= made <= 2
    assert opens(f"{LabClient.__module__}.LabClient") == here


@pytest.mark.timeout(90)
def test_failed_tasks_leave_no_connection_behind(client: Client, server: LineServer) -> None:
    """A task that fails half-way through a stream has its connection closed."""
    with server.connect() as original:
        already = server.counts()[1]

        def use(n: int) -> str:
            found = ping(original)
            fail_once(f"half-way-{n}" if n % 5 == 0 else "half-way")
            return found

        futures = client.map(use, range(200), retries=9, pure=False)
        assert set(client.gather(futures)) == {"pong"}
        assert server.counts()[1] <= already + 4


@pytest.mark.timeout(90)
def test_spilled_handle_is_opened_again(client: Client, server: LineServer) -> None:
    """A handle in data is spilled as its recipe, and works when it is read back."""
    with server.connect() as original:
        first, _ = sorted(client.nthreads())
        data = client.scatter([1, {"k": original}], workers=[first], hash=False)
        future = client.submit(lambda *found: found[1]["k"], *data, workers=[first], key="to-spill")
        distributed.wait(future, timeout=SECONDS)
        assert client.run(spill, future.key, workers=[first]) == {first: True}
        futures = [client.submit(ping, future, workers=[first], pure=False) for _ in range(20)]
        assert set(client.gather(futures)) == {"pong"}


@pytest.mark.timeout(60)
def test_nothing_is_open_after_close(world: World) -> None:
    """When client and cluster are closed, so are all connections that tasks have opened."""
    before = world.server.counts()[1]
    with local_cluster() as client:
        daskpickle.install(client)
        connected, lab = make_socket(world), make_lab(world)
        use = lambda sock, lab: (ping(sock), lab.ask())
        futures = client.map(lambda n: use(connected, lab), range(20), pure=False)
        assert set(client.gather(futures)) == {("pong", "pong")}
        assert before + 2 < world.server.counts()[1] <= before + 2 + 4
        connected.close()
        lab.close()
    daskpickle.uninstall()
    until(lambda: world.server.counts()[1] == before, "all connections are closed")


@pytest.mark.timeout(60)
def test_workers_restarted(server: LineServer) -> None:
    """Workers that are started again know daskpickle; what the old ones had open is closed."""
    with server.connect() as original, local_cluster() as client:
        daskpickle.install(client)
        assert client.submit(ping, original, pure=False).result(SECONDS) == "pong"
        open_before = server.counts()[1]
        client.restart(timeout=SECONDS)
        until(lambda: server.counts()[1] < open_before, "the old connection is closed")
        assert client.submit(ping, original, pure=False).result(SECONDS) == "pong"
        assert truth(client.submit(threading.Lock, pure=False).result(SECONDS)) == WORKS
        assert server.counts()[1] == open_before
    daskpickle.uninstall()
