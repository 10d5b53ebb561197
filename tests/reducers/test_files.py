"""Files: the same file at the same position, or its bytes; nothing is created, emptied or lost."""

from __future__ import annotations

import gc
import io
import os
import pickle
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import handles
from daskpickle.errors import HandleError, RefusedError
from daskpickle.testing import ReducerContract, elsewhere

LINES = "första\nandra\r\ntredje\rfjärde\n" * 3
BIG = 200_000
APPEND = {"_io.TextIOWrapper": "append", "_io.BufferedWriter": "append", "_io.FileIO": "append"}
CONTENTS = {
    "_io.TextIOWrapper": "contents",
    "_io.BufferedReader": "contents",
    "_io.FileIO": "contents",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_bytes(LINES.encode("latin-1"))
    return path


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose bytes do not travel."""
    monkeypatch.setattr(handles.settings, "contents_limit", BIG - 1)
    path = tmp_path / "big"
    path.write_bytes(bytes(BIG))
    return path


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def arrive(data: bytes) -> Any:
    """What a task gets of what was sealed for it."""
    with handles.opening():
        return daskpickle.loads(data)


def why(obj: Any) -> str:
    """Why it is refused."""
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps(obj)
    return caught.value.why


def read_elsewhere(data: bytes) -> Any:
    """What a task of another process reads."""
    with elsewhere(), handles.running_task(), arrive(data) as file:
        return file.read()


def unflushed(file: Any, data: Any) -> Any:
    file.write(data)
    return file


class UserRaw(io.RawIOBase):
    """One zero, again and again."""

    def __init__(self) -> None:
        self.at = 0

    def readable(self) -> bool:
        return True

    writable = seekable = readable

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        buffer[:1] = b"0"
        self.at += 1
        return 1

    def tell(self) -> int:
        return self.at


class LabelledRaw(io.FileIO):
    """A file with an attribute."""

    label = "none"


class Labelled(io.TextIOWrapper):
    """A text with an attribute."""

    label = "none"


class FileContract(ReducerContract):
    """What is true of all files that are open for reading."""

    path: Path
    mode = "r"
    options: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lines.txt"
        self.path.write_bytes(LINES.encode("latin-1"))

    def make(self) -> Any:
        file = open(self.path, self.mode, **self.options)  # noqa: PTH123
        file.read(9)
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert received.name == str(self.path)
        assert received.mode == sent.mode
        assert received.tell() == sent.tell() > 0
        with received:
            assert received.fileno() != sent.fileno()
            here = sent.tell()
            assert received.read() == sent.read()
            sent.seek(here)

    def state(self, obj: Any) -> Any:
        return obj.tell(), os.lseek(obj.fileno(), 0, os.SEEK_CUR)

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.tell(), received.readline(), received.read()

    absent = None

    def target(self, obj: Any) -> Path:
        return self.path


class TestText(FileContract):
    options = {"encoding": "latin-1", "errors": "replace"}

    def same(self, sent: Any, received: Any) -> None:
        assert (received.encoding, received.errors) == (sent.encoding, sent.errors)
        assert received.line_buffering == sent.line_buffering
        assert received.write_through == sent.write_through
        super().same(sent, received)


class TestBufferedText(TestText):
    """Neither flag has an effect on reading; both are kept."""

    def make(self) -> Any:
        file = super().make()
        file.reconfigure(line_buffering=True, write_through=True)
        return file


class TestUntranslatedText(TestText):
    options = {"encoding": "latin-1", "newline": ""}


class TestUtf16(TestText):
    options = {"encoding": "utf-16"}

    @pytest.fixture(autouse=True)
    def _encode(self, _folder: None) -> None:
        self.path.write_bytes(LINES.encode("utf-16"))


class TestBinary(FileContract):
    mode = "rb"


class TestRaw(FileContract):
    mode = "rb"
    options = {"buffering": 0}


class TestContents(FileContract):
    policy = CONTENTS
    mode = "rb"


class TestTextContents(TestText):
    policy = CONTENTS


class TestBig(TestBinary):
    """Its bytes do not travel: where it is missing, that is an error."""

    absent = HandleError

    @pytest.fixture(autouse=True)
    def _limit(self, _folder: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(handles.settings, "contents_limit", 10)


class TestRawSubclass(FileContract):
    """The class is kept, and its attributes."""

    def make(self) -> Any:
        file = LabelledRaw(self.path)
        file.label = "mine"
        file.read(9)
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert received.label == "mine"
        super().same(sent, received)


class TestTextUponMemory(ReducerContract):
    """It arrives as itself, not as a handle: there is nothing to open."""

    def make(self) -> Any:
        file = Labelled(io.BytesIO(LINES.encode()), "utf-8")
        file.label = "mine"
        file.read(9)
        file.seek(file.tell())  # so that it has read nothing ahead
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Labelled
        assert (received.label, received.tell()) == ("mine", sent.tell())
        here = sent.tell()
        assert received.read() == sent.read()
        sent.seek(here)

    def state(self, obj: Any) -> Any:
        return obj.tell()


class TestUserRaw(ReducerContract):
    """What lies beneath a buffer travels by its own rules."""

    def make(self) -> Any:
        file = io.BufferedReader(UserRaw(), 10)
        file.read(3)
        return file

    def same(self, sent: Any, received: Any) -> bool:
        return bool((received.tell(), received.read(2)) == (3, b"00"))

    def state(self, obj: Any) -> Any:
        return obj.tell()


class TestPrivate(ReducerContract):
    """A file without a name is a value."""

    def make(self) -> Any:
        file = tempfile.TemporaryFile()
        file.write(b"content")
        file.seek(3)
        return file

    def same(self, sent: Any, received: Any) -> None:
        with received:
            assert (received.mode, received.read()) == (sent.mode, b"tent")
            received.write(b"more")
        assert sent.read() == b"tent"
        sent.seek(3)

    def state(self, obj: Any) -> Any:
        return obj.tell()

    def close(self, obj: Any) -> None:
        obj.close()


class TestDevnull(ReducerContract):
    def make(self) -> Any:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123

    def same(self, sent: Any, received: Any) -> None:
        assert (received.name, received.mode) == (os.devnull, "w")
        assert received.write("gone") == 4
        with pytest.raises(io.UnsupportedOperation):
            received.read()

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.write("gone"), received.flush(), received.encoding


class TestStandardError(ReducerContract):
    """It is the one of the process where it arrives."""

    @pytest.fixture(autouse=True)
    def _patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def make(self) -> Any:
        # pytest has put a stream of its own in its place
        self.monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
        return sys.stderr

    def same(self, sent: Any, received: Any) -> bool:
        return received is sys.stderr

    @staticmethod
    def use(received: Any) -> Any:
        return received.writable()


class TestTemporary(ReducerContract):
    """The copy is a file like others: only the original deletes the file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self) -> Any:
        file = tempfile.NamedTemporaryFile("r", dir=self.folder)
        Path(file.name).write_text("one\ntwo\n")
        file.readline()
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert received.name == sent.name
        with received:
            assert received.read() == "two\n"
        assert Path(sent.name).exists()

    def state(self, obj: Any) -> Any:
        return obj.tell()

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.readline(), received.close(), received.name


class TestAppend(ReducerContract):
    policy = APPEND
    mode = "a"
    options: dict[str, Any] = {"encoding": "utf-8", "newline": "\r\n", "errors": "replace"}

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "log"

    def make(self) -> Any:
        self.path.unlink(missing_ok=True)
        return self.write(open(self.path, self.mode, **self.options))  # noqa: PTH123

    def write(self, file: Any) -> Any:
        line = "sent\n"
        file.write(line if isinstance(file, io.TextIOWrapper) else line.encode())
        file.flush()
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert received.mode == sent.mode
        with received:
            self.write(received)
        self.write(sent)
        newline = self.options.get("newline", "\n")
        assert self.path.read_bytes() == b"sent" + newline.encode() + b"sent" + (
            newline.encode() + b"sent" + newline.encode()
        )

    def state(self, obj: Any) -> Any:
        return self.path.read_bytes() if self.path.exists() else None

    def close(self, obj: Any) -> None:
        with suppress(ValueError):
            obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        text = isinstance(received, io.TextIOWrapper)
        return received.write("used\n" if text else b"used\n"), received.flush()

    def target(self, obj: Any) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        def unflushed(text: str, *options: Any, **keywords: Any) -> Callable[[], Any]:
            def make() -> Any:
                file = open(self.path, *options, **keywords)  # noqa: PTH123
                file.write(text if "b" not in options[0] else text.encode())
                return file

            return make

        def written_through() -> Any:
            file = open(self.path, "a")  # noqa: PTH123
            file.reconfigure(write_through=True)
            file.write("x")
            return file

        def unlinked() -> Any:
            file = open(self.path, "a")  # noqa: PTH123
            self.path.unlink()
            return file

        return [
            (unflushed("x", "a", encoding="utf-8"), "not flushed"),
            (unflushed("é\n", "a", encoding="utf-8"), "not flushed"),
            (written_through, "not flushed"),
            (unflushed("\n", "a", newline="\n", encoding="utf-8"), "not flushed"),
            (unflushed("x", "a", newline="", encoding="utf-8"), "not flushed"),
            (unflushed("x", "a", 1, encoding="utf-8"), "not flushed"),
            (unflushed("x", "ab"), "not flushed"),
            (unlinked, "no longer there under any name"),
            (lambda: open(self.path, "w"), "open for writing, in mode 'w'"),  # noqa: PTH123
            (lambda: open(self.path, "wb", 0), "open for writing, in mode 'wb'"),  # noqa: PTH123
            (lambda: open(self.path, "wb"), "open for writing, in mode 'wb'"),  # noqa: PTH123
            (lambda: open(self.path, "a+"), r"open for writing, in mode 'a\+'"),  # noqa: PTH123
        ]


class TestAppendBytes(TestAppend):
    mode = "ab"
    options: dict[str, Any] = {}
    refused = ReducerContract.refused


class TestAppendRaw(TestAppendBytes):
    options: dict[str, Any] = {"buffering": 0}

    def same(self, sent: Any, received: Any) -> None:
        with received:
            self.write(received)
        self.write(sent)
        assert self.path.read_bytes() == b"sent\n" * 3


class TestRefusals(ReducerContract):
    """What has no meaning elsewhere, by the default actions."""

    @pytest.fixture(autouse=True)
    def _folder(self, path: Path, cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.cleanup = path, cleanup
        self.stream = cleanup.enter_context(path.open(encoding="latin-1"))
        monkeypatch.setattr(sys, "__stdin__", self.stream)

    def state(self, obj: Any) -> Any:
        return self.path.read_bytes()

    def close(self, obj: Any) -> None:
        with suppress(ValueError, OSError):
            obj.close()

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        writing = [
            (lambda mode=mode: self.path.open(mode), f"It is open for writing, in mode '{said}'")
            for mode, said in [
                ("a", "a"), ("ab", "ab"), ("r+", r"r\+"), ("rb+", r"rb\+"), ("a+", r"a\+"),
            ]
        ]  # fmt: skip
        return [
            *writing,
            (self.new, "It is open for writing, in mode 'x'"),
            (lambda: self.path.open("rb+", buffering=0), r"It is open for writing, in mode 'rb\+'"),
            (self.closed, "It is closed"),
            (self.detached, "It was detached"),
            (self.iterated, "It does not tell its position: telling position disabled by next"),
            (self.pipe, "It is an end of a pipe"),
            (self.terminal, "It is a terminal"),
            (self.opened_socket, "It is a socket, opened as a file"),
            (self.read_from_socket, "It reads or writes a socket.SocketIO, which has no position"),
            (lambda: unflushed(io.BufferedWriter(io.BytesIO()), b"x"), "not flushed"),  # type: ignore[arg-type]
            (lambda: unflushed(io.TextIOWrapper(io.BytesIO()), "x"), "not flushed"),
            (self.hidden, "iterated over, and flushed"),
            (lambda: io.BufferedRWPair(io.BytesIO(), io.BytesIO()), "It does not show"),  # type: ignore[arg-type]
            (lambda: io.BufferedRandom(UserRaw()), "It reads and writes a test_files.UserRaw"),
            (self.without_descriptor, "Its descriptor does not answer"),
            (self.write_only, "Its bytes cannot be read"),
            (lambda: self.stream, "It is standard input"),
        ]

    def new(self) -> Any:
        return self.path.with_name("new").open("x")

    def closed(self) -> Any:
        file = self.path.open()
        file.close()
        return file

    def detached(self) -> Any:
        file = self.path.open()
        self.cleanup.enter_context(file.detach())
        return file

    def iterated(self) -> Any:
        file = self.path.open(encoding="latin-1")
        next(file)
        return file

    def pipe(self) -> Any:
        read, write = os.pipe()
        self.cleanup.callback(os.close, write)
        return open(read)  # noqa: PTH123

    def terminal(self) -> Any:
        master, slave = os.openpty()
        self.cleanup.callback(os.close, master)
        return open(slave, "rb", 0)  # noqa: PTH123

    def opened_socket(self) -> Any:
        one, other = socket.socketpair()
        self.cleanup.enter_context(other)
        return open(one.detach(), "rb")  # noqa: PTH123

    def read_from_socket(self) -> Any:
        one, other = socket.socketpair()
        self.cleanup.enter_context(one)
        self.cleanup.enter_context(other)
        return one.makefile("rb")

    def hidden(self) -> Any:
        file = self.iterated()
        file.flush()  # after which it tells a wrong position
        return file

    def without_descriptor(self) -> Any:
        file = self.path.open("rb", buffering=0)
        os.close(file.fileno())
        return file

    def write_only(self) -> Any:
        fd = os.open(self.path, os.O_WRONLY)
        return open(fd, "rb")  # noqa: PTH123


# --- What travels -------------------------------------------------------------------------------

NEWLINES = [None, "", "\n", "\r", "\r\n"]
every_newline = pytest.mark.parametrize("newline", NEWLINES, ids=map(repr, NEWLINES))


def untouched(file: Any) -> None:
    """Leave it at its start."""


def read_some(file: Any) -> None:
    file.readline()


def come_back(file: Any) -> None:
    file.readline()
    file.seek(file.tell())


def rewind(file: Any) -> None:
    file.read()
    file.seek(0)


def read_to_the_end(file: Any) -> None:
    file.read()


def read_pieces_to_the_end(file: Any) -> None:
    while file.read(5):
        pass


def iterate_to_the_end(file: Any) -> None:
    list(file)


@every_newline
@pytest.mark.parametrize(
    "move",
    [
        untouched, read_some, come_back, rewind, read_to_the_end, read_pieces_to_the_end,
        iterate_to_the_end,
    ],
)  # fmt: skip
def test_lines_end_where_they_ended(
    newline: str | None, move: Callable[[Any], None], path: Path
) -> None:
    """The newline that it was opened with is kept, where it is read on, and from the start."""
    with path.open(encoding="latin-1", newline=newline) as sent:
        move(sent)
        data = daskpickle.dumps(sent)
        rest = list(sent)
        sent.seek(0)
        everything = list(sent)
    with elsewhere(), handles.running_task(), arrive(data) as received:
        assert list(received) == rest
        received.seek(0)
        assert list(received) == everything


@every_newline
def test_lines_are_appended_as_they_were(newline: str | None, tmp_path: Path) -> None:
    """The newline that a file was opened with is kept in writing."""
    written = []
    for name in ("sent", "received"):
        with (tmp_path / name).open("a", newline=newline) as file:
            file.flush()
            with daskpickle.use_policy(APPEND):
                data = daskpickle.dumps(file)
            if name == "sent":
                file.write("one\ntwo\n")
            else:
                with elsewhere(), handles.running_task(), arrive(data) as received:
                    received.write("one\ntwo\n")
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_each_task_has_its_own_file_at_the_submitted_position(path: Path) -> None:
    """What one task reads is not missing in the next; it is closed at its end."""
    with path.open("rb") as sent:
        sent.seek(3)
        data = daskpickle.dumps(sent)
        sent.seek(30)
    with elsewhere():
        seen = []
        for _ in range(2):
            with handles.running_task():
                file = arrive(data)
                seen.append((file.tell(), file.read()))
                fd = file.fileno()
                del file
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
    assert seen == [(3, path.read_bytes()[3:])] * 2


def test_two_files_at_two_positions_are_two(path: Path) -> None:
    """They have different bytes, and arrive at different positions; one is the same bytes twice."""
    with path.open("rb") as one, path.open("rb") as other:
        other.read(7)
        assert daskpickle.dumps(one) == daskpickle.dumps(one)
        assert daskpickle.dumps(one) != daskpickle.dumps(other)
        data = daskpickle.dumps([one, other])
    with elsewhere(), handles.running_task():
        one, other = arrive(data)
        assert (one.tell(), other.tell()) == (0, 7)


def test_a_relative_name_leads_to_the_same_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the folder has changed since."""
    monkeypatch.chdir(path.parent)
    with Path(path.name).open("rb") as sent:
        monkeypatch.chdir("/")
        data = daskpickle.dumps(sent)
    with elsewhere():
        assert daskpickle.loads(data).name == str(path)


def test_a_symbolic_link_stays_one(path: Path) -> None:
    """The path that it was opened by is kept: it may lead there on other hosts too."""
    link = path.with_name("link")
    link.symlink_to(path)
    with link.open("rb") as sent:
        data = daskpickle.dumps(sent)
    with elsewhere():
        assert daskpickle.loads(data).name == str(link)


def open_by_descriptor(path: Path) -> Any:
    return open(os.open(path, os.O_RDONLY), "rb")  # noqa: PTH123


def open_by_folder(path: Path) -> Any:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        return open(path.name, "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=folder))
    finally:
        os.close(folder)


def open_by_bytes(path: Path) -> Any:
    return open(os.fsencode(path), "rb")  # noqa: PTH123


@pytest.mark.parametrize("opener", [open_by_descriptor, open_by_folder, open_by_bytes])
def test_a_file_without_a_name_of_its_own_is_found(
    opener: Callable[[Path], Any], big: Path
) -> None:
    """The system knows the path of a descriptor."""
    with opener(big) as sent:
        data = daskpickle.dumps(sent)
    with elsewhere(), handles.running_task():
        assert arrive(data).name == str(big)


# --- The same bytes -----------------------------------------------------------------------------


def test_few_bytes_are_used_where_the_file_is_missing(path: Path) -> None:
    """What arrives is a real file with a descriptor, in the same place, under the same name."""
    with path.open(encoding="latin-1") as sent:
        sent.readline()
        data = daskpickle.dumps(sent)
        rest = sent.read()
    path.unlink()
    with elsewhere(), handles.running_task(), arrive(data) as received:
        assert type(received) is io.TextIOWrapper
        assert received.name == str(path)
        assert received.read() == rest
        assert os.fstat(received.fileno()).st_size == len(LINES.encode("latin-1"))
        assert not received.writable()
    assert not path.exists()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


def overwrite_with_the_same_size_and_time(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_a_named_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES = [
    Path.unlink, replace, overwrite_with_the_same_size_and_time, append, make_a_folder,
    make_a_named_pipe,
]  # fmt: skip
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@every_change
def test_few_bytes_are_used_where_the_file_is_another_one(
    change: Callable[[Path], None], path: Path
) -> None:
    """What was submitted is what arrives, and not what lies at its path by then."""
    with path.open("rb") as sent:
        data = daskpickle.dumps(sent)
        content = sent.read()
    change(path)
    assert read_elsewhere(data) == content


@every_change
def test_a_file_that_changed_is_an_error_of_first_use(
    change: Callable[[Path], None], big: Path
) -> None:
    """It says which file, and what to do; loading does not look."""
    big.write_bytes(b"1" + bytes(BIG - 1))
    with big.open("rb") as sent:
        data = daskpickle.dumps(sent)
    change(big)
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match=f"{big} .*") as caught:
            received.read()
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("place", [0, BIG // 2, BIG - 1])
def test_a_big_file_is_looked_into(place: int, big: Path) -> None:
    """At its start, middle and end, where size and time are the same."""
    status = big.stat()
    with big.open("rb") as sent:
        data = daskpickle.dumps(sent)
    with big.open("rb+") as file:
        file.seek(place)
        file.write(b"1")
    os.utime(big, ns=(status.st_atime_ns, status.st_mtime_ns))
    with elsewhere(), pytest.raises(HandleError, match="its bytes differ"):
        daskpickle.loads(data).read()


def test_a_big_file_is_not_read(big: Path) -> None:
    """Where its bytes do not travel, what travels is small; where it is unchanged, it is opened."""
    with big.open("rb") as sent:
        data = daskpickle.dumps(sent)
    assert len(data) < 1000
    assert read_elsewhere(data) == bytes(BIG)


def test_a_touched_file_is_the_same_if_its_bytes_travelled(path: Path) -> None:
    """Its bytes are compared, and no times."""
    with path.open("rb") as sent:
        data = daskpickle.dumps(sent)
    os.utime(path, ns=(1, 1))
    with elsewhere(), handles.running_task(), arrive(data) as received:
        assert os.path.samestat(os.fstat(received.fileno()), path.stat())


def test_the_action_contents_sends_any_number_of_bytes(big: Path) -> None:
    """And does not look at the path where they arrive."""
    with big.open("rb") as sent, daskpickle.use_policy(CONTENTS):
        sent.seek(5)
        data = daskpickle.dumps(sent)
    big.write_bytes(b"another one")
    assert len(data) > BIG
    assert read_elsewhere(data) == bytes(BIG - 5)


def test_bytes_travel_out_of_band(path: Path) -> None:
    """They are not copied into the stream where the protocol can do without."""
    buffers: list[pickle.PickleBuffer] = []
    with path.open("rb") as sent:
        content = sent.read()
        sent.seek(0)
        data = daskpickle.dumps(sent, 5, buffer_callback=buffers.append)
        assert content not in data
        assert [bytes(buffer) for buffer in buffers] == [content]
        assert content in daskpickle.dumps(sent, 5)
        assert content in daskpickle.dumps(sent, 4)
    path.unlink()
    with elsewhere(), handles.running_task(), handles.opening():
        received = daskpickle.loads(data, buffers=[bytearray(content)])
        assert received.read() == content


def test_a_deleted_file_travels_as_its_bytes(path: Path) -> None:
    """As long as they are few."""
    with path.open("rb") as sent:
        content = path.read_bytes()
        path.unlink()
        assert read_elsewhere(daskpickle.dumps(sent)) == content


def test_a_deleted_file_that_is_big_is_refused(big: Path) -> None:
    """There is neither a path nor the bytes; by the action "contents" there are."""
    with big.open("rb") as sent:
        big.unlink()
        assert why(sent).startswith("Its file has no name any more")
        with daskpickle.use_policy(CONTENTS):
            assert read_elsewhere(daskpickle.dumps(sent)) == bytes(BIG)


def test_a_file_in_memory_travels_as_its_bytes() -> None:
    """Its name is what the system calls it."""
    fd = os.memfd_create("memory")
    os.write(fd, b"content")
    with open(fd, "rb") as sent:  # noqa: PTH123
        sent.seek(3)
        data = daskpickle.dumps(sent)
    assert read_elsewhere(data) == b"tent"


def test_what_the_kernel_writes_travels_as_it_was_read() -> None:
    """The files of /proc have no size, and other bytes in each process."""
    with Path("/proc/self/stat").open("rb") as sent:
        data = daskpickle.dumps(sent)
        with daskpickle.use_policy(CONTENTS):
            same = daskpickle.dumps(sent)
    for sent_bytes in (data, same):
        assert read_elsewhere(sent_bytes).startswith(f"{os.getpid()} (".encode())


def test_a_text_file_without_a_buffer_travels(path: Path) -> None:
    """What `open` does not make, but a program may."""
    raw = io.FileIO(path)
    with io.TextIOWrapper(raw, encoding="latin-1") as sent:  # type: ignore[type-var]
        data = daskpickle.dumps(sent)
        assert not hasattr(sent, "mode")
        assert read_elsewhere(data) == sent.read()


# --- Standard streams, and what is not of this room ---------------------------------------------


@pytest.mark.parametrize("name", ["stdout", "stderr", "__stdout__", "__stderr__"])
def test_standard_streams_are_those_of_the_process(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they are where they arrive, and whatever the action for other files is."""
    sent, there = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    monkeypatch.setattr(sys, name, sent)
    data = [daskpickle.dumps(sent)]
    for actions in (APPEND, CONTENTS):
        with daskpickle.use_policy(actions):
            data.append(daskpickle.dumps(sent))
    monkeypatch.setattr(sys, name.strip("_"), there)
    assert [daskpickle.loads(item) for item in data] == [there] * 3


@pytest.mark.parametrize("mode", ["r", "rb", "wb", "r+b", "w+", "a"])
def test_the_null_device_travels_in_all_modes(mode: str, cleanup: ExitStack) -> None:
    """Nothing is in it, and nothing is lost."""
    sent = cleanup.enter_context(open(os.devnull, mode))  # noqa: PTH123
    for actions in ({}, APPEND):
        with daskpickle.use_policy(actions):
            data = daskpickle.dumps(sent)
        with elsewhere(), handles.running_task(), arrive(data) as received:
            assert type(received) is type(sent)
            assert received.mode == sent.mode
            assert received.readable() == sent.readable()
            assert received.writable() == sent.writable()


class Tee(io.TextIOBase):
    """What a program may put in the place of a standard stream."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        self.lines.append(text)
        return len(text)


@pytest.mark.parametrize("make", [Tee, lambda: Labelled(io.BytesIO())], ids=["Tee", "Labelled"])
def test_what_stands_in_the_place_of_a_standard_stream_is_one(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Jupyter and in pytest; elsewhere it is an object like others."""
    stream, there = make(), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        data = daskpickle.dumps(stream)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", there)
        assert daskpickle.loads(data) is there
    assert type(daskpickle.loads(daskpickle.dumps(stream))) is type(stream)


def test_buffers_of_standard_streams_are_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the original one, where what stands in its place has none."""
    original = io.TextIOWrapper(io.BufferedWriter(io.BytesIO()))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdout", original)
    data = daskpickle.dumps(original.buffer)
    assert daskpickle.loads(data) is original.buffer
    monkeypatch.setattr(sys, "__stdout__", original)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert daskpickle.loads(data) is original.buffer
    monkeypatch.setattr(sys, "__stdout__", None)
    assert daskpickle.loads(data) is None


def test_a_buffer_for_both_is_flushed_to_its_memory() -> None:
    """It does not tell whether it holds something back, and that must not be lost."""
    sent = io.BufferedRandom(io.BytesIO(b"one"))  # type: ignore[arg-type]
    sent.read(1)
    sent.write(b"xy")
    assert sent.tell() == sent.raw.tell()  # as if nothing were held back
    received = daskpickle.loads(daskpickle.dumps(sent))
    received.seek(0)
    assert received.read() == b"oxy"


def test_reading_is_not_affected_by_the_action_append(path: Path) -> None:
    """It says what becomes of files that are open for writing."""
    with path.open("rb", buffering=0) as sent, daskpickle.use_policy(APPEND):
        assert read_elsewhere(daskpickle.dumps(sent)) == path.read_bytes()


@pytest.mark.parametrize("make", [lambda: io.BytesIO(b"xy"), lambda: io.StringIO("xy")])
def test_files_in_memory_pickle_themselves(make: Callable[[], Any]) -> None:
    """They are values, and name nothing of ours."""
    file = make()
    file.read(1)
    data = daskpickle.dumps(file)
    assert b"daskpickle" not in data
    assert pickle.loads(data).read() == file.read()


def test_a_temporary_file_that_is_written_is_refused() -> None:
    """The path leads to the file in it."""
    with tempfile.NamedTemporaryFile() as file:
        with pytest.raises(RefusedError, match="open for writing") as caught:
            daskpickle.dumps(file)
        assert caught.value.path is not None
        assert Path(file.name).exists()


def test_a_method_of_a_temporary_file_deletes_nothing(tmp_path: Path) -> None:
    """It holds what deletes the file at its end, which its copy does not do."""
    with tempfile.NamedTemporaryFile("rb", dir=tmp_path) as sent:
        data = daskpickle.dumps(sent.read)
        with elsewhere(), handles.running_task():
            received = arrive(data)
            assert received() == b""
        del received
        gc.collect()
        assert Path(sent.name).exists()


def test_a_file_in_the_place_of_standard_input_is_a_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the process began with is standard input."""
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        data = daskpickle.dumps(file)
    with daskpickle.loads(data) as received:
        assert received.read() == path.read_bytes()


def test_attributes_travel(path: Path) -> None:
    """Also the file itself, as its own attribute."""
    with path.open("rb") as file:
        sent: Any = file
        sent.label, sent.own = ["label"], sent
        data = daskpickle.dumps(sent)
    with elsewhere(), handles.running_task(), arrive(data) as received:
        assert received.label == ["label"]
        assert received.own.read() == path.read_bytes()


def test_a_device_that_is_everywhere_travels() -> None:
    """Where it arrives it gives what such a device gives."""
    with Path("/dev/zero").open("rb") as file:
        data = daskpickle.dumps(file)
    with elsewhere(), handles.running_task(), arrive(data) as received:
        assert received.read(3) == bytes(3)
