"""SQLite: connections, cursors, rows."""

from __future__ import annotations

import collections
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpus import Case

Row = collections.namedtuple("Row", "n word")


class Tracked(sqlite3.Connection):
    """A subclass of a user's own."""

    note = ""


def connected(stack: ExitStack, path: str = ":memory:", **options: Any) -> sqlite3.Connection:
    conn: sqlite3.Connection = sqlite3.connect(path, **options)
    stack.callback(conn.close)
    conn.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER, word TEXT)")
    conn.execute("DELETE FROM t")
    conn.executemany("INSERT INTO t VALUES (?, ?)", [(1, "one"), (2, "two")])
    conn.commit()
    return conn


def in_file(stack: ExitStack, *, uri: str = "", **options: Any) -> sqlite3.Connection:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = str(Path(folder, "a ?b#c.db"))
    conn = connected(stack, path, **({} if uri else options))
    if uri:
        conn = sqlite3.connect(f"{Path(path).as_uri()}?{uri}", uri=True, **options)
        stack.callback(conn.close)
    return conn


def memory(**attributes: Any) -> Callable[[ExitStack], Any]:
    """Make a connection, and set what is given."""

    def make(stack: ExitStack) -> Any:
        return changed(connected(stack), **attributes)

    return make


def calling(method: str, *args: Any) -> Callable[[ExitStack], Any]:
    """Make a connection, and call a method of it."""

    def make(stack: ExitStack) -> Any:
        conn = connected(stack)
        getattr(conn, method)(*args)
        return conn

    return make


def changed(conn: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(conn, name, value)
    return conn


def answers(conn: Any) -> None:
    assert list(map(tuple, conn.execute("SELECT * FROM t"))) == [(1, "one"), (2, "two")]
    assert conn.row_factory is None
    conn.execute("INSERT INTO t VALUES (3, 'three')")
    conn.rollback()
    assert conn.execute("SELECT count(*) FROM t").fetchone() == (2,)


def gives(*rows: Any) -> Callable[[Any], None]:
    def check(conn: Any) -> None:
        assert conn.execute("SELECT * FROM t").fetchall() == list(rows)

    return check


def gives_rows(conn: Any) -> None:
    row = conn.execute("SELECT * FROM t").fetchone()
    assert type(row) is sqlite3.Row
    assert (row["word"], row.keys()) == ("one", ["n", "word"])


def has(**attributes: Any) -> Callable[[Any], None]:
    def check(conn: Any) -> None:
        for name, value in attributes.items():
            assert getattr(conn, name) == value
        assert conn.execute("SELECT n FROM t").fetchone() == (1,)

    return check


def is_read_only(conn: Any) -> None:
    answers_only = False
    try:
        conn.execute("DELETE FROM t")
    except sqlite3.OperationalError:
        answers_only = True
    assert answers_only


def writing(stack: ExitStack) -> Any:
    conn = connected(stack)
    conn.execute("INSERT INTO t VALUES (3, 'three')")
    return conn


def closed(obj: Any) -> Any:
    obj.close()
    return obj


def row(stack: ExitStack) -> Any:
    conn = connected(stack)
    conn.row_factory = sqlite3.Row
    return conn.execute("SELECT n AS number, word FROM t").fetchone()


def is_row(row: Any) -> None:
    assert (row["NUMBER"], row[1], len(row), row.keys()) == (1, "one", 2, ["number", "word"])


def subclass(stack: ExitStack) -> Any:
    conn = connected(stack, factory=Tracked)
    conn.note = "mine"  # type: ignore[attr-defined]
    return conn


def in_a_cycle(stack: ExitStack) -> Any:
    conn = subclass(stack)
    conn.me = conn
    return conn


def leads_to_itself(conn: Any) -> None:
    assert conn.me is conn.me.me
    is_tracked(conn)


def is_limited(conn: Any) -> None:
    assert conn.getlimit(0) == 500  # the length of a value


def is_configured(conn: Any) -> None:
    assert not conn.getconfig(1003)  # triggers


def is_tracked(conn: Any) -> None:
    assert conn.note == "mine"
    answers(conn)


def converts(conn: Any) -> None:
    assert str(conn.execute('SELECT "2020-01-02" AS "d [date]"').fetchone()[0]) == "2020-01-02"


def executes(cursor: Any) -> None:
    assert cursor.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
    assert cursor.arraysize == 7


def cursor(stack: ExitStack) -> Any:
    made = connected(stack).cursor()
    made.arraysize = 7
    made.execute("SELECT * FROM t").fetchall()
    return made


def blob(stack: ExitStack) -> Any:
    conn = connected(stack)
    conn.execute("UPDATE t SET word = zeroblob(10)")
    conn.commit()
    return stack.enter_context(conn.blobopen("t", "word", 1))  # type: ignore[attr-defined]


CASES = [
    Case("sqlite.memory", connected, answers),
    Case("sqlite.memory.empty", lambda stack: stack.enter_context(
        __import__("contextlib").closing(sqlite3.connect(":memory:"))),
         lambda conn: conn.execute("CREATE TABLE t (n)")),
    Case("sqlite.file", in_file, answers),
    Case("sqlite.file.readonly", lambda stack: in_file(stack, uri="mode=ro"), is_read_only),
    Case("sqlite.file.options", lambda stack: in_file(
        stack, isolation_level="IMMEDIATE", timeout=3, check_same_thread=False),
         has(isolation_level="IMMEDIATE")),
    Case("sqlite.autocommit", lambda stack: connected(stack, autocommit=True),
         has(autocommit=True) if sys.version_info >= (3, 12) else has(),
         versions=((3, 12), (3, 99))),
    Case("sqlite.isolation.none", memory(isolation_level=None), has(isolation_level=None)),
    Case("sqlite.row_factory", memory(row_factory=sqlite3.Row), gives_rows),
    Case("sqlite.row_factory.lambda", memory(row_factory=lambda cursor, row: row[0]), gives(1, 2)),
    Case("sqlite.row_factory.tuple", memory(row_factory=lambda cursor, row: Row(*row)),
         gives(Row(1, "one"), Row(2, "two"))),
    Case("sqlite.text_factory", memory(text_factory=bytes), gives((1, b"one"), (2, b"two"))),
    Case("sqlite.text_factory.lambda", memory(text_factory=lambda text: text.decode().upper()),
         gives((1, "ONE"), (2, "TWO"))),
    Case("sqlite.text_factory.file", lambda stack: changed(in_file(stack), text_factory=len),
         refused="text_factory hides"),
    Case("sqlite.converters", lambda stack: connected(
        stack, detect_types=sqlite3.PARSE_COLNAMES | sqlite3.PARSE_DECLTYPES), converts),
    Case("sqlite.subclass", subclass, is_tracked),
    Case("sqlite.subclass.cycle", in_a_cycle, leads_to_itself),
    Case("sqlite.limit", calling("setlimit", 0, 500), is_limited, versions=((3, 11), (3, 99))),
    Case("sqlite.config", calling("setconfig", 1003, False), is_configured,
         versions=((3, 12), (3, 99))),
    Case("sqlite.function", calling("create_function", "double", 1, lambda n: 2 * n),
         refused="functions or collations of its own"),
    Case("sqlite.function.over", calling("create_function", "lower", 1, str.upper),
         refused="functions or collations of its own"),
    Case("sqlite.aggregate", calling("create_aggregate", "most", 1, type("Most", (), {})),
         refused="functions or collations of its own"),
    Case("sqlite.collation", calling("create_collation", "backwards", lambda a, b: a < b),
         refused="functions or collations of its own"),
    Case("sqlite.authorizer", calling("set_authorizer", lambda *args: sqlite3.SQLITE_OK),
         refused="It has an authorizer"),
    Case("sqlite.trace", calling("set_trace_callback", lambda text: None),
         refused="a callback of traces"),
    Case("sqlite.progress", calling("set_progress_handler", lambda: 0, 1000),
         refused="or progress"),
    Case("sqlite.uncommitted", writing, refused="open transaction"),
    Case("sqlite.closed", lambda stack: closed(connected(stack)), refused="closed database"),
    Case("sqlite.temporary", calling("execute", "CREATE TEMP TABLE own (n)"),
         refused="temporary tables"),
    Case("sqlite.cursor", cursor, executes),
    Case("sqlite.cursor.half", lambda stack: connected(stack).execute("SELECT * FROM t"),
         refused="have not been fetched"),
    Case("sqlite.cursor.closed", lambda stack: closed(connected(stack).cursor()),
         refused="It is closed"),
    Case("sqlite.row", row, is_row),
    Case("sqlite.blob", blob, refused="a position in an open database",
         versions=((3, 11), (3, 99))),
    Case("sqlite.dump", lambda stack: connected(stack).iterdump(), refused="Its place inside"),
    Case("sqlite.protocol", lambda stack: sqlite3.PrepareProtocol(), lambda made: None),
]  # fmt: skip
