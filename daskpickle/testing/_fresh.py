"""The other side of `ReducerContract`: a program that loads what it is sent, and tells what it saw.

It runs in an interpreter of its own, from an empty folder, and has imported nothing. It reads a
pickled dictionary from standard input and writes one to standard output.
"""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

#: What loading and introspection must not do; see the table of audit events in CPython's docs.
WATCHED = (
    "compile",
    "ctypes.dlopen",
    "exec",
    "open",
    "os.exec",
    "os.fork",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.spawn",
    "os.system",
    "os.truncate",
    "shutil.",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostby",
    "socket.sendmsg",
    "socket.sendto",
    "sqlite3.connect",
    "subprocess.Popen",
    "tempfile.",
    "urllib.Request",
)


class Watch:
    """Writes down audit events while it is on, save those of an import."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[str] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and event.startswith(WATCHED) and not importing():
            self.on = False  # repr() may be anyone's code
            self.events.append(f"{event}{args!r}"[:300])
            self.on = True


def importing() -> bool:
    """Tell whether this thread is importing a module, which reads files and runs code.

    Or compiling a reducer of ours, for a class that is pickled for the first time.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        if frame.f_globals.get("__name__") == "daskpickle.compiled":
            return True
        frame = frame.f_back
    return False


def inspect(obj: Any) -> None:
    """Look at ``obj`` as pickle, Dask and debuggers do, which must use nothing."""
    isinstance(obj, (int, dict))
    with suppress(TypeError):
        hash(obj)
    repr(obj)
    bool(obj == obj)
    bool(obj == 1)
    dir(obj)
    for name in ("__dask_graph__", "__dask_tokenize__", "__array__", "__len__", "__await__"):
        hasattr(obj, name)


def main() -> None:
    """Load, look, pickle again, and use; answer with what happened."""
    task: dict[str, Any] = pickle.load(sys.stdin.buffer)
    answer, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever a library prints is no answer

    import daskpickle
    from daskpickle import handles

    daskpickle.dumps(range(1))  # plug-ins are looked for once per process
    watch = Watch()
    sys.addaudithook(watch)
    watch.on = True
    received = daskpickle.loads(task["sent"])
    inspect(received)
    again = daskpickle.dumps(received, task["protocol"])
    watch.on = False
    opened = {f"{what} {name}": n for (what, name), n in handles.pool.counts.items() if n}
    listing = sorted(path.name for path in Path.cwd().iterdir())
    used = pickle.loads(task["use"])(received) if task["use"] else None
    handles.pool.close_all()
    pickle.dump(
        {
            "again": again,
            "events": watch.events,
            "listing": listing,
            "opened": opened,
            "used": used,
        },
        answer,
    )
    answer.flush()


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    main()
