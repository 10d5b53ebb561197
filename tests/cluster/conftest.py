"""What several modules of cluster tests start alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from .clusters import local_cluster


@pytest.fixture(scope="module")
def cluster_client() -> Iterator[Client]:
    """A client of two worker processes, without daskpickle."""
    with local_cluster() as client:
        yield client
