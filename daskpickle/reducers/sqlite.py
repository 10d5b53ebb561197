"""SQLite: a connection travels as its file and options; one without a file as its bytes.

Notes
-----
* A file is opened, never created, once per thread; before the next task of the thread gets the
  connection, it is rolled back and made as it was submitted. A database without a file is copied
  for each task.
* Lost, because CPython does not show them: ``vfs`` and ``cache`` of a URI, whether PARSE_COLNAMES
  was without PARSE_DECLTYPES. Converters and adapters belong to a process: register them on the
  workers too.
* Refused, because CPython shows that they are there, but not what they are: functions, aggregates,
  collations, extensions, the authorizer, callbacks of traces and of progress.
* A cursor travels while it has no rows to fetch: without what it executed. A row is a value.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError, describe_type
from daskpickle.handles import Callback, Contents, IdentityMap, add_state, early_state, extra_state

#: Options of a connection, not of its file: reading them touches no file and waits for no lock.
PRAGMAS = (
    "automatic_index busy_timeout foreign_keys ignore_check_constraints query_only "
    "read_uncommitted recursive_triggers reverse_unordered_selects temp_store trusted_schema"
).split()

#: What `setlimit` (new in Python 3.11) and `setconfig` (3.12) set, by SQLite's numbers.
LIMITS = [
    (kind, getattr(sqlite3, name))
    for kind, prefix in (("limit", "SQLITE_LIMIT_"), ("config", "SQLITE_DBCONFIG_"))
    for name in sorted(vars(sqlite3))
    if name.startswith(prefix)
]

IN_TRANSACTION = "It has an open transaction, which cannot continue elsewhere."
COMMIT = "Commit it or roll it back first."
SET = "Open the database inside the task, and set them there."
LEGACY = -1  # `sqlite3.LEGACY_TRANSACTION_CONTROL`: what ``autocommit`` is unless it was given

_noted = IdentityMap()  # what was read of a connection in its own thread
_blank, _blank_lock = sqlite3.connect(":memory:", check_same_thread=False), threading.Lock()


@register(
    sqlite3.Connection, scope="thread", subclasses=True, hint="Open the database inside the task.",
    travels="file, attached files, options; or bytes, if it is in memory",
    lost="vfs and cache of a URI",
    refused="open transaction, temporary tables, functions, collations, callbacks, extensions, "
    "not yet seen in its own thread",
)  # fmt: skip
def reduce_connection(conn: sqlite3.Connection) -> Recipe:
    """Say where the database lies, and with which options it is open.

    SQLite answers a connection's own thread only. In others, as on the event loop where Dask
    pickles what is scattered, what it said when it was last pickled in its own thread counts.
    """
    facts: tuple[Any, ...] | None
    try:
        if conn.in_transaction and _has_work(conn):
            raise RefusedError(conn, IN_TRANSACTION, COMMIT)
        facts = _read(conn)
    except sqlite3.Error as exc:
        if "thread" not in str(exc):
            raise RefusedError(conn, f"It does not answer: {str(exc).rstrip('.')}.") from exc
        if conn.in_transaction:
            raise RefusedError(conn, IN_TRANSACTION, COMMIT) from exc
        facts = _noted.get(_statements(conn))
        if facts is None:
            why = "It can be read in its own thread only, where it has not been pickled yet."
            hint = "Connect with check_same_thread=False, or open the database inside the task."
            refusal = RefusedError(conn, why, hint)
            refusal.own_thread = True
            raise refusal from exc
    options = (*facts, conn.isolation_level)
    factories = Callback.wrap(conn.row_factory), Callback.wrap(conn.text_factory)
    state = early_state(conn) or None
    token = hashlib.sha256(repr((type(conn), options)).encode()).hexdigest()[:32]
    recipe = Recipe(
        open_connection, type(conn), options, factories, state, thread_bound=False,
        reset=functools.partial(reset_connection, options, factories),
        token=token if state is None else None, snapshot=type(facts[0][0][1]) is Contents,
    )  # fmt: skip
    if recipe.snapshot:
        recipe.scope = "fresh"  # or a task would see what another one wrote into it
    return recipe


def open_connection(
    cls: type[sqlite3.Connection],
    options: tuple[Any, ...],
    factories: tuple[Any, Any],
    state: dict[str, Any] | None = None,
) -> sqlite3.Connection:
    """Connect to the file, which must be there; any thread may close the connection."""
    databases, pragmas, detect_types, autocommit, isolation_level = options
    source = databases[0][1]
    conn = sqlite3.connect(
        ":memory:" if type(source) is Contents else _uri(*databases[0]), uri=True, factory=cls,
        detect_types=detect_types, isolation_level=isolation_level, check_same_thread=False,
    )  # fmt: skip
    if type(source) is Contents:
        _fill(conn, source.data)
    cursor = sqlite3.Cursor(conn)
    for database in databases[1:]:
        cursor.execute("ATTACH ? AS ?", (_uri(*database), database[0]))
    for name, value in pragmas:
        if isinstance(name, str):
            cursor.execute(f"PRAGMA {name} = {value}")
    cursor.close()
    for name, value in pragmas:
        if not isinstance(name, str):
            getattr(conn, f"set{name[0]}")(name[1], value)
    if autocommit != LEGACY:
        conn.autocommit = autocommit  # type: ignore[attr-defined,unused-ignore]
    conn.row_factory, conn.text_factory = map(Callback.unwrap, factories)
    add_state(conn, state or {})
    return conn


def reset_connection(
    options: tuple[Any, ...], factories: tuple[Any, Any], conn: sqlite3.Connection
) -> None:
    """Roll back, and undo what the last task may have set; raise if it did more than that."""
    conn.rollback()
    conn.row_factory, conn.text_factory = map(Callback.unwrap, factories)
    if (*_read(conn), conn.isolation_level) != options or (conn.in_transaction and _has_work(conn)):
        raise ValueError("It is not as it was submitted.")


def _read(conn: sqlite3.Connection) -> tuple[Any, ...]:
    """Return databases (name, path or contents, read-only), pragmas, detect_types, autocommit."""
    cursor = sqlite3.Cursor(conn)  # has no row factory

    def ask(sql: str) -> list[Any]:
        return cursor.execute(sql).fetchall()

    # What text_factory makes of texts that are known. In a plan, what is read-only gets no write
    # transaction (SQLite, sqlite3BeginTransaction).
    [(sample, nothing, transaction, halt)] = ask("SELECT 'a/B', '', 'Transaction', 'Halt'")
    plan = ask("EXPLAIN BEGIN IMMEDIATE")
    readonly = {row[2]: row[3] == 0 for row in plan if row[1] == transaction}
    databases: list[tuple[str, Any, bool]] = []
    for number, name, path in ask("PRAGMA database_list"):
        if path == nothing:
            path = ""
        elif transaction == halt or _text(sample) != "a/B":
            raise RefusedError(conn, "Its text_factory hides where its file is.")
        else:
            name, path = _text(name), _text(path)
        is_file = Path(path).is_absolute()  # `deserialize` makes one that is called "x"
        if number == 1:
            if ask("SELECT count(*) FROM sqlite_temp_master") != [(0,)]:
                raise RefusedError(conn, "It has temporary tables, which no other connection sees.")
        elif is_file and not Path(path).is_file():
            raise RefusedError(conn, f"Its file {path!r} is not there any more.")
        elif number and not is_file:
            raise RefusedError(conn, f"Its attached database {name!r} has no file.")
        else:
            source = path if is_file else _contents(conn)
            databases.append((name if number else "main", source, readonly.get(number, False)))
    if _defined(ask) != _built_in():
        why = "It has functions or collations of its own, which CPython does not show."
        raise RefusedError(conn, why, SET)
    parts = [type(conn), conn.row_factory, conn.text_factory, _statements(conn)]
    parts += extra_state(conn, None).values()
    if any(callable(p) and all(p is not q for q in parts) for p in gc.get_referents(conn)):
        raise RefusedError(conn, "It has an authorizer, or a callback of traces or progress.", SET)
    pragmas: tuple[tuple[Any, Any], ...]
    pragmas = tuple((name, row[0]) for name in PRAGMAS for row in ask(f"PRAGMA {name}"))
    for kind, number in LIMITS:
        value = getattr(conn, f"get{kind}")(number)
        if value != getattr(_blank, f"get{kind}")(number):
            pragmas += (((kind, number), value),)
    cursor.execute('SELECT 1 AS "n [x]"')  # PARSE_COLNAMES cuts the name, each flag makes a list
    makes_list = any(type(part) is list for part in gc.get_referents(cursor))
    detect_types = 3 if cursor.description[0][0] == "n" else int(makes_list)
    cursor.close()
    facts = tuple(databases), pragmas, detect_types, getattr(conn, "autocommit", LEGACY)
    statements = _statements(conn)
    if statements is not None and type(databases[0][1]) is str:
        _noted.set(statements, facts)
    return facts


def _text(value: Any) -> str:
    """Return what SQLite said, if ``text_factory`` leaves it be."""
    return os.fsdecode(bytes(value)) if isinstance(value, (bytes, bytearray)) else str(value)


def _defined(ask: Callable[[str], list[Any]]) -> tuple[int, int]:
    """Return how many functions there are that are not SQLite's own, and how many collations."""
    functions = ask("PRAGMA function_list")  # since SQLite 3.30, it says which are built in
    return sum(row[1:2] == (0,) for row in functions), len(ask("PRAGMA collation_list"))


@functools.cache
def _built_in() -> tuple[int, int]:
    """Return what any new connection has, such as the functions of extensions."""
    with _blank_lock:
        return _defined(lambda sql: _blank.execute(sql).fetchall())


def _statements(conn: sqlite3.Connection) -> Any:
    """Return the cache of statements, which takes weak references, as a connection does not.

    It lives as long as the connection is open. Since Python 3.11 it is a `functools.lru_cache`
    around it (``new_statement_cache`` in ``Modules/_sqlite/connection.c``); before, this is None.
    """
    for part in gc.get_referents(conn):
        if isinstance(part, functools._lru_cache_wrapper) and part.__wrapped__ is conn:
            return part
    return None


def _has_work(conn: sqlite3.Connection) -> bool:
    """Tell whether there is something to commit.

    With ``autocommit=False`` there always is a transaction (PEP 249), often an empty one. One that
    has written keeps a backup from starting: `sqlite3_backup_step` says SQLITE_BUSY.
    """
    status: list[int] = []

    def stop(*progress: int) -> None:
        status.append(progress[0])
        raise InterruptedError

    if getattr(conn, "autocommit", True):
        return True
    with closing(sqlite3.connect(":memory:")) as copy:
        for _, name, *_ in sqlite3.Cursor(conn).execute("PRAGMA database_list").fetchall():
            with suppress(InterruptedError):
                conn.backup(copy, pages=1, progress=stop, name=name)
    return 5 in status


def _uri(name: str, path: str, readonly: bool) -> str:
    return f"{Path(path).as_uri()}?mode={'ro' if readonly else 'rw'}"


def _contents(conn: sqlite3.Connection) -> Contents:
    """Return the bytes of a database without a file; before Python 3.11 a file must help."""
    if sqlite3.Cursor(conn).execute("PRAGMA page_count").fetchone() == (0,):
        return Contents(b"")
    if hasattr(conn, "serialize"):
        return Contents(conn.serialize())  # pyright: ignore[reportAttributeAccessIssue] # 3.11
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "copy.db")
        with closing(sqlite3.connect(path)) as copy:
            conn.backup(copy)
        return Contents(path.read_bytes())


def _fill(conn: sqlite3.Connection, data: Any) -> None:
    """Put into an empty connection what `_contents` returned."""
    if not data:
        return
    if hasattr(conn, "deserialize"):
        conn.deserialize(data)  # pyright: ignore[reportAttributeAccessIssue] # 3.11
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "copy.db")
        path.write_bytes(data)
        with closing(sqlite3.connect(path)) as copy:
            copy.backup(conn)


@register(
    sqlite3.Cursor, action="reopen", scope="fresh", subclasses=True,
    hint="Fetch its rows and send those, or execute it inside the task.",
    travels="arraysize, row_factory; executes anew", lost="description, lastrowid, rowcount",
    refused="closed, rows that have not been fetched",
)  # fmt: skip
def reduce_cursor(cursor: sqlite3.Cursor) -> Recipe:
    """Travel as a new cursor of the same connection, unless there are rows to fetch.

    CPython keeps the statement in the cursor until its last row has been fetched.
    """
    if any(describe_type(part) == "sqlite3.Statement" for part in gc.get_referents(cursor)):
        raise RefusedError(cursor, "It has rows that have not been fetched.")
    try:
        cursor.fetchone()  # there is none
    except sqlite3.ProgrammingError as exc:
        if "closed cursor" in str(exc):
            raise RefusedError(
                cursor, "It is closed.", "Make another one inside the task."
            ) from exc
    return Recipe(
        open_cursor, type(cursor), cursor.connection, cursor.arraysize,
        Callback.wrap(cursor.row_factory), early_state(cursor) or None,
    )  # fmt: skip


def open_cursor(
    cls: type[sqlite3.Cursor],
    conn: sqlite3.Connection,
    arraysize: int,
    row_factory: Any,
    state: dict[str, Any] | None = None,
) -> sqlite3.Cursor:
    """Make a new cursor of the connection that arrived with it."""
    cursor = conn.cursor(cls)
    cursor.arraysize = arraysize
    cursor.row_factory = Callback.unwrap(row_factory)
    add_state(cursor, state or {})
    return cursor


@register(
    sqlite3.Row, subclasses=True, hint="Send `tuple(row)` or `dict(row)`.",
    travels="names and values", lost="nothing", refused="nothing",
)  # fmt: skip
def reduce_row(row: sqlite3.Row) -> tuple[Any, ...]:
    """Travel as names and values."""
    return rebuild_row, (type(row), tuple(row.keys()), tuple(row), early_state(row) or None)


def rebuild_row(
    cls: type[sqlite3.Row],
    names: tuple[str, ...],
    values: tuple[Any, ...],
    state: dict[str, Any] | None = None,
) -> sqlite3.Row:
    """Make a row again."""
    row = cls(_header(names), values)
    add_state(row, state or {})
    return row


@functools.lru_cache(maxsize=64)
def _header(names: tuple[str, ...]) -> sqlite3.Cursor:
    """Return a cursor with columns of these names: the one place where a row gets them from."""
    columns = ", ".join('1 AS "{}"'.format(name.replace('"', '""')) for name in names)
    with _blank_lock:
        return _blank.execute(f"SELECT {columns}")


if hasattr(sqlite3, "Blob"):  # Python 3.11

    @register(
        sqlite3.Blob,  # pyright: ignore[reportAttributeAccessIssue]
        action="refuse", hint="Read it and send the bytes.", refused="always",
    )  # fmt: skip
    def reduce_blob(blob: Any) -> Any:
        """Refuse an open blob: a position in a row that others may change."""
        raise RefusedError(blob, "It is a position in an open database.")
