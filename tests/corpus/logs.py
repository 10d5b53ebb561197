"""Logging: loggers, handlers, filters, formatters, records."""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import queue
import socketserver
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpus import Case

Made = Callable[[ExitStack], Any]


def record(text: str = "after", **attributes: Any) -> logging.LogRecord:
    made = logging.LogRecord("name", logging.INFO, __file__, 7, text, (), None)
    vars(made).update(attributes)
    return made


def made(cls: Any, *args: Any, **options: Any) -> Made:
    """Make a handler, and let it format and filter."""

    def make(stack: ExitStack) -> Any:
        handler = cls(*args, **options)
        handler.setLevel(logging.INFO)
        handler.setFormatter(logging.Formatter("<%(message)s>"))
        handler.addFilter(lambda record: "no" not in record.msg)
        handler.set_name("named")
        stack.callback(handler.close)
        return handler

    return make


def is_set_up(handler: Any) -> None:
    assert (handler.level, handler.name) == (logging.INFO, "named")
    assert handler.format(record("x")) == "<x>"
    assert handler.filter(record("yes"))
    assert not handler.filter(record("no"))
    handler.acquire()
    handler.release()


def writing(cls: Any, *args: Any, emit: bool = True, **options: Any) -> Made:
    """Make a handler that writes to a file; it has written a record if ``emit``."""

    def make(stack: ExitStack) -> Any:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = Path(folder, "job.log")
        path.write_text("before\n")
        handler = made(cls, path, *args, **options)(stack)
        if emit:
            handler.handle(record("sent"))
        return handler

    return make


def appends(handler: Any) -> None:
    """It has not opened its file, and appends to it."""
    path = Path(handler.baseFilename)
    before = path.read_text()
    assert before.startswith("before\n")
    assert handler.stream is None
    is_set_up(handler)
    for text in ("one", "no", "two"):
        handler.handle(record(text))
    assert path.read_text() == f"{before}<one>\n<two>\n"
    handler.close()


def rotates(handler: Any) -> None:
    assert (handler.maxBytes, handler.backupCount) == (100, 2)
    appends(handler)
    handler.handle(record("x" * 90))
    path = Path(handler.baseFilename)
    assert path.read_text() == f"<{'x' * 90}>\n"
    assert path.with_name("job.log.1").exists()
    handler.close()
    path.with_name("job.log.1").rename(path)  # for who checks next


def to_stdout(handler: Any) -> None:
    is_set_up(handler)
    assert handler.stream is sys.stdout


def to_memory(handler: Any) -> None:
    is_set_up(handler)
    handler.handle(record())
    assert handler.stream.getvalue() == "<after>\n"


class Receiver(socketserver.BaseRequestHandler):
    """Takes what is sent."""

    def handle(self) -> None:
        try:
            while self.request.recv(1000):
                pass
        except OSError:
            pass


def sending(cls: Any, *, emit: bool, server: Any, wrap: bool = False) -> Made:
    """Make a handler that sends to a server; it has sent a record if ``emit``."""

    def make(stack: ExitStack) -> Any:
        listening = server(("127.0.0.1", 0), Receiver)
        listening.daemon_threads, listening.block_on_close = True, False
        listening.handle_error = lambda *args: None
        thread = threading.Thread(target=listening.serve_forever, args=[0.05])
        thread.start()
        stack.callback(listening.server_close)
        stack.callback(thread.join)
        stack.callback(listening.shutdown)
        address = listening.server_address
        handler = made(cls, *([address] if wrap else address))(stack)
        if emit:
            handler.handle(record("sent"))
        return handler

    return make


def sends(attribute: str) -> Callable[[Any], None]:
    """Check that it connects, and sends."""

    def check(handler: Any) -> None:
        failed: list[Any] = []
        handler.handleError = failed.append
        handler.handle(record())
        assert failed == []
        assert getattr(handler, attribute) is not None
        handler.close()

    return check


def memory(stack: ExitStack) -> Any:
    handler = made(logging.handlers.MemoryHandler, 10, target=logging.StreamHandler(io.StringIO()))
    return handler(stack)


def flushes(handler: Any) -> None:
    handler.handle(record("kept"))
    handler.handle(record("bad", levelno=logging.ERROR))
    assert handler.target.stream.getvalue() == "kept\nbad\n"


class Own(logging.Handler):
    """A handler of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def collects(handler: Any) -> None:
    is_set_up(handler)
    handler.handle(record())
    assert handler.messages == ["<after>"]


def queues(handler: Any) -> None:
    handler.handle(record())
    assert handler.queue.get_nowait().getMessage() == "<after>"


def listener(stack: ExitStack) -> Any:
    return logging.handlers.QueueListener(queue.Queue(), Own(), respect_handler_level=True)


def listens(listener: Any) -> None:
    listener.start()
    listener.queue.put(record())
    listener.stop()
    assert listener.handlers[0].messages == ["after"]


def started(stack: ExitStack) -> Any:
    running = listener(stack)
    running.start()
    stack.callback(running.stop)
    return running


def pair(stack: ExitStack) -> Any:
    """A handler and the listener at the other end of its queue."""
    records: queue.Queue[Any] = queue.Queue()
    handler = made(logging.handlers.QueueHandler, records)(stack)
    handler.aside = logging.handlers.QueueListener(records, Own())
    return handler


def are_a_pair(handler: Any) -> None:
    assert handler.queue is handler.aside.queue
    handler.handle(record())
    listens(handler.aside) if handler.queue.empty() else handler.aside.handle(handler.queue.get())
    assert handler.aside.handlers[0].messages == ["<after>"]


def logger(stack: ExitStack) -> logging.Logger:
    made = logging.getLogger("corpus.logger")
    handler = logging.NullHandler()
    made.addHandler(handler)
    stack.callback(made.removeHandler, handler)
    return made


def of_name(name: str) -> Callable[[Any], None]:
    def check(received: Any) -> None:
        assert received is logging.getLogger(name)

    return check


def placeholder(stack: ExitStack) -> Any:
    logging.getLogger("corpus.of.nobody")
    return logging.Logger.manager.loggerDict["corpus.of"]


def failed(stack: ExitStack) -> logging.LogRecord:
    try:
        raise ValueError("broken")
    except ValueError:
        return record("failed", exc_info=sys.exc_info())


def has_failed(record: Any) -> None:
    assert record.exc_info[0] is ValueError
    assert str(record.exc_info[1]) == "broken"
    assert "ValueError: broken" in logging.Formatter("%(message)s").format(record)


def adapts(adapter: Any) -> None:
    assert adapter.process("x", {})[1] == {"extra": {"job": 5}}
    assert adapter.logger is logging.getLogger("corpus.adapter")


class OwnLogger(logging.Logger):
    """Loggers of a user."""


def truth(test: Callable[[Any], Any]) -> Callable[[Any], None]:
    def check(received: Any) -> None:
        assert test(received)

    return check


handlers = logging.handlers
NOBODY = ("127.0.0.1", 9)  # nobody answers datagrams that are sent there

CASES = [
    Case("log.handler", made(logging.Handler), is_set_up),
    Case("log.handler.null", made(logging.NullHandler), is_set_up),
    Case("log.handler.own", made(Own), collects),
    Case("log.handler.stdout", lambda stack: made(logging.StreamHandler, sys.stdout)(stack),
         to_stdout),
    Case("log.handler.stringio", lambda stack: made(logging.StreamHandler, io.StringIO())(stack),
         to_memory),
    Case("log.handler.last", lambda stack: logging.lastResort,
         truth(lambda handler: (handler.level, handler.stream) == (30, sys.stderr))),
    Case("log.handler.file", writing(logging.FileHandler), appends),
    Case("log.handler.file.delay", writing(logging.FileHandler, delay=True, emit=False), appends),
    Case("log.handler.file.w", writing(logging.FileHandler, "w"), refused="would empty its file"),
    Case("log.handler.watched", writing(handlers.WatchedFileHandler), appends),
    Case("log.handler.rotating",
         writing(handlers.RotatingFileHandler, maxBytes=100, backupCount=2), rotates),
    Case("log.handler.timed", writing(handlers.TimedRotatingFileHandler, "midnight"), appends),
    Case("log.handler.memory", memory, flushes),
    Case("log.handler.buffering", made(handlers.BufferingHandler, 10), is_set_up),
    Case("log.handler.socket", made(handlers.SocketHandler, *NOBODY), is_set_up),
    Case("log.handler.socket.connected", sending(
        handlers.SocketHandler, emit=True, server=socketserver.ThreadingTCPServer
    ), sends("sock")),
    Case("log.handler.datagram", made(handlers.DatagramHandler, *NOBODY), sends("sock")),
    Case("log.handler.datagram.used", sending(
        handlers.DatagramHandler, emit=True, server=socketserver.UDPServer
    ), sends("sock")),
    Case("log.handler.syslog", made(handlers.SysLogHandler, NOBODY), sends("socket")),
    Case("log.handler.syslog.used", sending(
        handlers.SysLogHandler, emit=True, server=socketserver.UDPServer, wrap=True
    ), sends("socket")),
    Case("log.handler.http", made(handlers.HTTPHandler, "h", "/"), is_set_up),
    Case("log.handler.https", lambda stack: made(
        handlers.HTTPHandler, "h", "/", secure=True, context=ssl.create_default_context()
    )(stack), truth(lambda handler: handler.context.check_hostname)),
    Case("log.handler.http.password", made(
        handlers.HTTPHandler, "h", "/", credentials=("me", "pw")), refused="holds a password"),
    Case("log.handler.smtp", made(handlers.SMTPHandler, "h", "a", ["b"], "s"), is_set_up),
    Case("log.handler.smtp.password", made(
        handlers.SMTPHandler, "h", "a", ["b"], "s", ("me", "pw")), refused="holds a password"),
    Case("log.handler.queue",
         lambda stack: made(handlers.QueueHandler, queue.Queue())(stack), queues),
    Case("log.handler.queue.simple",
         lambda stack: made(handlers.QueueHandler, queue.SimpleQueue())(stack), queues),
    Case("log.handler.queue.pair", pair, are_a_pair),
    Case("log.listener", listener, listens),
    Case("log.listener.started", started, refused="It is running"),
    Case("log.logger", lambda stack: logging.getLogger("corpus.plain"), of_name("corpus.plain")),
    Case("log.logger.handler", logger, of_name("corpus.logger")),
    Case("log.logger.unregistered", lambda stack: logging.Logger("corpus.nobodys", 30),
         truth(lambda logger: (logger.name, logger.level) == ("corpus.nobodys", 30))),
    Case("log.logger.unregistered.subclass", lambda stack: OwnLogger("corpus.nobodys", 30),
         truth(lambda logger: (logger.name, logger.level) == ("corpus.nobodys", 30))),
    Case("log.root", lambda stack: logging.getLogger(), of_name("")),
    Case("log.adapter", lambda stack: logging.LoggerAdapter(
        logging.getLogger("corpus.adapter"), {"job": 5}), adapts),
    Case("log.manager", lambda stack: logging.Logger.manager,
         truth(lambda manager: manager is logging.Logger.manager)),
    Case("log.manager.other", lambda stack: logging.Manager(logging.root),
         truth(lambda manager: manager.root is logging.root)),
    Case("log.placeholder", placeholder, truth(lambda made: made.loggerMap)),
    Case("log.record", lambda stack: record("text", extra=1),
         truth(lambda made: (made.getMessage(), made.extra, made.lineno) == ("text", 1, 7))),
    Case("log.record.exc_info", failed, has_failed),
    Case("log.filter", lambda stack: logging.Filter("name"),
         truth(lambda made: made.filter(record()) and not made.filter(record(name="x")))),
    Case("log.filterer", lambda stack: logging.Filterer(),
         truth(lambda made: made.filter(record()))),
    Case("log.formatter", lambda stack: logging.Formatter(
        "{message} {job}", style="{", defaults={"job": 5}),
         truth(lambda made: made.format(record("x")) == "x 5")),
    Case("log.formatter.buffering", lambda stack: logging.BufferingFormatter(),
         truth(lambda made: made.format([record("x")]) == "x")),
    Case("log.style", lambda stack: logging.StringTemplateStyle("$message"),
         truth(lambda made: made.format(record(message="x")) == "x")),
    Case("log.config", lambda stack: logging.config.DictConfigurator({"version": 1}),
         lambda made: made.config["version"]),
]  # fmt: skip
