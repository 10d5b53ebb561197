"""SQLite: a connection travels as its file and options; one without a file as its bytes.

Notes
-----
* A file is opened, never created, once per thread; before the next task of the thread gets the
  connection, it is rolled back and made as it was submitted. A database without a file is copied
  for each task.
* Lost, because CPython does not show them: functions, collations, callbacks, extensions, the
  authorizer, ``vfs`` and ``cache`` of a URI, and whether PARSE_COLNAMES was without PARSE_DECLTYPES.
  Converters and adapters belong to a process: register them on the workers too.
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
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError, describe_type
from daskpickle.handles import Callback, Contents, IdentityMap, add_state, extra_state

#: Options of a connection, not of its file: reading them touches no file and waits for no lock.
PRAGMAS = (
    "automatic_index busy_timeout foreign_keys ignore_check_constraints query_only read_uncommitted "
    "recursive_triggers reverse_unordered_selects temp_store trusted_schema"
).split()
IN_TRANSACTION = "It has an open transaction, which cannot continue elsewhere."

_noted = IdentityMap()  # what was read of a connection in its own thread


@register(
    sqlite3.Connection, scope="thread", subclasses=True, hint="Open the database inside the task.",
    travels="file, attached files, options; or bytes, if it is in memory",
    lost="functions, collations, callbacks, extensions",
    refused="open transaction, temporary tables, not yet seen in its own thread",
)  # fmt: skip
def reduce_connection(conn: sqlite3.Connection) -> Recipe:
    """Say where the database lies, and with which options it is open.

    SQLite answers a connection's own thread only. In others, as on the event loop where Dask pickles
    what is scattered, what it said when it was last pickled in its own thread counts.
    """
    try:
        if conn.in_transaction and _has_work(conn):
            raise RefusedError(conn, IN_TRANSACTION, "Commit it or roll it back first.")
        facts = _read(conn)
    except sqlite3.Error as exc:
        if "thread" not in str(exc):
            raise RefusedError(conn, f"It does not answer: {str(exc).rstrip('.')}.") from exc
        facts = None if conn.in_transaction else _noted.get(_statements(conn))
        if facts is None:
            why = "It can be read in its own thread only, where it has not been pickled yet."
            hint = "Connect with check_same_thread=False, or open the database inside the task."
            raise RefusedError(conn, why, hint) from exc
    options = (*facts, conn.isolation_level, getattr(conn, "autocommit", -1))
    factories = Callback.of(conn.row_factory), Callback.of(conn.text_factory)
    state = extra_state(conn, None) or None
    recipe = Recipe(
        open_connection, type(conn), options, factories, state, thread_bound=False,
        reset=functools.partial(reset_connection, options, factories),
        token=None if state else hashlib.sha256(repr((type(conn), options)).encode()).hexdigest()[:32],
    )  # fmt: skip
    if type(facts[0][0][1]) is Contents:
        recipe.scope = "fresh"  # or a task would see what another one wrote into it
    return recipe


def open_connection(
    cls: type[sqlite3.Connection],
    options: tuple[Any, ...],
    factories: tuple[Any, Any],
    state: dict[str, Any] | None = None,
) -> sqlite3.Connection:
    """Connect to the file, which must be there; any thread may close the connection."""
    databases, pragmas, detect_types, isolation_level, autocommit = options
    source = databases[0][1]
    conn = sqlite3.connect(
        ":memory:" if type(source) is Contents else _uri(*databases[0]), uri=True, factory=cls,
        detect_types=detect_types, isolation_level=isolation_level, check_same_thread=False,
    )  # fmt: skip
    cursor = sqlite3.Cursor(conn)
    if type(source) is Contents:
        _fill(conn, source.data)
    for database in databases[1:]:
        cursor.execute("ATTACH ? AS ?", (_uri(*database), database[0]))
    for name, value in pragmas:
        cursor.execute(f"PRAGMA {name} = {value}")
    cursor.close()
    if autocommit != -1:  # `sqlite3.LEGACY_TRANSACTION_CONTROL`; Python 3.12 has others
        conn.autocommit = autocommit  # type: ignore[attr-defined,unused-ignore]
    conn.row_factory, conn.text_factory = map(Callback.call, factories)
    add_state(conn, state or {})
    return conn


def reset_connection(
    options: tuple[Any, ...], factories: tuple[Any, Any], conn: sqlite3.Connection
) -> None:
    """Roll back, and undo what the last task may have set; raise if it did more than that."""
    conn.rollback()
    conn.row_factory, conn.text_factory = map(Callback.call, factories)
    now = (*_read(conn), conn.isolation_level, getattr(conn, "autocommit", -1))
    if now != options or (conn.in_transaction and _has_work(conn)):
        raise ValueError("Its options are not what they were.")


def _read(conn: sqlite3.Connection) -> tuple[Any, ...]:
    """Return its databases as (name, path or contents, read-only), its pragmas, its detect_types."""
    cursor = sqlite3.Cursor(conn)  # has no row factory

    def ask(sql: str) -> list[Any]:
        return cursor.execute(sql).fetchall()

    # A read-only database gets no write transaction (SQLite, sqlite3BeginTransaction); EXPLAIN asks.
    plan = ask("EXPLAIN BEGIN IMMEDIATE")
    writable = {row[2]: bool(row[3]) for row in plan if _text(conn, row[1]) == "Transaction"}
    databases: list[tuple[str, Any, bool]] = []
    for number, name, path in ask("PRAGMA database_list"):
        name, path = _text(conn, name), _text(conn, path)
        if number == 1:
            if ask("SELECT count(*) FROM sqlite_temp_master") != [(0,)]:
                raise RefusedError(conn, "It has temporary tables, which no other connection sees.")
        elif path and not Path(path).is_file():
            raise RefusedError(conn, f"Its file is not there any more: {path}.")
        elif not path and number:
            raise RefusedError(conn, f"Its attached database {name!r} has no file.")
        else:
            databases.append((name, path or _contents(conn), not writable.get(number, True)))
    pragmas = [(name, row[0]) for name in PRAGMAS for row in ask(f"PRAGMA {name}")]
    cursor.execute('SELECT 1 AS "n [x]"')  # PARSE_COLNAMES cuts the name; either makes a cast map
    detect_types = 3 if cursor.description[0][0] == "n" else 0
    detect_types |= any(type(part) is list for part in gc.get_referents(cursor))
    cursor.close()
    facts = tuple(databases), tuple(pragmas), int(detect_types)
    statements = _statements(conn)
    if statements is not None and databases[0][1] == ...:
        _noted.set(statements, facts)
    return facts
