"""Redis: connection pools, and so all clients, locks and pipelines, which hold one, are refused.

Notes
-----
- Travels: nothing yet.
- Refused: the pools of `redis` and of `redis.asyncio`. A copy takes the sentinels that redis-py
  compares by identity for other objects, and holds the password in the open.

The only thing that kept them from being pickled is the locks in them.
"""

from __future__ import annotations

from typing import Any

import redis.asyncio.connection
import redis.connection

from daskpickle import register
from daskpickle.errors import RefusedError

HINT = "Make the client inside the task, from its URL."


@register(
    redis.connection.ConnectionPool,
    action="refuse",
    refused="always",
    hint=HINT,
    subclasses=True,
)
def reduce_pool(pool: Any) -> Any:
    """Refuse."""
    raise RefusedError(pool, "Its connections belong to this process.")


@register(
    redis.asyncio.connection.ConnectionPool,
    action="refuse",
    refused="always",
    hint=HINT,
    subclasses=True,
)
def reduce_async_pool(pool: Any) -> Any:
    """Refuse."""
    raise RefusedError(pool, "Its connections belong to an event loop of this process.")
