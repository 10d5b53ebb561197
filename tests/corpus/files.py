"""Files, text and buffers upon other things, temporary files, entries of folders, memory maps."""

from __future__ import annotations

import fileinput
import gc
import io
import mmap
import os
import pathlib
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpus import Case

LINES = "första\nandra\r\ntredje\nfjärde\n"
BYTES = LINES.encode()


class Raw(io.RawIOBase):
    """Zeros to nines, for ever; it can seek."""

    def __init__(self) -> None:
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (self.at if whence == 1 else 0)
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        data = bytes(48 + (self.at + i) % 10 for i in range(len(buffer)))
        buffer[:] = data
        self.at += len(data)
        return len(data)


class Forward(Raw):
    """The same, and it cannot seek."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


class Text(io.TextIOWrapper):
    """A text with an attribute."""

    label = "none"


class Buffer(io.BufferedReader):
    """A buffer with an attribute."""

    label = "none"


class File(io.FileIO):
    """A file with an attribute."""

    label = "none"


class Memory(io.BytesIO):
    """Bytes with an attribute."""

    label = "none"


def path_of(stack: ExitStack, data: bytes = BYTES, name: str = "lines.txt") -> Path:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory()), name)
    path.write_bytes(data)
    return path


def opened(mode: str = "r", read: Any = 3, data: bytes = BYTES, **options: Any) -> Any:
    """Open a file and read some of it."""

    def make(stack: ExitStack) -> Any:
        if "b" not in mode:
            options.setdefault("encoding", "utf-8")
        file = stack.enter_context(path_of(stack, data).open(mode, **options))
        if read == "line":
            file.readline()
        elif read:
            file.read(read)
        return file

    return make


def gives(rest: Any, mode: str = "") -> Any:
    """Check what is left to read, and that it can be read again."""

    def check(file: Any) -> None:
        if mode:
            assert file.mode == mode, file.mode
        here = file.tell()
        got = file.read()
        assert got == rest, got
        file.seek(here)
        assert list(file) == rest.splitlines(True), rest
        assert file.read() == rest[:0]
        file.close()

    return check


def upon(make: Any) -> Any:
    """Make something that lies upon other things."""
    return lambda stack: make()


def moved(file: Any, *positions: int) -> Any:
    for position in positions:
        file.seek(position)
    return file


def labelled(file: Any) -> Any:
    file.label = "mine"
    return file


def is_labelled(check: Any) -> Any:
    def both(file: Any) -> None:
        assert file.label == "mine"
        check(file)

    return both


def read(file: Any, count: int) -> Any:
    file.read(count)
    return file


def written(file: Any, what: Any) -> Any:
    file.write(what)
    file.flush()
    return file


def is_here(get: Any) -> Any:
    def check(stream: Any) -> None:
        assert stream is get(), stream

    return check


def closed(make: Any) -> Any:
    def close(stack: ExitStack) -> Any:
        file = make(stack) if make.__code__.co_argcount else make()
        file.close()
        return file

    return close


def iterated(stack: ExitStack) -> Any:
    file = opened(read=0)(stack)
    next(file)
    return file


def pipe(stack: ExitStack) -> Any:
    read, write = os.pipe()
    stack.callback(os.close, write)
    return stack.enter_context(open(read))  # noqa: PTH123


def fifo(stack: ExitStack) -> Any:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "fifo")
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    return stack.enter_context(open(fd, "rb", 0))  # noqa: PTH123


def terminal(stack: ExitStack) -> Any:
    master, slave = os.openpty()
    stack.callback(os.close, master)
    return stack.enter_context(open(slave, "rb", 0))  # noqa: PTH123


def made_file(stack: ExitStack) -> Any:
    one, other = socket.socketpair()
    stack.enter_context(one)
    stack.enter_context(other)
    return stack.enter_context(one.makefile("r"))


def deleted(stack: ExitStack) -> Any:
    path = path_of(stack)
    file = stack.enter_context(path.open("rb"))
    path.unlink()
    return file


def by_descriptor(stack: ExitStack) -> Any:
    fd = os.open(path_of(stack), os.O_RDONLY)
    return stack.enter_context(open(fd, "rb"))  # noqa: PTH123


def by_opener(stack: ExitStack) -> Any:
    folder = os.open(path_of(stack).parent, os.O_RDONLY)
    stack.callback(os.close, folder)

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, dir_fd=folder)

    return stack.enter_context(open("lines.txt", "rb", opener=opener))


def memory_file(stack: ExitStack) -> Any:
    file = stack.enter_context(open(os.memfd_create("memory"), "w+b"))  # noqa: PTH123
    return moved(written(file, b"content"), 3)


def continues(rest: bytes) -> Any:
    """Check what is left, and that one can write."""

    def check(file: Any) -> None:
        here = file.tell()
        assert file.read() == rest
        file.write(b"more")
        file.seek(here)
        assert file.read() == rest + b"more"

    return check


def temporary_text(stack: ExitStack) -> Any:
    file = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-16"))
    file.write("öne\ntwo\n")
    return moved(file, 0)


def named_reader(stack: ExitStack) -> Any:
    path = path_of(stack)
    file = stack.enter_context(tempfile.NamedTemporaryFile("rb", dir=path.parent))
    Path(file.name).write_bytes(b"one\ntwo\n")
    file.readline()
    return file


def named_method(stack: ExitStack) -> Any:
    file = named_reader(stack)
    return file.read, file.name


def method_deletes_nothing(received: Any) -> None:
    read, name = received
    assert read() == b"two\n"
    del received, read
    gc.collect()
    assert Path(name).exists()


def itself(stack: ExitStack) -> Any:
    file = opened(read=0)(stack)
    file.label = file
    return file


def is_itself(received: Any) -> None:
    received.label.readline()
    assert received.readline() == "andra\n"


def stdin_replaced(stack: ExitStack) -> Any:
    stack.callback(setattr, sys, "stdin", sys.stdin)
    sys.stdin = opened()(stack)
    return sys.stdin


def spooled(size: int, mode: str = "w+b") -> Any:
    def make(stack: ExitStack) -> Any:
        file: Any = stack.enter_context(tempfile.SpooledTemporaryFile(size, mode))
        file.write(b"content" if "b" in mode else "content")
        file.seek(3)
        return file

    return make


def folder(stack: ExitStack) -> Any:
    made = tempfile.TemporaryDirectory()
    stack.enter_context(made)
    return made


def folder_stays(received: Any) -> None:
    with received as name:
        assert Path(name).is_dir()
    received.cleanup()
    assert Path(received.name).is_dir()
    del received
    assert Path(name).is_dir()


def entry(stack: ExitStack) -> Any:
    folder = path_of(stack).parent
    with os.scandir(folder) as entries:
        return next(iter(entries))


def is_entry(received: Any) -> None:
    assert received.name == "lines.txt"
    assert received.is_file()
    assert not received.is_dir()
    assert not received.is_symlink()
    assert Path(received).stat().st_size == received.stat().st_size == len(BYTES)
    assert Path(received.path).read_bytes() == BYTES


def mapped(access: int, position: int = 3, data: bytes = BYTES) -> Any:
    def make(stack: ExitStack) -> Any:
        with path_of(stack, data).open("r+b") as file:
            memory = stack.enter_context(mmap.mmap(file.fileno(), 0, access=access))
        memory.seek(position)
        return memory

    return make


def anonymous(stack: ExitStack) -> Any:
    memory = stack.enter_context(mmap.mmap(-1, 100))
    memory.write(b"content")
    memory.seek(3)
    return memory


def private(stack: ExitStack) -> Any:
    memory = mapped(mmap.ACCESS_COPY)(stack)
    memory[3:4] = b"X"
    return memory


def map_gives(rest: bytes, *, writable: bool = False, size: int = 0) -> Any:
    def check(memory: Any) -> None:
        assert memory.tell() == 3
        assert memory.read(len(rest)) == rest
        assert len(memory) == (size or len(BYTES))
        assert memory.find(rest, 0) == 3
        try:
            memory[0:1] = b"_"
        except TypeError:
            assert not writable
        else:
            assert writable
        memory.close()

    return check


def input_lines(stack: ExitStack, **options: Any) -> Any:
    one, two = path_of(stack), path_of(stack, b"second\n", "two.txt")
    names = [str(one), str(two)]
    lines = stack.enter_context(fileinput.FileInput(names, encoding="utf-8", **options))
    lines.readline()
    lines.readline()
    return lines


def goes_on(lines: Any) -> None:
    assert (lines.lineno(), lines.filelineno()) == (2, 2)
    assert list(lines) == ["tredje\n", "fjärde\n", "second\n"]
    assert lines.lineno() == 5


def is_environ(environ: Any) -> None:
    assert environ is os.environ


BIG = b"0123456789" * 200_000

CASES = [
    # Files of the system.
    Case("file.r", opened(), gives("sta\nandra\ntredje\nfjärde\n", "r")),
    Case("file.r.line", opened(read="line"), gives("andra\ntredje\nfjärde\n", "r")),
    Case(
        "file.r.newline", opened(newline=""), lambda f: gives("sta\nandra\r\ntredje\nfjärde\n")(f)
    ),
    Case("file.rb", opened("rb"), gives(BYTES[3:], "rb")),
    Case("file.rb.raw", opened("rb", buffering=0), gives(BYTES[3:], "rb")),
    Case("file.rb.big", opened("rb", data=BIG), lambda f: map(None, [f.read() == BIG[3:]])),
    Case("file.r.eof", opened(read=100), gives("")),
    Case(
        "file.utf16",
        opened(data=LINES.encode("utf-16"), encoding="utf-16"),
        gives("sta\nandra\ntredje\nfjärde\n"),
    ),
    Case(
        "file.utf8sig",
        opened(data=LINES.encode("utf-8-sig"), encoding="utf-8-sig"),
        gives("sta\nandra\ntredje\nfjärde\n"),
    ),
    Case(
        "file.utf7",
        opened(data="äöü\nabc\n".encode("utf-7"), encoding="utf-7", read=2),
        gives("ü\nabc\n"),
    ),
    Case(
        "file.shiftjis",
        opened(data="日本語\nabc\n".encode("shift_jis"), encoding="shift_jis", read=2),
        gives("語\nabc\n"),
    ),
    Case(
        "file.iso2022",
        opened(data="日本語\nabc\n".encode("iso2022_jp"), encoding="iso2022_jp", read=2),
        gives("語\nabc\n"),
    ),
    Case(
        "file.errors",
        opened(data=b"a\xffbcd\n", encoding="ascii", errors="surrogateescape", read=1),
        gives("\udcffbcd\n"),
    ),
    Case("file.deleted", deleted, gives(BYTES)),
    Case("file.descriptor", by_descriptor, gives(BYTES)),
    Case("file.opener", by_opener, gives(BYTES)),
    Case("file.memfd", memory_file, continues(b"tent")),
    Case(
        "file.subclass",
        lambda s: labelled(moved(s.enter_context(File(path_of(s))), 3)),
        is_labelled(gives(BYTES[3:])),
    ),
    Case(
        "file.subclass.buffer",
        lambda s: labelled(moved(Buffer(File(path_of(s))), 3)),
        is_labelled(gives(BYTES[3:])),
    ),
    Case(
        "file.subclass.text",
        lambda s: labelled(read(Text(Buffer(File(path_of(s))), "utf-8"), 3)),
        is_labelled(gives("sta\nandra\ntredje\nfjärde\n")),
    ),
    Case("file.open_code", lambda s: s.enter_context(io.open_code(str(path_of(s)))), gives(BYTES)),
    *(
        Case(
            f"file.labelled.{mode}.{size}",
            lambda s, m=mode, n=size: labelled(opened(m, 0, buffering=n)(s)),
            is_labelled(gives(LINES.replace("\r\n", "\n") if mode == "r" else BYTES)),
        )
        for mode, size in (("r", -1), ("rb", -1), ("rb", 0))
    ),
    Case("file.itself", itself, is_itself),
    Case(
        "file.temporary.labelled",
        lambda s: labelled(memory_file(s)),
        is_labelled(continues(b"tent")),
    ),
    Case(
        "file.devnull.labelled",
        lambda s: labelled(s.enter_context(Path(os.devnull).open("w"))),
        is_labelled(lambda f: f.write("x")),
    ),
    Case(
        "file.devzero",
        lambda s: s.enter_context(Path("/dev/zero").open("rb")),
        lambda f: [f.read(3) == bytes(3) or 1 / 0],
    ),
    Case(
        "file.devurandom",
        lambda s: s.enter_context(Path("/dev/urandom").open("rb", buffering=0)),
        lambda f: [len(f.read(3)) == 3 or 1 / 0],
    ),
    Case("file.devnull", lambda s: Path(os.devnull).open("w"), lambda f: f.write("x")),
    Case("file.r.iterated", iterated, refused="does not tell its position"),
    *(
        Case(f"file.{mode}", opened(mode, 0), refused=f"open for writing, in mode '{said}'")
        for mode, said in {
            "r+": r"r\+",
            "rb+": r"rb\+",
            "a": "a",
            "w": "w",
            "wb": "wb",
            "a+": r"a\+",
            "w+": r"w\+",
            "w+b": r"rb\+",
        }.items()
    ),
    Case("file.closed", closed(opened()), refused="It is closed"),
    Case("file.rb.closed", closed(opened("rb")), refused="It is closed"),
    Case("file.raw.closed", closed(opened("rb", buffering=0)), refused="It is closed"),
    Case("file.wb.closed", closed(opened("wb", 0)), refused="It is closed"),
    Case("file.pipe", pipe, refused="an end of a pipe"),
    Case("file.fifo", fifo, refused="an end of a pipe"),
    Case("file.terminal", terminal, refused="a terminal"),
    Case("file.socket", made_file, refused="socket.SocketIO, which has no position"),
    # Standard streams.
    Case("std.stdin", lambda s: sys.stdin, refused="standard input"),
    Case("std.stdin.buffer", lambda s: sys.stdin.buffer, refused="standard input"),
    Case("std.stdin.replaced", stdin_replaced, gives("sta\nandra\ntredje\nfjärde\n")),
    Case("std.stdout", lambda s: sys.stdout, is_here(lambda: sys.stdout)),
    Case("std.stderr", lambda s: sys.stderr, is_here(lambda: sys.stderr)),
    Case("std.original", lambda s: sys.__stdout__, is_here(lambda: sys.stdout)),
    Case("std.buffer", lambda s: sys.stdout.buffer, is_here(lambda: sys.stdout.buffer)),
    # Upon memory, or upon something of the user's.
    Case("io.bytes", upon(lambda: read(io.BytesIO(BYTES), 3)), gives(BYTES[3:])),
    Case(
        "io.bytes.subclass",
        upon(lambda: labelled(read(Memory(BYTES), 3))),
        is_labelled(gives(BYTES[3:])),
    ),
    Case(
        "io.string",
        upon(lambda: read(io.StringIO(LINES, newline=None), 3)),
        gives("sta\nandra\ntredje\nfjärde\n"),
    ),
    Case(
        "io.string.newline",
        upon(lambda: io.StringIO("a\r\nb", newline="\r\n")),
        lambda f: f.read() == "a\r\nb",
    ),
    Case("io.bytes.closed", closed(lambda: io.BytesIO()), refused="It is closed"),
    Case("io.string.closed", closed(lambda: io.StringIO()), refused="It is closed"),
    Case(
        "io.reader", upon(lambda: read(io.BufferedReader(io.BytesIO(BYTES)), 3)), gives(BYTES[3:])
    ),  # type: ignore[arg-type]
    Case(
        "io.reader.raw",
        upon(lambda: read(io.BufferedReader(Raw()), 3)),
        lambda f: [f.read(4) == b"3456" or 1 / 0],
    ),
    Case("io.raw", upon(lambda: read(Raw(), 3)), lambda f: [f.read(4) == b"3456" or 1 / 0]),
    Case(
        "io.reader.forward",
        upon(lambda: io.BufferedReader(Forward())),
        refused="Forward, which has no",
    ),
    Case(
        "io.reader.subclass",
        upon(lambda: labelled(read(Buffer(io.BytesIO(BYTES)), 3))),
        is_labelled(gives(BYTES[3:])),
    ),
    Case(
        "io.reader.closed", closed(lambda: io.BufferedReader(io.BytesIO())), refused="It is closed"
    ),  # type: ignore[arg-type]
    Case(
        "io.writer",
        upon(lambda: written(io.BufferedWriter(io.BytesIO()), b"one")),  # type: ignore[arg-type]
        lambda f: [f.write(b"two"), f.flush(), f.raw.getvalue() == b"onetwo" or 1 / 0],
    ),
    Case(
        "io.writer.unflushed",
        upon(lambda: [f := io.BufferedWriter(io.BytesIO()), f.write(b"x")][0]),  # type: ignore[arg-type]
        refused="not flushed",
    ),
    Case(
        "io.random",
        upon(lambda: moved(written(io.BufferedRandom(io.BytesIO()), b"one"), 1)),  # type: ignore[arg-type]
        continues(b"ne"),
    ),
    Case(
        "io.random.read",
        upon(lambda: read(io.BufferedRandom(io.BytesIO(b"one")), 1)),
        continues(b"ne"),
    ),  # type: ignore[arg-type]
    Case(
        "io.random.written",
        upon(
            lambda: [
                f := read(io.BufferedRandom(io.BytesIO(b"one")), 1),  # type: ignore[arg-type]
                f.write(b"xy"),
            ][0]
        ),
        lambda f: [f.seek(0), f.read() == b"oxy" or 1 / 0],
    ),
    Case(
        "io.pair",
        upon(lambda: io.BufferedRWPair(io.BytesIO(BYTES), io.BytesIO())),  # type: ignore[arg-type]
        refused="does not show",
    ),
    Case(
        "io.text",
        upon(lambda: read(io.TextIOWrapper(io.BytesIO(BYTES), "utf-8"), 3)),
        gives("sta\nandra\ntredje\nfjärde\n"),
    ),
    Case(
        "io.text.end",
        upon(lambda: read(io.TextIOWrapper(io.BytesIO(BYTES), "utf-8"), 100)),
        gives(""),
    ),
    Case(
        "io.text.untranslated",
        upon(lambda: moved(io.TextIOWrapper(io.BytesIO(b"a\r\nb"), newline=""), 1)),
        lambda f: [f.read() == "\r\nb" or 1 / 0],
    ),
    Case(
        "io.text.written",
        upon(lambda: written(io.TextIOWrapper(io.BytesIO(), "utf-16"), "one")),
        lambda f: [
            f.write("two"),
            f.flush(),
            f.buffer.getvalue() == "onetwo".encode("utf-16") or 1 / 0,
        ],
    ),
    Case(
        "io.text.unflushed",
        upon(lambda: [f := io.TextIOWrapper(io.BytesIO()), f.write("x")][0]),
        refused="not flushed",
    ),
    Case(
        "io.text.subclass",
        upon(lambda: labelled(read(Text(io.BytesIO(BYTES), "utf-8"), 3))),
        is_labelled(gives("sta\nandra\ntredje\nfjärde\n")),
    ),
    Case(
        "io.text.reader",
        upon(lambda: read(io.TextIOWrapper(io.BufferedReader(io.BytesIO(BYTES)), "utf-8"), 3)),  # type: ignore[arg-type]
        gives("sta\nandra\ntredje\nfjärde\n"),
    ),
    Case(
        "io.newline_decoder",
        upon(lambda: io.IncrementalNewlineDecoder(None, True)),
        refused="tied to this process",
    ),
    # Temporary files and folders.
    Case(
        "temp.file",
        lambda s: moved(written(s.enter_context(tempfile.TemporaryFile()), b"one"), 1),
        continues(b"ne"),
    ),
    Case(
        "temp.file.unflushed",
        lambda s: [f := s.enter_context(tempfile.TemporaryFile()), f.write(b"xy")][0],
        lambda f: [f.tell() == 2 or 1 / 0, f.seek(0), f.read() == b"xy" or 1 / 0],
    ),
    Case(
        "temp.file.text",
        temporary_text,
        lambda f: [f.read() == "öne\ntwo\n" or 1 / 0, f.write("x")],
    ),
    Case("temp.named.reader", named_reader, lambda f: [f.read() == b"two\n" or 1 / 0]),
    Case(
        "temp.named",
        lambda s: s.enter_context(tempfile.NamedTemporaryFile()),
        refused="open for writing",
    ),
    Case("temp.named.method", named_method, method_deletes_nothing),
    Case(
        "temp.named.labelled",
        lambda s: labelled(named_reader(s)),
        is_labelled(lambda f: [f.read() == b"two\n" or 1 / 0]),
    ),
    Case("temp.spooled", spooled(100), continues(b"tent")),
    Case("temp.spooled.rolled", spooled(1), continues(b"tent")),
    Case(
        "temp.spooled.text",
        spooled(100, "w+"),
        lambda f: [f.read() == "tent" or 1 / 0, f.write("x")],
    ),
    Case(
        "temp.spooled.text.rolled",
        spooled(1, "w+"),
        lambda f: [f.read() == "tent" or 1 / 0, f.write("x")],
    ),
    Case("temp.folder", folder, folder_stays),
    # Entries of folders, memory maps, and others.
    Case("os.entry", entry, is_entry),
    Case("os.scandir", lambda s: s.enter_context(os.scandir("/")), refused="tied to this process"),
    Case("os.environ", lambda s: os.environ, is_environ),
    Case("os.sched_param", lambda s: os.sched_param(3), lambda p: [p.sched_priority == 3 or 1 / 0]),
    Case("os.environb", lambda s: os.environb, lambda e: [e is os.environb or 1 / 0]),
    Case("mmap.read", mapped(mmap.ACCESS_READ), map_gives(BYTES[3:])),
    Case("mmap.read.big", mapped(mmap.ACCESS_READ, data=BIG), map_gives(BIG[3:], size=len(BIG))),
    Case("mmap.private", private, map_gives(b"X" + BYTES[4:], writable=True)),
    Case("mmap.anonymous", anonymous, map_gives(b"tent", writable=True, size=100)),
    Case("mmap.write", mapped(mmap.ACCESS_WRITE), refused="writes to its file"),
    Case("mmap.closed", closed(anonymous), refused="It is closed"),
    Case("fileinput", input_lines, goes_on),
    Case(
        "fileinput.unread",
        lambda s: fileinput.FileInput([path_of(s)], encoding="utf-8"),
        lambda f: [list(f) == ["första\n", "andra\n", "tredje\n", "fjärde\n"] or 1 / 0],
    ),
    Case(
        "fileinput.relative",
        lambda s: fileinput.FileInput([os.path.relpath(path_of(s))], encoding="utf-8"),
        lambda f: [next(f) == "första\n" or 1 / 0],
    ),
    Case(
        "fileinput.inplace",
        lambda s: [f := input_lines(s, inplace=True), s.callback(f.close)][0],
        refused="edits in place",
    ),
    Case(
        "pathlib", lambda s: pathlib.Path("a", "b"), lambda p: [p / "c" == Path("a/b/c") or 1 / 0]
    ),
]
