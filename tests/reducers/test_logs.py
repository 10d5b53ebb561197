"""Log handlers travel as copies; those that would spoil a log, or hold a password, are refused."""

from __future__ import annotations

import io
import logging
import logging.handlers
import queue
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
        return logging.FileHandler(self.log, delay=True)

    def same(self, sent: Any, received: Any) -> None:
        self.log.write_text("before\n")
        assert received.stream is None
        received.handle(record("after"))
        received.close()
        assert self.log.read_text() == "before\nafter\n"

    def refused(self) -> list[Any]:
        keep = {"delay": True}
        handlers = logging.handlers
        return [
            (lambda: logging.FileHandler(self.log, "w", **keep), "It would empty its file"),
            (lambda: handlers.RotatingFileHandler(self.log, **keep), "It renames its file"),
            (lambda: handlers.TimedRotatingFileHandler(self.log, **keep), "It renames its file"),
            (lambda: handlers.QueueHandler(queue.Queue()), "Its queue is read in this process"),
            (lambda: handlers.QueueHandler(queue.SimpleQueue()), "Its queue is read in this"),
            (
                lambda: handlers.HTTPHandler("h", "/", credentials=("me", "pw")),
                "It holds a password",
            ),
            (
                lambda: handlers.SMTPHandler("h", "a", ["b"], "s", ("me", "pw")),
                "It holds a password",
            ),
        ]

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        received.handle(record("used"))
        received.close()
        return received.baseFilename


class TestWatchedFileHandler(TestFileHandler):
    def make(self) -> Any:
        return logging.handlers.WatchedFileHandler(self.log, delay=True)


class TestQueueHandler(ReducerContract):
    """A handler whose queue is no queue of this process."""

    def make(self) -> Any:
        return logging.handlers.QueueHandler([])  # type: ignore[arg-type]

    def same(self, sent: Any, received: Any) -> bool:
        return received.queue == sent.queue == []


class TestSMTPHandler(ReducerContract):
    def make(self) -> Any:
        return logging.handlers.SMTPHandler("mail.example", "me", ["you"], "Job failed")

    def same(self, sent: Any, received: Any) -> bool:
        return (received.mailhost, received.toaddrs) == ("mail.example", ["you"])


class TestHTTPHandler(ReducerContract):
    def make(self) -> Any:
        return logging.handlers.HTTPHandler("log.example", "/log")

    def same(self, sent: Any, received: Any) -> bool:
        return (received.host, received.url) == ("log.example", "/log")


def test_an_open_log_file_is_refused_as_a_file(tmp_path: Path) -> None:
    """The path of the error ends at the stream; nothing is written or emptied."""
    handler = logging.FileHandler(tmp_path / "job.log", "w")
    handler.handle(record("kept"))
    with pytest.raises(daskpickle.RefusedError, match="open for writing") as caught:
        daskpickle.dumps(handler)
    handler.close()
    assert caught.value.path == "obj.stream"
    assert (tmp_path / "job.log").read_text() == "kept\n"


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
    finally:
        logger.removeHandler(handler)
