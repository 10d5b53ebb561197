"""Context variables, contexts, and what sets them."""

from __future__ import annotations

import contextvars
import decimal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Context, ContextVar
from typing import Any

from corpus import Case

GLOBAL: ContextVar[Any] = ContextVar("GLOBAL")
RENAMED: ContextVar[Any] = ContextVar("another name", default=3)
MISSING = object()


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


class Request:
    """A class that holds a variable."""

    current: ContextVar[Any] = ContextVar("current", default=None)


def is_global(received: Any) -> None:
    assert received is GLOBAL
    assert received.get(MISSING) is MISSING


def local(*default: Any) -> Any:
    return lambda stack: ContextVar("local", default=default[0]) if default else ContextVar("local")


def variable(*default: Any) -> Any:
    """Check the name and the default of a variable, and that it can be set and reset."""

    unset = default or (MISSING,)

    def value(received: Any) -> Any:
        return received.get() if default else received.get(MISSING)

    def check(received: Any) -> None:
        assert received.name == "local"
        assert value(received) == unset[0]
        token = received.set(5)
        assert received.get() == 5
        assert Context().run(value, received) == unset[0]
        received.reset(token)
        assert value(received) == unset[0]

    return check


def with_function(stack: ExitStack) -> Any:
    """A context, and a function that reads the variable that is set in it."""
    mine: ContextVar[int] = ContextVar("mine")
    context = Context()
    context.run(mine.set, 7)
    return [context, lambda: mine.get(0), {"mine": mine}]


def reads(received: Any) -> None:
    context, read, named = received
    assert read() == 0
    assert context.run(read) == 7
    assert context[named["mine"]] == 7


def filled(stack: ExitStack) -> Any:
    context = Context()
    context.run(GLOBAL.set, [1])
    context.run(Request.current.set, "request")
    return context


def is_filled(context: Any) -> None:
    assert GLOBAL.get(MISSING) is MISSING
    assert context[GLOBAL] == [1]
    assert context.run(GLOBAL.get) == [1]
    assert context.run(Request.current.get) == "request"
    assert len(context) == 2
    copy = context.copy()
    copy.run(GLOBAL.set, 2)
    assert context[GLOBAL] == [1]


def cyclic(stack: ExitStack) -> Any:
    context = Context()
    context.run(GLOBAL.set, [context])
    return context


def is_cyclic(context: Any) -> None:
    assert context[GLOBAL][0] is context


def of_decimal(stack: ExitStack) -> Any:
    context = Context()
    context.run(lambda: setattr(decimal.getcontext(), "prec", 5))
    return context


def counts(context: Any) -> None:
    third = decimal.Decimal(1) / 3
    assert str(context.run(lambda: decimal.Decimal(1) / 3)) == "0.33333"
    assert decimal.Decimal(1) / 3 == third != context.run(lambda: decimal.Decimal(1) / 3)


def copied(stack: ExitStack) -> Any:
    stack.callback(GLOBAL.reset, GLOBAL.set("copied"))
    return contextvars.copy_context()


def unfit(stack: ExitStack) -> Any:
    context = Context()
    context.run(GLOBAL.set, sys._getframe())
    return context


def token(stack: ExitStack) -> Any:
    made = GLOBAL.set(1)
    stack.callback(GLOBAL.reset, made)
    return made


CASES = [
    Case("contextvar.global", lambda stack: GLOBAL, is_global),
    Case("contextvar.renamed", lambda stack: RENAMED, true(lambda v: v is RENAMED)),
    Case("contextvar.class", lambda s: Request.current, true(lambda v: v is Request.current)),
    Case("contextvar.local", local(), variable()),
    Case("contextvar.default", local(None), variable(None)),
    Case("contextvar.default.list", local([1]), variable([1])),
    Case("contextvar.default.frame", lambda stack: local(sys._getframe())(stack), refused="call"),
    Case("context", lambda stack: Context(), true(lambda c: len(c) == 0)),
    Case("context.filled", filled, is_filled),
    Case("context.function", with_function, reads),
    Case("context.cyclic", cyclic, is_cyclic),
    Case("context.decimal", of_decimal, counts),
    Case("context.copied", copied, true(lambda c: c.run(GLOBAL.get) == "copied")),
    Case(
        "context.run", lambda stack: filled(stack).run, lambda run: run(GLOBAL.get) == [1] or 1 / 0
    ),
    Case("context.frame", unfit, refused="call"),
    Case("context.token", token, refused="context of this process"),
]
