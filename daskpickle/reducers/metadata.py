"""Metadata of installed packages: classes whose ``__new__`` asks for what pickle does not give it.

Notes
-----
- Travels: the message that `importlib.metadata.metadata` returns, the entries of the search path
  that it has looked at, and the paths that `importlib.metadata.files` returns; with attributes.
- Lost: nothing.
- Refused: nothing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from daskpickle import register
from daskpickle.handles import neutral

# Since Python 3.12 it is imported when it is needed.
Message: Any = importlib.import_module("importlib.metadata._adapters").Message
FastPath: Any = importlib.metadata.FastPath  # type: ignore[attr-defined]
HINT = "Pass the name of the package, and look it up inside the task."


@register(Message, travels="its attributes", lost="nothing", refused="nothing", hint=HINT)
@register(FastPath, travels="its attributes", lost="nothing", refused="nothing", hint=HINT)
def reduce_metadata(obj: Any) -> tuple[Any, ...]:
    """Say its attributes."""
    return rebuild_metadata, (type(obj),), vars(obj)


def rebuild_metadata(cls: type) -> Any:
    """Make one without asking its ``__new__``."""
    return object.__new__(cls)


@register(
    importlib.metadata.PackagePath,
    travels="its parts, its attributes",
    lost="nothing",
    refused="nothing",
    hint=HINT,
)
@neutral
def reduce_package_path(path: Any) -> tuple[Any, ...]:
    """Say its attributes too, of which other paths have none."""
    make, args = path.__reduce__()[:2]
    return make, args, vars(path)
