"""Redis: pools are refused, and with them what holds one. No server is needed for that."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import redis.asyncio

import daskpickle
from daskpickle.testing import ReducerContract


class TestPool(ReducerContract):
    def refused(self) -> list[Any]:
        return [
            (redis.ConnectionPool, "Its connections belong to this process"),
            (redis.BlockingConnectionPool, "Its connections belong to this process"),
            (redis.asyncio.ConnectionPool, "Its connections belong to an event loop"),
            (redis.asyncio.BlockingConnectionPool, "Its connections belong to an event loop"),
        ]


@pytest.mark.parametrize(
    "make",
    [
        redis.Redis,
        lambda: redis.Redis().pipeline(),
        lambda: redis.Redis().lock("name"),
        redis.asyncio.Redis,
    ],
    ids=["client", "pipeline", "lock", "async client"],
)
def test_what_holds_a_pool_is_refused_with_the_path_to_it(make: Any) -> None:
    """The sentence says where the pool is."""
    with pytest.raises(daskpickle.RefusedError, match="its connections belong") as caught:
        daskpickle.dumps(make())
    assert str(caught.value.path).endswith(".connection_pool")
