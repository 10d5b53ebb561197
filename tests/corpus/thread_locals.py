"""Thread-local data, of both kinds."""

from __future__ import annotations

import _threading_local
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from corpus import Case


def elsewhere(function: Callable[[], Any]) -> Any:
    """Call a function in another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def cases(kind: str, base: Any) -> list[Case]:
    """The same cases for each kind."""

    class Sub(base):  # type: ignore[misc]
        shared = 1
        __slots__ = ("slot",)

        def __init__(self, value: Any, *, key: str = "") -> None:
            self.value, self.key = value, key

    class Default(base):  # type: ignore[misc]
        depth = 0

    def empty(received: Any) -> None:
        assert vars(received) == {}
        received.x = 1
        assert elsewhere(lambda: vars(received)) == {}
        del received.x

    def filled(stack: ExitStack) -> Any:
        local = base()
        local.x = [1]
        elsewhere(lambda: setattr(local, "y", 2))
        return local

    def is_filled(received: Any) -> None:
        assert vars(received) == {"x": [1]}
        assert elsewhere(lambda: vars(received)) == {}

    def of_another_thread(stack: ExitStack) -> Any:
        return elsewhere(lambda: filled(stack))

    def sub(stack: ExitStack) -> Any:
        local = Sub([1], key="k")
        local.value = 2
        local.slot = 3
        return local

    def is_sub(received: Any) -> None:
        assert vars(received) == {"value": 2, "key": "k"}
        assert received.slot == 3
        assert received.shared == 1
        assert elsewhere(lambda: vars(received)) == {"value": [1], "key": "k"}
        assert elsewhere(lambda: received.slot) == 3

    def plain_sub(stack: ExitStack) -> Any:
        return Sub(5)

    def is_plain_sub(received: Any) -> None:
        assert elsewhere(lambda: vars(received)) == {"value": 5, "key": ""} == vars(received)

    def default(stack: ExitStack) -> Any:
        local = Default()
        local.depth += 1
        return local

    def is_default(received: Any) -> None:
        assert received.depth == 1
        assert elsewhere(lambda: received.depth) == 0

    def cyclic(stack: ExitStack) -> Any:
        local = base()
        local.me = [local]
        return local

    def is_cyclic(received: Any) -> None:
        assert received.me[0] is received

    class Used:
        """Holds a function, and what it uses."""

    def used(stack: ExitStack) -> Any:
        made: Any = Used()
        local = made.local = base()

        def count() -> int:
            local.n = getattr(local, "n", 0) + 1
            return int(local.n)

        made.count = count
        return made

    def counts(received: Any) -> None:
        count, local = received.count, received.local
        before = getattr(local, "n", 0)
        assert (count(), count(), elsewhere(count), count()) == (
            before + 1,
            before + 2,
            1,
            before + 3,
        )
        assert local.n == before + 3

    def unfit(stack: ExitStack) -> Any:
        local = base()
        local.frame = sys._getframe()
        return local

    return [
        Case(f"{kind}", lambda stack: base(), empty),
        Case(f"{kind}.filled", filled, is_filled, routes="argument closure"),
        Case(f"{kind}.another_thread", of_another_thread, empty),
        Case(f"{kind}.subclass", sub, is_sub, routes="argument closure"),
        Case(f"{kind}.subclass.plain", plain_sub, is_plain_sub),
        Case(f"{kind}.subclass.default", default, is_default, routes="argument closure"),
        Case(f"{kind}.cyclic", cyclic, is_cyclic, routes="argument closure"),
        Case(f"{kind}.function", used, counts),
        Case(f"{kind}.frame", unfit, refused="call", routes="argument closure"),
    ]


CASES = [*cases("local", threading.local), *cases("local.python", _threading_local.local)]
