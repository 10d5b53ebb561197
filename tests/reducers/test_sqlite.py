"""SQLite: files by path and options, memory by bytes, cursors without rows, rows as values."""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import handles
from daskpickle.errors import HandleError, RefusedError
from daskpickle.testing import ReducerContract, elsewhere


class Tracked(sqlite3.Connection):
    """What users write: a connection with attributes, made by ``factory=``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label = "new"


class Narrow(sqlite3.Cursor):
    width = 0


class Loose(sqlite3.Row):
    """A row with attributes."""


def facts(conn: sqlite3.Connection) -> Any:
    """All that a connection says of itself, and what is in it."""
    if not hasattr(conn, "execute"):
        return None
    try:
        cursor = conn.cursor()
        cursor.row_factory = None
        return (
            cursor.execute("SELECT * FROM t ORDER BY 1").fetchall(),
            cursor.execute("PRAGMA foreign_keys").fetchall(),
            cursor.execute("PRAGMA busy_timeout").fetchall(),
            cursor.execute("PRAGMA query_only").fetchall(),
            [row[:2] for row in cursor.execute("PRAGMA database_list")],
            conn.isolation_level,
            conn.in_transaction,
            conn.total_changes,
            conn.row_factory,
            conn.text_factory,
        )
    except sqlite3.ProgrammingError as exc:
        return str(exc)


def content(conn: Any) -> list[tuple[Any, ...]]:
    """What is in the table, as plain tuples."""
    return [tuple(row) for row in conn.execute("SELECT * FROM t ORDER BY 1")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one table, in a file whose name would be read as a part of a URI."""
    path = tmp_path / "a #?%41 b.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE t (n INTEGER, word TEXT)")
        conn.executemany("INSERT INTO t VALUES (?, ?)", [(1, "one"), (2, "zwei")])
        conn.commit()
    return path


@pytest.fixture
def connect(path: Path) -> Iterator[Callable[..., sqlite3.Connection]]:
    """Connect to that database, or to another one; all is closed after the test."""
    opened: list[sqlite3.Connection] = []

    def connect(database: Any = path, **options: Any) -> sqlite3.Connection:
        opened.append(sqlite3.connect(database, **options))
        return opened[-1]

    yield connect
    for conn in opened:
        conn.close()


def in_thread(function: Callable[[], Any]) -> Any:
    """Call it in another thread; return what it returns, or the exception that it raises."""
    answer: list[Any] = []

    def call() -> None:
        try:
            answer.append(function())
        except Exception as exc:
            answer.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return answer[0]


def as_task(data: bytes, use: Callable[[Any], Any]) -> Any:
    """What a task does: open what was sent for it, use it, and give it back."""
    with handles.running_task(), handles.opening():
        return use(daskpickle.loads(data))


class ConnectionContract(ReducerContract):
    """What connections have in common."""

    @pytest.fixture(autouse=True)
    def _place(self, path: Path) -> Iterator[None]:
        self.path = path
        with ThreadPoolExecutor(1) as self.another_thread:
            self.another_thread.submit(int).result()  # it runs from now on
            yield

    def connect(self, database: Any = None, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(self.path if database is None else database, **options)

    def same(self, sent: Any, received: Any) -> bool:
        return content(sent) == content(received)

    def state(self, obj: Any) -> Any:
        return facts(obj)

    def close(self, obj: Any) -> None:
        for close in (obj.close, lambda: self.another_thread.submit(obj.close).result()):
            with suppress(sqlite3.ProgrammingError):
                close()

    @staticmethod
    def use(received: Any) -> Any:
        return [tuple(row) for row in received.execute("SELECT n, word FROM t ORDER BY 1")]


class TestConnection(ConnectionContract):
    def make(self) -> sqlite3.Connection:
        return self.connect(timeout=1.5, isolation_level="IMMEDIATE")

    def target(self, obj: sqlite3.Connection) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        def in_transaction() -> sqlite3.Connection:
            conn = self.connect()
            conn.execute("INSERT INTO t VALUES (3, 'three')")
            return conn

        def closed() -> sqlite3.Connection:
            conn = self.connect()
            conn.close()
            return conn

        def with_temporary_table() -> sqlite3.Connection:
            conn = self.connect()
            conn.execute("CREATE TEMP TABLE mine (n)")
            return conn

        def with_memory_attached() -> sqlite3.Connection:
            conn = self.connect()
            conn.execute("ATTACH ':memory:' AS aside")
            return conn

        def with_file_gone() -> sqlite3.Connection:
            gone = self.path.with_name("gone.db")
            conn = self.connect(gone)
            conn.execute("CREATE TABLE t (n INTEGER, word TEXT)")
            conn.commit()
            gone.unlink()
            return conn

        def with_opaque_texts() -> sqlite3.Connection:
            conn = self.connect()
            conn.text_factory = len
            return conn

        def with_own(method: str, *args: Any) -> Callable[[], sqlite3.Connection]:
            def make() -> sqlite3.Connection:
                conn = self.connect()
                getattr(conn, method)(*args)
                return conn

            return make

        def of_another_thread() -> sqlite3.Connection:
            return self.another_thread.submit(self.connect).result()

        def never_initialized() -> sqlite3.Connection:
            return sqlite3.Connection.__new__(sqlite3.Connection)

        return [
            (in_transaction, "open transaction"),
            (closed, "Cannot operate on a closed database"),
            (with_temporary_table, "temporary tables"),
            (with_memory_attached, "attached database 'aside' has no file"),
            (with_file_gone, "gone.db' is not there any more"),
            (with_opaque_texts, "text_factory"),
            (with_own("create_function", "twice", 1, abs), "functions or collations of its own"),
            (with_own("create_function", "lower", 1, abs), "functions or collations of its own"),
            (with_own("create_collation", "odd", max), "functions or collations of its own"),
            (with_own("set_authorizer", lambda *args: 0), "It has an authorizer"),
            (with_own("set_progress_handler", lambda: 0, 1000), "traces or progress"),
            (with_own("set_trace_callback", bool), "a callback of traces"),
            (of_another_thread, "own thread only"),
            (never_initialized, "__init__ not called"),
        ]


class TestConnectionInMemory(ConnectionContract):
    def make(self) -> sqlite3.Connection:
        conn = self.connect(":memory:", isolation_level=None)
        conn.execute("CREATE TABLE t (n INTEGER, word TEXT)")
        conn.execute("INSERT INTO t VALUES (7, 'sieben')")
        conn.execute("PRAGMA foreign_keys = 1")
        return conn


class TestConnectionSubclass(ConnectionContract):
    def make(self) -> Tracked:
        conn: Tracked = self.connect(factory=Tracked)  # type: ignore[assignment]
        conn.label = "used"
        return conn

    def same(self, sent: Any, received: Any) -> bool:
        return super().same(sent, received) and received.label == sent.label == "used"


class TestCursor(ConnectionContract):
    def make(self) -> sqlite3.Cursor:
        cursor = self.connect().cursor()
        cursor.arraysize = 7
        cursor.row_factory = sqlite3.Row
        return cursor

    def same(self, sent: Any, received: Any) -> bool:
        row = received.execute("SELECT 1 AS one").fetchone()
        return received.arraysize == 7 and row["one"] == 1

    def state(self, obj: Any) -> Any:
        with suppress(AttributeError, sqlite3.Error):
            return facts(obj.connection), obj.arraysize, obj.description

    def close(self, obj: Any) -> None:
        if isinstance(obj.connection, sqlite3.Connection):
            super().close(obj.connection)

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        def closed() -> sqlite3.Cursor:
            cursor = self.connect().cursor()
            cursor.close()
            return cursor

        return [
            (lambda: self.connect().execute("SELECT * FROM t"), "not been fetched"),
            (closed, "It is closed"),
        ]


class TestRow(ConnectionContract):
    def make(self) -> sqlite3.Row:
        with closing(self.connect()) as conn:
            conn.row_factory = sqlite3.Row
            row: sqlite3.Row = conn.execute(
                'SELECT n, word AS "a ""quoted"" [name]", 3.5 AS n, NULL FROM t'
            ).fetchone()
            return row

    def same(self, sent: sqlite3.Row, received: sqlite3.Row) -> bool:
        return sent == received and sent.keys() == received.keys() and received["N"] == 1

    def state(self, obj: sqlite3.Row) -> Any:
        return tuple(obj)

    def close(self, obj: Any) -> None:
        """There is nothing to let go of."""

    @staticmethod
    def use(received: Any) -> Any:
        return (
            tuple(received),
            received.keys(),
            received["N"],
        )


if sys.version_info >= (3, 11):

    class TestBlob(ConnectionContract):
        def state(self, obj: Any) -> Any:
            return obj.tell()

        def close(self, obj: Any) -> None:
            obj.close()
            super().close(self.conn)

        def refused(self) -> list[tuple[Callable[[], Any], str]]:
            def make() -> sqlite3.Blob:
                self.conn = self.connect()
                return self.conn.blobopen("t", "word", 1, readonly=True)

            return [(make, "position in an open database")]


# --- Options ------------------------------------------------------------------------------------


def test_all_options_that_can_be_read_arrive(connect: Any, tmp_path: Path) -> None:
    """Timeout, isolation level, factories, pragmas and attached files are as they were."""
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as conn:
        conn.execute("CREATE TABLE u (n)")
    sent = connect(timeout=2.25, isolation_level="EXCLUSIVE")
    sent.execute("ATTACH ? AS aside", (str(other),))
    for pragma in ("foreign_keys = 1", "recursive_triggers = 1", "temp_store = 2"):
        sent.execute(f"PRAGMA {pragma}")
    sent.row_factory, sent.text_factory = sqlite3.Row, bytes
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(sent))
        assert facts(received)[1:7] == facts(sent)[1:7]
        assert received.row_factory is sqlite3.Row
        assert received.text_factory is bytes
        assert received.execute("SELECT word FROM t").fetchone()["word"] == b"one"
        assert received.execute("SELECT count(*) FROM aside.u").fetchone()[0] == 0
        assert received.execute("PRAGMA recursive_triggers").fetchone()[0] == 1
        assert received.execute("PRAGMA temp_store").fetchone()[0] == 2


@pytest.mark.parametrize("flags", [0, sqlite3.PARSE_DECLTYPES, 3], ids=["none", "decl", "both"])
def test_detect_types_arrive(connect: Any, flags: int) -> None:
    """Columns are converted where they were converted, by declared type and by column name."""
    sqlite3.register_converter("daskpickle_test", lambda data: f"<{data.decode()}>")
    conn = connect(detect_types=flags)
    conn.execute("CREATE TABLE typed (x daskpickle_test)")
    conn.execute("INSERT INTO typed VALUES ('v')")
    conn.commit()
    query = "SELECT x, 'w' AS \"y [daskpickle_test]\" FROM typed"
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(conn))
        assert received.execute(query).fetchall() == conn.execute(query).fetchall()


def test_a_read_only_connection_stays_read_only(connect: Any, path: Path) -> None:
    """What was opened with ``mode=ro`` cannot be written to where it arrives."""
    conn = connect(f"{path.as_uri()}?mode=ro", uri=True)
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(conn))
        assert len(content(received)) == 2
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            received.execute("DELETE FROM t")


@pytest.mark.parametrize("factory", [bytes, bytearray, lambda data: data.decode()])
def test_a_text_factory_does_not_hide_the_path(connect: Any, factory: Any) -> None:
    """Whatever texts are made of: the path is found, and texts are made of the same."""
    conn = connect()
    conn.text_factory = factory
    with elsewhere():
        assert content(daskpickle.loads(daskpickle.dumps(conn))) == content(conn)


def test_a_locked_database_is_pickled_without_waiting(connect: Any, path: Path) -> None:
    """Another connection's exclusive lock does not matter: nothing of the file is read."""
    conn, writer = connect(timeout=60), connect(isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    data = daskpickle.dumps(conn)
    writer.rollback()
    with elsewhere():
        assert len(content(daskpickle.loads(data))) == 2


def test_a_row_factory_by_value_does_not_open_more_connections(connect: Any) -> None:
    """A lambda is a new function each time it arrives, and still the same row factory."""
    conn = connect()
    conn.row_factory = lambda cursor, row: {"n": row[0]}
    with elsewhere():
        handles.pool.counts.clear()
        for _ in range(3):
            rows = as_task(
                daskpickle.dumps(conn), lambda c: c.execute("SELECT n FROM t").fetchall()
            )
            assert rows == [{"n": 1}, {"n": 2}]
        assert handles.pool.counts["opens", "sqlite3.Connection"] == 1


if sys.version_info >= (3, 12):

    @pytest.mark.parametrize("autocommit", [True, False])
    def test_autocommit_arrives(connect: Any, autocommit: bool) -> None:
        """With autocommit=False an empty transaction is always open, and no reason to refuse."""
        conn = connect(autocommit=autocommit)
        data = daskpickle.dumps(conn)
        with elsewhere():
            for _ in range(2):
                assert as_task(data, lambda c: (c.autocommit, c.in_transaction)) == (
                    autocommit,
                    not autocommit,
                )
        conn.execute("INSERT INTO t VALUES (3, 'drei')")
        if autocommit:
            assert daskpickle.dumps(conn) == data
        else:
            with pytest.raises(RefusedError, match="open transaction"):
                daskpickle.dumps(conn)


def test_texts_that_are_changed_hide_no_database_in_memory(connect: Any) -> None:
    """Only the name of a file has to be understood."""
    conn = connect(":memory:")
    conn.text_factory = lambda data: data.decode().upper()
    conn.execute("CREATE TABLE t (word)")
    conn.execute("INSERT INTO t VALUES ('one')")
    conn.commit()
    with elsewhere():
        assert content(daskpickle.loads(daskpickle.dumps(conn))) == [("ONE",)]


# --- Tasks --------------------------------------------------------------------------------------


def test_one_connection_per_thread_and_not_per_task(connect: Any) -> None:
    """Tasks of one thread share a connection, tasks of two threads do not."""
    data = daskpickle.dumps(connect())
    with elsewhere():
        handles.pool.counts.clear()
        first, second = as_task(data, id), as_task(data, id)
        assert first == second
        assert handles.pool.counts["opens", "sqlite3.Connection"] == 1
        in_thread(lambda: as_task(data, content))
        assert handles.pool.counts["opens", "sqlite3.Connection"] == 2


def spoil_transaction(conn: Any) -> None:
    conn.execute("INSERT INTO t VALUES (3, 'three')")


def spoil_factories(conn: Any) -> None:
    conn.row_factory, conn.text_factory = sqlite3.Row, bytes


def spoil_pragma(conn: Any) -> None:
    conn.execute("PRAGMA query_only = 1")


def spoil_temp(conn: Any) -> None:
    conn.execute("CREATE TEMP TABLE t (n)")


def spoil_function(conn: Any) -> None:
    conn.create_function("twice", 1, abs)


def spoil_trace(conn: Any) -> None:
    conn.set_trace_callback(bool)


def spoil_isolation(conn: Any) -> None:
    conn.isolation_level = None


def spoil_attached(conn: Any) -> None:
    conn.execute("ATTACH ':memory:' AS aside")


def spoil_closed(conn: Any) -> None:
    conn.close()


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_attached,
        spoil_closed,
        spoil_factories,
        spoil_function,
        spoil_isolation,
        spoil_pragma,
        spoil_temp,
        spoil_trace,
        spoil_transaction,
    ],
)
def test_the_next_task_gets_it_as_it_was_submitted(connect: Any, spoil: Any) -> None:
    """Whatever a task did with a connection, the next one does not see it."""
    conn = connect()
    before, data = facts(conn), daskpickle.dumps(conn)
    with elsewhere():
        as_task(data, spoil)
        assert as_task(data, facts)[:7] == before[:7]
        assert as_task(data, lambda c: (c.row_factory, c.text_factory)) == (None, str)


def test_a_database_in_memory_is_new_for_each_task(connect: Any) -> None:
    """What a task writes into it, no other task sees; and what it returns, has what it wrote."""
    conn = connect(":memory:")
    conn.execute("CREATE TABLE t (n)")
    conn.commit()
    data = daskpickle.dumps(conn)
    conn.execute("INSERT INTO t VALUES (99)")
    conn.commit()

    def write(received: Any) -> bytes:
        received.execute("INSERT INTO t VALUES (1)")
        received.commit()
        return daskpickle.dumps(received)

    with elsewhere():
        written = as_task(data, write)
        assert as_task(data, content) == []
        assert as_task(written, content) == [(1,)]
        assert len(handles.pool) == 0


def test_bytes_of_a_database_in_memory_travel_out_of_band(connect: Any) -> None:
    """Protocol 5 copies them into no stream."""
    conn = connect(":memory:")
    conn.execute("CREATE TABLE t (n)")
    conn.execute("INSERT INTO t VALUES (zeroblob(100000))")
    conn.commit()
    buffers: list[Any] = []
    data = daskpickle.dumps(conn, buffer_callback=buffers.append)
    assert len(data) < 4000
    with elsewhere():
        received = daskpickle.loads(data, buffers=buffers)
        assert received.execute("SELECT length(n) FROM t").fetchone() == (100000,)


def test_an_empty_database_in_memory_travels(connect: Any) -> None:
    """It has no bytes, and is empty where it arrives."""
    data = daskpickle.dumps(connect(":memory:"))
    with elsewhere():
        assert as_task(data, lambda c: c.execute("SELECT * FROM sqlite_master").fetchall()) == []


@pytest.mark.parametrize("database", [":memory:", None], ids=["memory", "file"])
def test_a_cursor_and_its_connection_stay_together(connect: Any, database: Any) -> None:
    """Pickled together they arrive together, as real objects and as lazy handles."""
    conn = connect(database) if database else connect()
    conn.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER, word TEXT)")
    conn.commit()
    data = daskpickle.dumps((conn, conn.cursor(Narrow)))

    def together(received: Any) -> bool:
        conn, cursor = received
        cursor.execute("INSERT INTO t VALUES (5, 'five')")
        seen = (5, "five") in conn.execute("SELECT * FROM t").fetchall()
        conn.rollback()
        return seen and cursor.connection is conn and type(cursor) is Narrow

    with elsewhere():
        assert as_task(data, together)
        conn, cursor = daskpickle.loads(data)
        cursor.execute("INSERT INTO t VALUES (6, 'six')")
        assert (6, "six") in conn.execute("SELECT * FROM t").fetchall()
        conn.rollback()
        del conn, cursor
    gc.collect()
    assert len(handles.pool) == 0


def test_a_cursor_travels_again_when_its_rows_are_fetched(connect: Any) -> None:
    """As long as rows are left it is refused, after the last one it is not."""
    cursor = connect().execute("SELECT * FROM t")
    cursor.fetchone()
    with pytest.raises(RefusedError, match="not been fetched"):
        daskpickle.dumps(cursor)
    assert cursor.fetchall() == [(2, "zwei")]
    with elsewhere():
        assert content(daskpickle.loads(daskpickle.dumps(cursor))) == [(1, "one"), (2, "zwei")]


def test_rows_of_a_result_travel(connect: Any) -> None:
    """A list of rows arrives as a list of rows, subclasses with their attributes."""
    conn = connect()
    conn.row_factory = Loose
    rows = conn.execute("SELECT * FROM t").fetchall()
    rows[0].note = "first"
    received = daskpickle.loads(daskpickle.dumps(rows))
    assert received == rows
    assert [type(row) for row in received] == [Loose, Loose]
    assert received[0].note == "first"
    assert dict(received[1]) == {"n": 2, "word": "zwei"}


# --- Threads ------------------------------------------------------------------------------------


def test_another_thread_uses_what_the_own_thread_said(connect: Any) -> None:
    """Once it has been pickled in its own thread, others can pickle it; not before Python 3.11."""
    conn = connect()
    data = daskpickle.dumps(conn)
    answer = in_thread(lambda: daskpickle.dumps(conn))
    if sys.version_info >= (3, 11):
        assert answer == data
    else:
        assert isinstance(answer, RefusedError)
        assert "own thread only" in answer.why
    conn.execute("INSERT INTO t VALUES (3, 'three')")
    answer = in_thread(lambda: daskpickle.dumps(conn))
    assert isinstance(answer, RefusedError)
    assert "open transaction" in answer.why


def test_a_shared_connection_can_be_pickled_anywhere(connect: Any) -> None:
    """With check_same_thread=False each thread may ask."""
    conn = connect(check_same_thread=False)
    assert in_thread(lambda: daskpickle.dumps(conn)) == daskpickle.dumps(conn)


def test_what_was_noted_keeps_no_connection_alive(path: Path) -> None:
    """Pickling a connection does not keep it open."""
    conn = sqlite3.connect(path)
    daskpickle.dumps(conn)
    conn.close()
    module = sys.modules["daskpickle.reducers.sqlite"]
    gc.collect()
    assert not [item for item in module._noted.items.values() if item() is not None]


def test_what_has_become_idle_is_closed(connect: Any) -> None:
    """The pool sees that nobody holds a connection, although its own cache refers to it."""
    data = daskpickle.dumps(connect())
    with elsewhere():
        as_task(data, content)
        assert [slot.in_use() for slot in handles.pool._slots.values()] == [False]
        with handles.running_task(), handles.opening():
            received = daskpickle.loads(data)
            assert [slot.in_use() for slot in handles.pool._slots.values()] == [True]
            del received


def test_a_missing_file_fails_the_use_and_not_the_load(connect: Any, path: Path) -> None:
    """The error names the type and says why; no file is created."""
    data = daskpickle.dumps(connect())
    path.unlink()
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match=r"sqlite3\.Connection.*unable to open database file"):
            received.execute("SELECT 1")
        assert not path.exists()


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "setlimit"), reason="New in Python 3.11.")
def test_limits_and_configuration_travel(connect: Callable[..., sqlite3.Connection]) -> None:
    """What `setlimit` and `setconfig` set."""
    conn: Any = connect()
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 500)  # type: ignore[attr-defined,unused-ignore]
    configured = hasattr(conn, "setconfig")
    if configured:
        conn.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)  # type: ignore[attr-defined,unused-ignore]
    data = daskpickle.dumps(conn)

    def use(received: Any) -> None:
        assert received.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == 500  # type: ignore[attr-defined,unused-ignore]
        if configured:
            assert not received.getconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER)  # type: ignore[attr-defined,unused-ignore]
        received.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 600)  # type: ignore[attr-defined,unused-ignore]

    as_task(data, use)
    as_task(data, use)
