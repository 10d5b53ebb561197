"""For ``distributed.{client,scheduler,worker,nanny}.preload: [daskpickle.cluster.preload]``.

The hooks go in when this module is imported: a scheduler listens before its preloads start.
"""

from __future__ import annotations

from typing import Any

from daskpickle.cluster import install
from daskpickle.cluster.plugins import start_node, stop_node

install()


def dask_setup(node: Any) -> None:
    """Tell this process which node it is."""
    start_node(node)


def dask_teardown(node: Any) -> None:
    """Close what arrived on the node."""
    stop_node(node)
