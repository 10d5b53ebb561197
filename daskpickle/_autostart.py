"""The entry point ``dask.sizeof``: the one thing that ``import dask`` runs. Must never break it."""

from __future__ import annotations

from typing import Any

PRELOAD = "daskpickle.cluster.preload"
NODES = ("client", "scheduler", "worker", "nanny")


def register(sizeof: Any) -> None:
    """Switch daskpickle on if the configuration says ``daskpickle.install: true``."""
    import dask.config

    try:
        if dask.config.get("daskpickle.install", False) is not True:
            return
        for node in NODES:  # distributed cannot be imported yet: it imports what is being imported
            key = f"distributed.{node}.preload"
            preload = dask.config.get(key, None) or []
            preload = [preload] if isinstance(preload, str) else list(preload)
            if PRELOAD not in preload:
                dask.config.set({key: [*preload, PRELOAD]})
        from daskpickle.cluster import install_here

        install_here()
    except Exception:
        import logging

        logging.getLogger("daskpickle").exception("daskpickle.install: true had no effect.")
