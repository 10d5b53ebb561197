"""A process that has ended arrives as what it returned; running ones and open pipes are refused."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import subprocess
import sys
from typing import Any

from daskpickle.testing import ReducerContract

QUIT = [sys.executable, "-S", "-c", "raise SystemExit(3)"]
WAIT = [sys.executable, "-S", "-c", "input()"]


class Job(subprocess.Popen):  # type: ignore[type-arg]
    """A process with an attribute of its own."""

    name = ""


class TestPopen(ReducerContract):
    def make(self) -> Any:
        process = subprocess.Popen(QUIT)
        process.wait()
        return process

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert (received.args, received.pid) == (sent.args, sent.pid)
        assert received.poll() == received.wait() == received.returncode == 3
        received.kill()  # which does nothing to a process that has ended
        assert received.communicate() == sent.communicate()

    def refused(self) -> list[Any]:
        return [(self.running, "It is running"), (self.unread, "Its pipes are open")]

    def running(self) -> Any:
        return subprocess.Popen(WAIT, stdin=subprocess.PIPE)

    def unread(self) -> Any:
        process = subprocess.Popen(QUIT, stdout=subprocess.PIPE)
        process.wait()
        return process

    def close(self, obj: Any) -> None:
        obj.communicate()

    @staticmethod
    def use(received: Any) -> Any:
        return received.wait(), repr(received)


class TestCommunicated(TestPopen):
    """Its output has been read, and its pipes are closed."""

    def make(self) -> Any:
        process = Job(QUIT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.name = "quit"
        process.communicate()
        return process

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.name == "quit"
        assert type(received.stdout) is type(sent.stdout)
        assert received.stdout.closed
        assert received.stdin is None

    def close(self, obj: Any) -> None:
        obj.wait()

    def refused(self) -> list[Any]:
        return [(self.unwaited, "nobody has waited for it")]

    def unwaited(self) -> Any:
        process = subprocess.Popen(QUIT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout:
            process.stdout.read()
        return process


class TestConnection(ReducerContract):
    """A closed connection travels, as it does without daskpickle."""

    def make(self) -> Any:
        left, right = multiprocessing.Pipe()
        left.close()
        right.close()
        return left

    def same(self, sent: Any, received: Any) -> bool:
        return received.closed and received.readable and received.writable

    def refused(self) -> list[Any]:
        return [(self.open, "Its file descriptor")]

    def open(self) -> Any:
        left, self.right = multiprocessing.Pipe()
        return left

    def close(self, obj: Any) -> None:
        if not obj.closed:
            self.right.close()
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.closed


def test_multiprocessing_still_sends_its_own_connections() -> None:
    """The pickler of `multiprocessing` keeps its own reducer: a child receives a connection."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=answer, args=(child,))
    process.start()
    child.close()
    assert parent.recv() == "here"
    process.join()
    process.close()
    parent.close()


def answer(connection: multiprocessing.connection.Connection) -> None:
    connection.send("here")
