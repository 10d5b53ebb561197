"""Log handlers travel as they are set up, if they spoil no log and hold no password."""

from __future__ import annotations

import io
import logging
import logging.handlers
import queue
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere


class Recording(logging.Handler):
    """A handler of a user's own."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("name", logging.INFO, __file__, 1, text, None, None)


class TestFileHandler(ReducerContract):
    """A handler that has not opened its file yet appends to it where it arrives."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.log = tmp_path / "job.log"

    def make(self) -> Any:
        handler = logging.FileHandler(self.log)
        handler.handle(record("sent"))
        return handler

    def same(self, sent: Any, received: Any) -> None:
        self.log.write_text("before\n")
        assert (received.stream, received.mode) == (None, "a")
        received.handle(record("after"))
        received.close()
        assert self.log.read_text() == "before\nafter\n"

    def state(self, obj: Any) -> Any:
        return obj.stream, self.log.read_text() if self.log.exists() else None

    def refused(self) -> list[Any]:
        return [
            (lambda: logging.FileHandler(self.log, "w", delay=True), "It would empty its file"),
            (lambda: logging.FileHandler(self.log, "w"), "It would empty its file"),
        ]

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        received.handle(record("used"))
        received.close()
        return received.baseFilename


class TestFileHandlerWithDelay(TestFileHandler):
    def make(self) -> Any:
        return logging.FileHandler(self.log, delay=True)


class TestWatchedFileHandler(TestFileHandler):
    def make(self) -> Any:
        return logging.handlers.WatchedFileHandler(self.log)


class TestTimedRotatingFileHandler(TestFileHandler):
    def make(self) -> Any:
        return logging.handlers.TimedRotatingFileHandler(self.log, "D", 3)

    def same(self, sent: Any, received: Any) -> None:
        assert (received.when, received.rolloverAt) == ("D", sent.rolloverAt)
        super().same(sent, received)


class TestRotatingFileHandler(TestFileHandler):
    def make(self) -> Any:
        return logging.handlers.RotatingFileHandler(self.log, maxBytes=100, backupCount=1)

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        received.handle(record("x" * 99))
        received.close()
        assert self.log.with_name("job.log.1").read_text() == "before\nafter\n"


class TestSocketHandler(ReducerContract):
    """A handler that has sent a record, and connects anew."""

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with socket.socket(type=socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(10)
            self.server = server
            yield

    def make(self) -> Any:
        handler = logging.handlers.DatagramHandler(*self.server.getsockname())
        handler.handle(record("sent"))
        self.server.recv(1000)
        return handler

    def same(self, sent: Any, received: Any) -> None:
        assert received.sock is None
        received.handle(record("after"))
        assert b"after" in self.server.recv(1000)
        received.close()

    def state(self, obj: Any) -> Any:
        return obj.sock

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        received.handle(record("used"))
        received.close()


class TestSysLogHandler(TestSocketHandler):
    def make(self) -> Any:
        handler = logging.handlers.SysLogHandler(self.server.getsockname())
        handler.handle(record("sent"))
        self.server.recv(1000)
        return handler

    def same(self, sent: Any, received: Any) -> None:
        received.handle(record("after"))
        assert self.server.recv(1000) == b"<14>after\0"
        received.close()

    def state(self, obj: Any) -> Any:
        return obj.socket


class TestSysLogHandlerOfAUnixSocket(ReducerContract):
    @pytest.fixture(autouse=True)
    def _serve(self, tmp_path: Path) -> Iterator[None]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(tmp_path / "log"))
            server.settimeout(10)
            self.server = server
            yield

    def make(self) -> Any:
        return logging.handlers.SysLogHandler(self.server.getsockname())

    def same(self, sent: Any, received: Any) -> None:
        received.handle(record("after"))
        assert self.server.recv(1000) == b"<14>after\0"
        received.close()

    def close(self, obj: Any) -> None:
        obj.close()


class TestManager(ReducerContract):
    def make(self) -> Any:
        return logging.Logger.manager

    def same(self, sent: Any, received: Any) -> bool:
        return received is sent


class TestSMTPHandler(ReducerContract):
    def make(self) -> Any:
        return logging.handlers.SMTPHandler("mail.example", "me", ["you"], "Job failed")

    def same(self, sent: Any, received: Any) -> bool:
        return (received.mailhost, received.toaddrs) == ("mail.example", ["you"])


class TestHTTPHandler(ReducerContract):
    def make(self) -> Any:
        return logging.handlers.HTTPHandler("log.example", "/log")

    def refused(self) -> list[Any]:
        credentials = ("me", "pw")
        return [
            (
                lambda: logging.handlers.HTTPHandler("h", "/", credentials=credentials),
                "It holds a password",
            ),
            (
                lambda: logging.handlers.SMTPHandler("h", "a", ["b"], "s", credentials),
                "It holds a password",
            ),
        ]

    def same(self, sent: Any, received: Any) -> bool:
        return (received.host, received.url) == ("log.example", "/log")


def test_a_handler_that_would_empty_its_file_leaves_it_alone(tmp_path: Path) -> None:
    """Nothing is written or emptied."""
    handler = logging.FileHandler(tmp_path / "job.log", "w")
    handler.handle(record("kept"))
    with pytest.raises(daskpickle.RefusedError, match="would empty its file"):
        daskpickle.dumps(handler)
    handler.close()
    assert (tmp_path / "job.log").read_text() == "kept\n"


def test_a_queue_handler_keeps_its_queue_with_its_listener() -> None:
    """What travels together stays together."""
    records: queue.Queue[Any] = queue.Queue()
    recording = Recording()
    listener = logging.handlers.QueueListener(records, recording)
    sent = [logging.handlers.QueueHandler(records), listener, recording]
    with elsewhere():
        handler, listener, recording = daskpickle.loads(daskpickle.dumps(sent))
        handler.handle(record("here"))
        listener.handle(listener.dequeue(False))
        assert recording.messages == ["here"]


def test_another_registry_of_loggers_is_copied() -> None:
    """As pickle does; the loggers in it go by name."""
    sent = logging.Manager(logging.root)
    received = daskpickle.loads(daskpickle.dumps(sent))
    assert received is not sent
    assert received.root is logging.root


def test_a_handler_of_a_users_own_works_where_it_arrives() -> None:
    """Its lock is shared by token, its attributes are copied."""
    sent = Recording()
    sent.setFormatter(logging.Formatter("<%(message)s>"))
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(sent))
        received.handle(record("here"))
        assert received.messages == ["<here>"]
    assert sent.messages == []


def test_handlers_of_streams_in_memory_are_copied() -> None:
    """A handler around a `io.StringIO` arrives with its text, a memory handler with records."""
    target = logging.StreamHandler(io.StringIO())
    target.handle(record("one"))
    memory = logging.handlers.MemoryHandler(10, target=target)
    memory.handle(record("two"))
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(memory))
        received.flush()
        assert received.target.stream.getvalue() == "one\ntwo\n"
        received.close()
    assert target.stream.getvalue() == "one\n"
    memory.close()


def test_loggers_travel_by_name() -> None:
    """A logger, with whatever handlers, arrives as the logger of that name."""
    logger = logging.getLogger("daskpickle.test")
    logger.addHandler(handler := Recording())
    try:
        data = daskpickle.dumps(logger)
        assert daskpickle.loads(data) is logger
        assert b"daskpickle.reducers" not in data
    finally:
        logger.removeHandler(handler)


class Own(logging.Logger):
    """A class of loggers of a user."""


@pytest.mark.parametrize("make", [logging.Logger, Own])
def test_a_logger_that_nobody_gets_by_its_name_arrives_as_it_is(make: Any) -> None:
    """With its level and its handlers; `logging` does not get to know it."""
    logger = make("daskpickle.loose", logging.ERROR)
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    logger.me = logger
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(logger))
        assert type(received) is make
        assert received is received.me
        received.warning("one")
        received.error("two")
        assert received.handlers[0].stream.getvalue() == "two\n"
        received.handlers[0].close()
    assert "daskpickle.loose" not in logging.Logger.manager.loggerDict
