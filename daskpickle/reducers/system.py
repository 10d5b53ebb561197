"""What `os` gives: the environment by reference, entries of folders by their paths, parameters.

Notes
-----
- `os.environ` and `os.environb` are those of the process where they arrive: nothing of what is in
  them travels.
- An `os.DirEntry` is looked up in its folder at its first use; its path is absolute there. One
  that came of a descriptor of a folder, or is gone, is refused.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import neutral


@register(
    os._Environ, travels="a reference: the environment of the process where it arrives",
    lost="what is in it", refused="nothing", hint="Send a dict of what you need of it.",
)  # fmt: skip
@neutral
def reduce_environ(environ: Any) -> Any:
    """Say which one it is."""
    for name in ("environ", "environb"):
        if getattr(os, name, None) is environ:
            return name
    return environ.__reduce_ex__(4)


@register(
    os.DirEntry, travels="its path", lost="what it knew of its file", scope="fresh",
    refused="gone, of a descriptor", hint="Send its path instead.",
)  # fmt: skip
def reduce_entry(entry: Any) -> Any:
    """Say where it was found."""
    folder = os.path.abspath(os.path.dirname(entry.path))  # noqa: PTH100, PTH120 - bytes, perhaps
    try:
        same = Path(os.fsdecode(folder), os.fsdecode(entry.name)).lstat().st_ino == entry.inode()
    except OSError:
        same = False
    if not same:
        raise RefusedError(entry, "Its path does not lead to it.")
    return Recipe(open_entry, folder, entry.name)


def open_entry(folder: Any, name: Any) -> Any:
    """Find the entry in its folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == name:
                return entry
    raise FileNotFoundError(f"There is no {name!r} in {folder!r}.")


def reduce_parameters(parameters: Any) -> Any:
    """Say the priority."""
    return rebuild_parameters, (parameters.sched_priority,)


def rebuild_parameters(priority: int) -> Any:
    """Make them."""
    return os.sched_param(priority)


if hasattr(os, "sched_param"):  # not on each system
    register(
        os.sched_param, reduce_parameters, travels="its priority", lost="nothing",
        refused="nothing", hint="Make it inside the task.",
    )  # fmt: skip
