"""Any object a Dask user holds travels to the workers and works there, or is refused with its path.

>>> import daskpickle
>>> daskpickle.install(client)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskpickle import errors
    from daskpickle.cluster import install, uninstall
    from daskpickle.cluster.doctor import doctor
    from daskpickle.diagnose import check, explain
    from daskpickle.errors import HandleError, RefusedError
    from daskpickle.handles import Recipe
    from daskpickle.pickler import Pickler, Unpickler, dump, dumps, load, loads
    from daskpickle.policy import Policy, use_policy
    from daskpickle.table import DispatchTable, register, registrations, unregister

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
    "check",
    "doctor",
    "dump",
    "dumps",
    "errors",
    "explain",
    "install",
    "load",
    "loads",
    "register",
    "registrations",
    "uninstall",
    "unregister",
    "use_policy",
]


#: Which module defines a name. It is imported when the name is first used: `import dask` imports
#: this package to look for the key `daskpickle.install`, and must cost nobody anything.
_MODULES = {
    "cluster": ("install", "uninstall"),
    "cluster.doctor": ("doctor",),
    "diagnose": ("check", "explain"),
    "errors": ("HandleError", "RefusedError", "errors"),
    "handles": ("Recipe",),
    "pickler": ("Pickler", "Unpickler", "dump", "dumps", "load", "loads"),
    "policy": ("Policy", "use_policy"),
    "table": ("DispatchTable", "register", "registrations", "unregister"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            imported = import_module(f"{__name__}.{module}")
            if module == "table":
                import_module(f"{__name__}.reducers")  # the index: which rooms there are
            value = globals()[name] = imported if name == module else getattr(imported, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "WIRE_VERSION", "__version__"]
