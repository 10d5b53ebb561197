"""The hooks around errors: where Dask would lose a refusal, hang on it, or cut a connection.

Each passes on what the original does, and looks again only where that has failed.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

from dask.base import get_annotations
from distributed import Future, Nanny, as_completed
from distributed.client import Client

from daskpickle.cluster.delivery import Undelivered, error_of
from daskpickle.cluster.hooks import Hook, Rebinding
from daskpickle.errors import RefusedError, describe_type
from daskpickle.identity import settings
from daskpickle.paths import rename
from daskpickle.pickler import dumps

__all__ = ["HOOKS"]

#: How much of an error's own words stands in the refusal of it.
LONG = 1000


class Method(Hook):
    """One method of a class of distributed."""

    owner: type
    name: str

    def __init__(self) -> None:
        self.own: Any = None

    @abstractmethod
    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of ``original``."""

    def install(self) -> None:
        self.own = vars(self.owner).get(self.name)  # None: it is inherited
        original = getattr(self.owner, self.name)
        setattr(self.owner, self.name, functools.wraps(original)(self.make(original)))

    def uninstall(self) -> None:
        if self.own is None:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.own)


class ErrorMessages(Rebinding):
    """`distributed.core.error_message`: the error of a task holds what cannot travel.

    Dask sends ``Exception(repr(error))`` then, and does not say why its class is lost.
    """

    module, name = "distributed.core", "error_message"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def error_message(e: BaseException, status: str = "error") -> Any:
            refusal = _refusal(type(e).__name__, e)
            return original(e if refusal is None else _told(e, refusal), status)

        return error_message


def _told(error: BaseException, refusal: RefusedError) -> BaseException:
    """Return a refusal with the words of the error that holds what cannot travel."""
    if refusal is error:
        return error
    try:
        said = repr(error)[:LONG]
    except Exception:  # it is anyone's
        said = describe_type(error)
    new = RefusedError(
        object, f"{refusal.why} It is held by the error that was raised: {said}.", refusal.hint
    )
    new.type_name, new.path, new.host = refusal.type_name, refusal.path, settings.host or None
    return new.with_traceback(error.__traceback__)


class LostResults(Method):
    """`distributed.Future._result`: a result that cannot be delivered is its own error alone.

    Dask fetches several results at once, and a refused one would be the error of all. Where
    `as_completed` asks, it drops the error on the event loop, and the iteration never ends.
    """

    owner, name = Future, "_result"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def _result(future: Any, raiseit: bool = True) -> Any:
            others: set[str] = set()
            while True:
                try:
                    return await original(future, raiseit)
                except RefusedError as exc:
                    if exc.key is not None and exc.key not in (str(future.key), *others):
                        others.add(exc.key)
                    elif raiseit:
                        raise
                    else:
                        return Undelivered(exc)

        return _result


class Completed(Method):
    """`distributed.as_completed`, where it hands out a result: the one above is raised."""

    owner, name = as_completed, "_get_and_raise"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _get_and_raise(completed: Any) -> Any:
            found = original(completed)
            error = error_of(found[1]) if completed.with_results else None
            if error is not None and completed.raise_errors:
                raise error
            return found

        return _get_and_raise


class Annotations(Method):
    """`distributed.Client._graph_to_futures`: annotations are refused before they leave.

    Dask pickles them on its stream to the scheduler, which breaks if it cannot.
    """

    owner, name = Client, "_graph_to_futures"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _graph_to_futures(client: Any, *args: Any, **kwargs: Any) -> Any:
            annotations = get_annotations()
            refusal = _refusal("annotations", annotations) if annotations else None
            if refusal is not None:
                raise refusal
            return original(client, *args, **kwargs)

        return _graph_to_futures


class Starting(Method):
    """`distributed.Nanny.start`: what a worker process is started with is refused before.

    Dask says "Nanny failed to start", if it says anything: releases of 2025 wait for ever.
    """

    owner, name = Nanny, "start"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def start(nanny: Any) -> Any:
            refusal = _refusal("worker_kwargs", nanny.worker_kwargs)
            if refusal is not None and refusal.type_name not in map(describe_type, _inherited()):
                raise refusal
            return await original(nanny)

        return start


def _inherited() -> list[type]:
    """Return the classes of what `multiprocessing` hands down itself, such as sockets."""
    return list(ForkingPickler._extra_reducers)  # type: ignore[attr-defined]


def _refusal(name: str, value: Any) -> RefusedError | None:
    """Return why ``value``, which the path calls ``name``, cannot be pickled, or None."""
    try:
        dumps(value, buffer_callback=lambda buffer: None)
    except RefusedError as refusal:
        refusal.path = rename(refusal.path, value, name)
        return refusal
    except Exception:  # Dask has an answer to these
        return None
    return None


#: In the order in which they are installed.
HOOKS: tuple[type[Hook], ...] = (ErrorMessages, LostResults, Completed, Annotations, Starting)
