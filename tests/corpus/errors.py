"""Exceptions and what tells of them."""

# ruff: noqa: N818 - what they are called says what they are cases of

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
import traceback
import urllib.error
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from corpus import Case


class Plain(Exception):
    """Nothing of its own."""


class TwoArgs(Exception):
    """Takes others than it passes on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class KwOnly(Exception):
    """Takes keywords."""

    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class Slots(Exception):
    """Has a slot."""

    __slots__ = ("extra",)

    def __init__(self, extra: Any) -> None:
        super().__init__("slots")
        self.extra = extra


class OwnNew(Exception):
    """Is made in another way."""

    def __new__(cls, number: int, text: str) -> Any:
        self = super().__new__(cls, text)
        self.number = number  # type: ignore[attr-defined]
        return self

    def __init__(self, *args: Any) -> None:
        pass


class OwnReduce(Exception):
    """Says itself how it is pickled."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("sum")
        self.sum = a + b

    def __reduce__(self) -> Any:
        return OwnReduce, (self.sum, 0)


class OwnState(Exception):
    """Takes its state itself."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)
        self.seen = True


class NotFound(FileNotFoundError):
    """An OSError with parameters of its own."""

    def __init__(self, path: str) -> None:
        super().__init__(2, "no such thing", path)
        self.path = path


class Syntax(SyntaxError):
    """A SyntaxError with parameters of its own."""

    def __init__(self, line: int) -> None:
        super().__init__("bad", ("file.py", line, 1, "x = ("))


class Decode(UnicodeDecodeError):
    """A UnicodeDecodeError with parameters of its own."""

    def __init__(self, data: bytes) -> None:
        super().__init__("utf-8", data, 0, 1, "bad")


@dataclass(frozen=True)
class Frozen(Exception):
    """Lets nobody set an attribute."""

    code: int


class Closed(type):
    """Of classes that cannot be called."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("no")


class Uncalled(Exception, metaclass=Closed):
    """Is made in another way."""


def raised(error: BaseException, cause: BaseException | None = None) -> Any:
    """Raise it, and return it as it was caught."""
    try:
        try:
            raise KeyError("context")
        except KeyError:
            if cause is None:
                raise error  # noqa: B904
            raise error from cause
    except type(error) as exc:
        return exc


def generator() -> Any:
    yield


def is_like(make: Callable[[], Any], *names: str) -> Callable[[Any], None]:
    """Check words, arguments and attributes against another one that was made here."""

    def check(received: Any) -> None:
        made = make()
        assert type(received) is type(made)
        assert str(received) == str(made)
        assert repr(received) == repr(made)
        assert received.args == made.args
        for name in (
            *names,
            "errno",
            "strerror",
            "filename",
            "filename2",
            "name",
            "path",
            "code",
            "value",
        ):
            assert getattr(received, name, "none") == getattr(made, name, "none"), name
        try:
            raise received
        except type(made):
            pass

    return check


def like(name: str, make: Callable[[], Any], *names: str, **kwargs: Any) -> Case:
    return Case(name, lambda stack: make(), is_like(make, *names), **kwargs)


def chained(stack: ExitStack) -> Any:
    error = raised(ValueError("outer"), OSError(2, "cause", "f"))
    error.__cause__.__cause__ = TwoArgs(1, "deep")
    return error


def chained_works(received: Any) -> None:
    assert str(received) == "outer"
    assert (received.__cause__.errno, received.__cause__.filename) == (2, "f")
    assert str(received.__cause__.__cause__) == "1: deep"
    assert repr(received.__context__) == "KeyError('context')"
    assert received.__suppress_context__
    assert "direct cause" in "".join(traceback.format_exception(received))


def context_works(received: Any) -> None:
    assert received.__cause__ is None
    assert repr(received.__context__) == "KeyError('context')"
    assert not received.__suppress_context__
    assert "During handling" in "".join(traceback.format_exception(received))


def suppressed(stack: ExitStack) -> Any:
    error = raised(ValueError("x"))
    error.__suppress_context__ = True
    return error


def suppressed_works(received: Any) -> None:
    assert received.__suppress_context__
    assert received.__cause__ is None
    assert type(received.__context__) is KeyError


def circle(stack: ExitStack) -> Any:
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__cause__ = second, first
    first.me = first  # type: ignore[attr-defined]
    return first


def circle_works(received: Any) -> None:
    assert received.__context__.__cause__ is received is received.me


def long_chain(stack: ExitStack) -> Any:
    error = None
    for number in range(2000):
        later = ValueError(number)
        later.__context__, error = error, later
    return error


def long_chain_works(received: Any) -> None:
    for number in reversed(range(2000)):
        assert received.args == (number,)
        received = received.__context__
    assert received is None


def changed() -> Any:
    error = OSError(2, "no", "f")
    error.errno, error.filename, error.strerror = 1999, "g", "yes"
    return error


def noted(stack: ExitStack) -> Any:
    error = raised(TwoArgs(1, "x"))
    error.add_note("first")
    error.add_note("second")
    return error


def group(stack: ExitStack) -> Any:
    inner = raised(TwoArgs(1, "x"), ValueError("why"))
    made = raised(ExceptionGroup("several", [inner, ExceptionGroup("more", [KeyError("k")])]))  # noqa: F821
    made.add_note("note")
    return made


def group_works(received: Any) -> None:
    first, second = received.exceptions
    assert (str(first), str(first.__cause__)) == ("1: x", "why")
    assert repr(second.exceptions[0]) == "KeyError('k')"
    assert received.message == "several"
    assert received.__notes__ == ["note"]
    assert received.split(TwoArgs)[0].exceptions[0] is first
    assert type(received.__context__) is KeyError


def own_group(stack: ExitStack) -> Any:
    class Errors(ExceptionGroup):  # type: ignore[misc] # noqa: F821
        def __new__(cls, errors: Any, code: int) -> Any:
            self = super().__new__(cls, "errors", errors)
            self.code = code
            return self

        def derive(self, errors: Any) -> Any:
            return Errors(errors, self.code)

    return Errors([ValueError(1)], 5)


def own_group_works(received: Any) -> None:
    assert (received.code, received.message, repr(received.exceptions)) == (
        5,
        "errors",
        "(ValueError(1),)",
    )
    assert received.subgroup(ValueError).code == 5


def with_lock(stack: ExitStack) -> Any:
    error = ValueError("locked", threading.Lock())
    error.lock = error.args[1]  # type: ignore[attr-defined]
    return error


def with_lock_works(received: Any) -> None:
    assert received.lock is received.args[1]
    with received.lock:
        pass


def unfriendly(stack: ExitStack) -> Any:
    running = generator()
    error = raised(Plain("unfriendly", running, [1, running]), raised(ValueError(running)))
    error.frame = sys._getframe()
    error.fine = [1]
    error.held = {"deep": running}
    return error


def unfriendly_works(received: Any) -> None:
    text, first, (one, second) = received.args
    assert (text, one, received.fine) == ("unfriendly", 1, [1])
    assert repr(first).startswith("<generator object generator at")
    assert repr(second) == repr(first)
    assert "cannot be recorded" in first.why
    assert str(received).startswith("('unfriendly', <generator")
    assert "frame" in repr(received.frame)
    assert str(received.held).startswith("{'deep': <generator")
    assert str(received.__cause__).startswith("<generator")
    assert type(received.__context__) is KeyError


def with_socket(stack: ExitStack) -> Any:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    error = ConnectionError("refused")
    error.server = server  # type: ignore[attr-defined]
    return raised(error)


def with_socket_works(received: Any) -> None:
    assert str(received) == "refused"
    assert "socket" in repr(received.server)


def local(stack: ExitStack) -> Any:
    class Local(TwoArgs):
        def __init__(self, a: int, b: int, c: int) -> None:
            super().__init__(a, f"{b}{c}")

    return raised(Local(1, 2, 3))


def traced(stack: ExitStack) -> Any:
    import tblib.pickling_support

    tblib.pickling_support.install()
    return raised(TwoArgs(1, "x"))


def traced_works(received: Any) -> None:
    names = [frame.name for frame in traceback.extract_tb(received.__traceback__)]
    assert names == ["raised"]


def late(stack: ExitStack) -> Any:
    """Of a class that tblib does not know."""
    traced(stack)

    class Late(Exception):
        pass

    return raised(Late("x"))


def formatted(stack: ExitStack) -> Any:
    return traceback.TracebackException.from_exception(raised(TwoArgs(1, "x")))


def formatted_works(received: Any) -> None:
    text = "".join(received.format())
    assert "TwoArgs: 1: x" in text
    assert "During handling" in text


def http_error() -> Any:
    return urllib.error.URLError("no host")


SINCE_311: Any = ((3, 11), (3, 99))

CASES = [
    like("ValueError", lambda: ValueError("x", 1)),
    like("KeyError", lambda: KeyError("x")),
    like("Plain", lambda: Plain("x")),
    like("none", lambda: Plain()),
    like("TwoArgs", lambda: TwoArgs(1, "x")),
    like("KwOnly", lambda: KwOnly(code=1)),
    like("Slots", lambda: Slots([1]), "extra"),
    like("OwnNew", lambda: OwnNew(3, "x"), "number"),
    like("OwnReduce", lambda: OwnReduce(1, 2), "sum"),
    Case(
        "OwnState", lambda stack: raised(OwnState("x")), lambda e: is_like(lambda: OwnState("x"))(e)
    ),
    like("NotFound", lambda: NotFound("f")),
    like("Syntax", lambda: Syntax(3), "lineno", "text", "msg"),
    like("Decode", lambda: Decode(b"\xff"), "object", "start", "end", "reason", "encoding"),
    like("OSError", lambda: OSError(2, "no", "f", None, "g")),
    like("OSError.changed", changed),
    like("Frozen", lambda: Frozen(3), "code"),
    Case("Frozen.raised", lambda s: raised(Frozen(3)), lambda e: is_like(lambda: Frozen(3))(e)),
    like("Uncalled", lambda: Uncalled.__new__(Uncalled, "x")),
    like("OSError.one", lambda: OSError("x")),
    like("FileNotFoundError", lambda: FileNotFoundError(2, "no", "f")),
    like("BlockingIOError", lambda: BlockingIOError(11, "no", 5), "characters_written"),
    like("TimeoutError", lambda: TimeoutError("x")),
    like("socket.timeout", lambda: socket.timeout("x")),  # noqa: UP041
    like("socket.gaierror", lambda: socket.gaierror(-2, "x")),
    like(
        "UnicodeDecodeError",
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        "object",
        "start",
    ),
    like(
        "UnicodeEncodeError",
        lambda: UnicodeEncodeError("ascii", "\xff", 0, 1, "bad"),
        "object",
        "start",
    ),
    like(
        "UnicodeTranslateError",
        lambda: UnicodeTranslateError("\xff", 0, 1, "bad"),
        "object",
        "start",
    ),
    like("SyntaxError", lambda: SyntaxError("bad", ("f", 1, 2, "x")), "lineno", "offset", "text"),
    like("ImportError", lambda: ImportError("no", name="n", path="p"), "msg"),
    like("ModuleNotFoundError", lambda: ModuleNotFoundError("no", name="n")),
    like("NameError", lambda: NameError("no", name="n")),
    like("AttributeError", lambda: AttributeError("no", name="n", obj=generator)),
    like("SystemExit", lambda: SystemExit(3)),
    like("StopIteration", lambda: StopIteration(3)),
    like("StopAsyncIteration", lambda: StopAsyncIteration(3)),
    like("GeneratorExit", lambda: GeneratorExit()),
    like("KeyboardInterrupt", lambda: KeyboardInterrupt()),
    like("Warning", lambda: UserWarning("x")),
    like("JSONDecodeError", lambda: json.JSONDecodeError("bad", "doc", 1), "pos", "doc"),
    like(
        "CalledProcessError",
        lambda: subprocess.CalledProcessError(1, ["x"], b"out"),
        "cmd",
        "output",
    ),
    like("TimeoutExpired", lambda: subprocess.TimeoutExpired(["x"], 1.5), "timeout"),
    like("URLError", http_error, "reason"),
    like("UnsupportedOperation", lambda: io.UnsupportedOperation("x")),
    Case("chained", chained, chained_works),
    Case("context", lambda stack: raised(ValueError("x")), context_works),
    Case("context.TwoArgs", lambda stack: raised(TwoArgs(1, "x")), context_works),
    Case("context.OSError", lambda stack: raised(NotFound("x")), context_works),
    Case("suppressed", suppressed, suppressed_works),
    Case("circle", circle, circle_works),
    Case("long_chain", long_chain, long_chain_works),
    Case("notes", noted, lambda e: e.__notes__ == ["first", "second"] or 1 / 0, versions=SINCE_311),
    Case("group", group, group_works, versions=SINCE_311),
    Case("group.own", own_group, own_group_works, versions=SINCE_311),
    Case("lock", with_lock, with_lock_works),
    Case("unfriendly", unfriendly, unfriendly_works),
    Case("unfriendly.socket", with_socket, with_socket_works),
    Case("unfriendly.unraised", lambda stack: Plain(generator()), refused="cannot be recorded"),
    Case("local", local, lambda e: str(e) == "1: 23" or 1 / 0),
    Case("traceback.exception", formatted, formatted_works),
    Case(
        "traceback.stack",
        lambda stack: traceback.extract_stack(),
        lambda s: s[-1].line and s.format(),
    ),
    Case("traceback", traced, traced_works),
    Case("traceback.late", late, traced_works),
    Case(
        "traceback.object",
        lambda stack: traced(stack).__traceback__,
        lambda tb: traceback.format_tb(tb)[0].index("raised"),
    ),
    Case(
        "exc_info",
        lambda stack: (ValueError, ValueError("x"), traced(stack).__traceback__),
        lambda info: traceback.format_exception(*info),
    ),
]
