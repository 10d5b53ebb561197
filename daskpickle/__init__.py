"""Any object a Dask user holds travels to the workers and works there, or is refused with its path.

>>> import daskpickle
>>> daskpickle.install(client)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daskpickle import errors
from daskpickle.errors import HandleError, RefusedError
from daskpickle.handles import Recipe
from daskpickle.pickler import Pickler, Unpickler, dump, dumps, load, loads
from daskpickle.policy import Policy, use_policy
from daskpickle.table import DispatchTable, register, registrations, unregister

if TYPE_CHECKING:
    from daskpickle.cluster import install, uninstall

__version__ = "0.1.0"

#: The version of what is sent. A node refuses, in a sentence, what a newer one wrote.
WIRE_VERSION = 1

__all__ = [
    "DispatchTable",
    "HandleError",
    "Pickler",
    "Policy",
    "Recipe",
    "RefusedError",
    "Unpickler",
    "dump",
    "dumps",
    "errors",
    "install",
    "load",
    "loads",
    "register",
    "registrations",
    "uninstall",
    "unregister",
    "use_policy",
]


def __getattr__(name: str) -> Any:
    if name in ("install", "uninstall"):  # imports dask and distributed
        from daskpickle import cluster

        return getattr(cluster, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "WIRE_VERSION", "__version__"]
