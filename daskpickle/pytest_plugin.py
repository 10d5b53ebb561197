"""The pytest plugin: the fixture ``assert_ships`` and the marker ``ships``, for users' own tests.

pytest loads it in every run where daskpickle is installed: until a test asks for it, nothing else
of daskpickle is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = ["assert_ships", "ships"]

MARKER = (
    "ships(*names): fail unless the arguments of the test (all, or those that are named) travel to "
    "the workers of a Dask cluster (daskpickle)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", MARKER)


def ships(obj: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Fail the test, with all that is wrong, unless an object travels; return what arrives.

    Parameters
    ----------
    obj
        Anything that is to be sent to a worker.
    *args, **kwargs
        What the function ``obj`` is to be called with there.

    Returns
    -------
    object
        The object as it is loaded again; with arguments, the tuple ``(obj, args, kwargs)``.
    """
    __tracebackhide__ = True
    import daskpickle

    report = daskpickle.check(obj, *args, **kwargs)
    if report:
        pytest.fail(repr(report), pytrace=False)
    return daskpickle.loads(daskpickle.dumps((obj, args, kwargs) if args or kwargs else obj))


@pytest.fixture
def assert_ships() -> Callable[..., Any]:
    """Return a function that fails the test unless what it is given travels to a worker."""
    return ships


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Look at the arguments of a marked test before it runs."""
    __tracebackhide__ = True
    marker = item.get_closest_marker("ships")
    if marker is not None:
        arguments = getattr(item, "funcargs", {})
        for name in marker.args or [n for n in arguments if n != "request"]:
            if name not in arguments:
                pytest.fail(f"The test has no argument {name!r} to ship.", pytrace=False)
            ships(arguments[name])
    return (yield)
