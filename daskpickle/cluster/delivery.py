"""Refusals on their way to the client, and values that could not be delivered to a worker.

A worker that cannot load what it fetched from another one waits for ever (distributed issue 6705).
So what cannot be delivered arrives as a value that raises when it is used; the task that needed it
fails with the sentence.
"""

from __future__ import annotations

import io
import pickle
import threading
from contextvars import ContextVar
from typing import Any, NoReturn

from distributed.worker import Worker

from daskpickle.cluster import wire
from daskpickle.errors import RefusedError
from daskpickle.identity import settings
from daskpickle.paths import rename

__all__ = [
    "Undelivered",
    "asking",
    "caught",
    "deliver_error",
    "error_frames",
    "error_of",
    "gathering",
    "note",
]

#: True while this worker fetches the results that its tasks need.
gathering: ContextVar[bool] = ContextVar("daskpickle.gathering", default=False)


#: True while a client sends a request: what cannot travel is the client's error, then and there.
asking: ContextVar[bool] = ContextVar("daskpickle.asking", default=False)


class _Caught(threading.local):
    error: RefusedError | None = None
    raising = False

    def begin(self, *, raising: bool) -> None:
        self.error, self.raising = None, raising


#: The refusal that Dask wraps inside of `serialize`; whether it is to be raised, or to be sent.
caught = _Caught()


def note(error: RefusedError, value: Any = None, *, submitted: bool = False) -> None:
    """Keep a refusal, which Dask is about to wrap in another error; say whose result it is.

    What a client submits or asks is refused in its own process, which needs no address.
    """
    if not submitted and not asking.get():
        error.host = error.host or settings.host or None
    if error.key is None and value is not None:
        for worker in list(Worker._instances):
            memory = getattr(worker.data, "fast", worker.data)  # what is spilled stays where it is
            for key, result in list(memory.items()):
                if result is value:
                    error.key = str(key)
                    error.path = rename(error.path, value, f"task {error.key!r}.result")
    caught.error = error


class Undelivered:
    """Stands for a value that could not be delivered; raises why when it is used."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "_error", error)

    def _raise(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise object.__getattribute__(self, "_error")

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__" == name[-2:]:
            raise AttributeError(name)
        self._raise()

    def __reduce__(self) -> tuple[Any, ...]:
        return deliver_error, (object.__getattribute__(self, "_error"),)

    def __repr__(self) -> str:
        return f"<undelivered: {object.__getattribute__(self, '_error')}>"

    __hash__ = object.__hash__


for _name in (
    "bool call iter next len getitem setitem delitem contains enter exit eq lt le gt ge add radd "
    "sub rsub mul rmul truediv rtruediv floordiv mod pow and or xor neg pos abs int float index "
    "array await aiter"
).split():
    setattr(Undelivered, f"__{_name}__", Undelivered._raise)


def error_of(value: Any) -> BaseException | None:
    """Return why a value was not delivered, or None if it was."""
    if type(value) is not Undelivered:
        return None
    error: BaseException = object.__getattribute__(value, "_error")
    return error


def deliver_error(error: BaseException) -> Undelivered:
    """Raise ``error``; or, on a worker that fetches for its tasks, return what raises it later."""
    if gathering.get():
        return Undelivered(error)
    raise error


def error_frames(error: RefusedError) -> tuple[dict[str, Any], list[bytes]]:
    """Return header and frames that raise ``error`` where they are loaded.

    Where daskpickle is missing they raise its sentence, as a `RuntimeError`.
    """
    stream = io.BytesIO()
    pickle.Pickler(stream, 4).dump(Undelivered(error))
    data = wire.require("daskpickle.cluster.delivery", str(error)) + stream.getvalue()
    return {"serializer": "pickle", "writeable": ()}, [data]
