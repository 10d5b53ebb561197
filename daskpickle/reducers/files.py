"""Files: what is open for reading travels as the same file, at the same position.

Notes
-----
- Travels: path, position, mode, encoding, errors, newline, line_buffering, write_through; and the
  bytes, if they are at most ``files.contents-limit``. By the action "contents": the bytes, however
  many, and no path. `sys.stdout` and `sys.stderr` are those of the process where they arrive, and
  so are the buffers in them.
- Where it arrives, each task opens its own. If the path leads to the same bytes, it is that file;
  else it is the bytes that came along, in an unnamed temporary file, which has a descriptor. If
  none came along, size, time of last change, and the bytes at the start, in the middle and at the
  end must be what they were: a file that is missing or was changed is an error.
- A file without a name that is open for reading and writing, as `tempfile.TemporaryFile` makes
  them, is nobody else's: it travels as its bytes, if they are few.
- A text or a buffer upon something else (memory, a compressed file, a class of yours) travels with
  what it lies upon, if that travels, and can tell its position. So do those of your subclasses.
- `os.devnull` and the other devices that are the same on each host travel as such.
- Attributes that were set on it travel; those set on the buffer or the raw file beneath do not.
- Lost: the size of the buffer, locks on the file, ``closefd``.
- Refused: open for writing; closed; a pipe, socket, device, or standard input; text that is being
  iterated over, because Python hides its position meanwhile; what was written to memory and is not
  flushed. A `io.BufferedRandom` does not tell whether it is, and is flushed to its memory.
- The action "append" is for mode "a", once all is flushed. The file is never created.
- What `tempfile.NamedTemporaryFile` returns travels as the file in it; the copy deletes nothing.
"""

from __future__ import annotations

import gc
import io
import operator
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError, describe_type
from daskpickle.handles import (
    MORE,
    Contents,
    Stamp,
    add_state,
    by_name,
    describe_bytes,
    early_state,
    find_path,
    neutral,
    open_same,
    real,
    remember,
    settings,
)  # fmt: skip

Reduce = TypeVar("Reduce", bound=Callable[[Any], Any])
Text = tuple[Any, ...] | None  # encoding, errors, newline, line_buffering, write_through, mode

READERS = (io.TextIOWrapper, io.BufferedReader, io.FileIO)
WRITERS = (io.BufferedWriter, io.BufferedRandom)
SPECIAL = {
    stat.S_IFIFO: "It is an end of a pipe, which no other process has.",
    stat.S_IFSOCK: "It is a socket, opened as a file.",
    stat.S_IFCHR: "It is a terminal or another device of this host.",
}
LAYERS = (io.TextIOWrapper, io.BufferedReader, *WRITERS)
EVERYWHERE = (os.devnull, "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
STANDARD = [
    f"{under}{place}{under}{part}"
    for under in ("__", "")
    for place in ("stdin", "stdout", "stderr")
    for part in ("", ".buffer", ".buffer.raw")
]
Closer: Any = vars(tempfile)["_TemporaryFileCloser"]
FLUSH = "Call flush() on it first."
HIDDEN = "It does not tell its position: it was iterated over, and flushed."
UNFLUSHED = "It holds data that is not flushed."


def register_files(*classes: type, **facts: Any) -> Callable[[Reduce], Reduce]:
    """Register one reducer for several classes of files."""

    def add(reduce: Reduce) -> Reduce:
        for cls in classes:
            hint = "Open the file inside the task."
            register(
                cls, reduce, scope="fresh", hint=hint, lost="size of the buffer, file locks",
                **facts,
            )  # fmt: skip
        return reduce

    return add


@register_files(
    *READERS, action="reopen", travels="path, position, mode; the bytes if they are few",
    refused="open for writing, closed, pipes, devices", subclasses=True,
)  # fmt: skip
@register_files(
    *WRITERS, action="reopen", travels="os.devnull and the like; upon memory, with it",
    refused="all others, but for temporary files without a name", subclasses=True,
)  # fmt: skip
def reduce_file(file: Any) -> Any:
    """Say which file it is and where in it; with its bytes, if they are few."""
    return _reduce(file, settings.contents_limit)


@register_files(
    *READERS, action="contents", travels="bytes, position, mode",
    refused="open for writing, closed, pipes, devices",
)  # fmt: skip
def reduce_contents(file: Any) -> Any:
    """Say what is in the file, however much it is, and where in it; not where the file lies."""
    return _reduce(file, sys.maxsize)


def open_file(
    path: str | None,
    name: str,
    position: int,
    stamp: Stamp,
    contents: Contents | None,
    buffered: bool,
    text: Text,
    cls: type[io.FileIO] = io.FileIO,
    state: dict[str, Any] | None = None,
) -> Any:
    """Open the same file, or the bytes that came along, at the position it was submitted at."""
    fd = open_same(path, stamp, contents)
    return _wrap(fd, path or name, "rb", buffered, text, position, cls, state)


def open_private(
    contents: Contents, position: int, mode: str, buffered: bool, text: Text,
    state: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Make another file that has no name, with the same bytes."""
    with tempfile.TemporaryFile(buffering=0) as copy:
        copy.write(contents.data)
        copy.seek(0)
        fd = os.dup(copy.fileno())
    return _wrap(fd, fd, mode, buffered, text, position, state=state)


@register_files(
    io.TextIOWrapper, io.BufferedWriter, io.FileIO, action="append", travels="path, mode 'a'",
    refused="unflushed, other modes of writing",
)  # fmt: skip
def reduce_append(file: Any) -> Any:
    """Say which file to append to; one that is open for reading travels as by "reopen"."""
    if _standard_name(file):
        return reduce_file(file)
    raw, status = _beneath(file)
    if raw is None or raw.mode != "ab" or status is None:
        return reduce_file(file)
    layers, pending = _layers(file)
    # A buffered writer counts what it holds back (CPython, Modules/_io/bufferedio.c, RAW_OFFSET).
    if pending or getattr(file, "buffer", file).tell() != raw.tell():
        raise RefusedError(file, UNFLUSHED, FLUSH)
    path = find_path(status, _names(raw))
    if path is None:
        raise RefusedError(file, "Its file is no longer there under any name.")
    return Recipe(open_append, path, *layers, *_attributes(file))


def open_append(path: str, buffered: bool, text: Text, state: dict[str, Any] | None = None) -> Any:
    """Open the file, which must be there, so that each write goes to its end."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)  # without O_CREAT, which mode "a" implies
    return _wrap(fd, path, "ab", buffered, text, state=state)


def open_devnull(
    mode: str, buffered: bool, text: Text, state: dict[str, Any] | None = None,
    path: str = os.devnull,
) -> Any:  # fmt: skip
    """Open the null device of this host, or another, in a mode of `io.FileIO`."""
    flags = os.O_RDWR if "+" in mode else os.O_RDONLY if mode == "rb" else os.O_WRONLY
    return _wrap(os.open(path, flags), path, mode, buffered, text, state=state)


@by_name
def rebuild_standard_stream(name: str) -> Any:
    """Return the standard stream of this process, or the buffer in it."""
    stream, _, part = name.partition(".")
    for place in (stream, f"__{stream}__"):  # what stands in its place may have no buffer
        with suppress(AttributeError, ValueError):
            return operator.attrgetter(f"{place}.{part}" if part else place)(sys)
    return None  # as `sys.stdout` is, where there is none


@register(
    io.TextIOBase, travels="by reference, where it is sys.stdout or sys.stderr; else as it says",
    lost="nothing", refused="standard input", hint="Make it inside the task.", subclasses=True,
)  # fmt: skip
@neutral
def reduce_other_text(file: Any) -> Any:
    """Say whether it stands in the place of a standard stream, as the one of Jupyter does."""
    name = _standard_name(file)
    return (rebuild_standard_stream, (name,)) if name else file.__reduce_ex__(4)


@register(
    io.BufferedRWPair, action="refuse", subclasses=True, refused="all",
    hint="Send its two files, and make the pair inside the task.",
)  # fmt: skip
def refuse_pair(pair: io.BufferedRWPair) -> Any:
    """Say that nobody can look into it."""
    raise RefusedError(pair, "It does not show the files that it reads and writes.")


@register(
    tempfile._TemporaryFileWrapper, hint="Open it by its name inside the task.",
    travels="its name, its file by the rules for files", lost="that it deletes its file",
    refused="open for writing, closed",
)  # fmt: skip
def reduce_temporary(file: Any) -> Any:
    """Say which file it is; the one that it was made as deletes it."""
    # It keeps what was asked of its file, such as a method, among its attributes.
    state = {n: v for n, v in early_state(file).items() if not hasattr(file.file, n)}
    for own in ("file", "delete", "_closer"):
        state.pop(own, None)
    return rebuild_temporary, (file.file, file.name, *([state] if state else ()))


def rebuild_temporary(file: Any, name: str, state: dict[str, Any] | None = None) -> Any:
    """Wrap the file that arrived."""
    wrapper: Any = tempfile._TemporaryFileWrapper(file, name, delete=False)
    add_state(wrapper, state or {})
    return remember(wrapper, (rebuild_temporary, (file, name, *([state] if state else ()))))


@register(
    Closer, hint="Open the file by its name inside the task.",
    travels="its name, its file by the rules for files", lost="that it deletes its file",
    refused="open for writing, closed",
)  # fmt: skip
def reduce_closer(closer: Any) -> Any:
    """Say what a method of such a file holds: it deletes the file when nobody needs it."""
    return rebuild_closer, (closer.file, closer.name)


def rebuild_closer(file: Any, name: str) -> Any:
    """Make one that deletes nothing."""
    return Closer(file, name, delete=False)


def rebuild_layer(
    cls: Any, base: Any, below: Any, text: Text, position: int | None, state: dict[str, Any]
) -> Any:
    """Make a text or a buffer upon what arrived; what it lies upon may be a handle."""
    file = cls.__new__(cls)
    base.__init__(file, real(below), *(text or ())[:5])
    if position is not None:
        file.seek(position)
    add_state(file, state)
    return file


def _reduce(file: Any, limit: int) -> Any:
    name = _standard_name(file)
    if name:
        return rebuild_standard_stream, (name,)
    raw, status = _beneath(file)
    if raw is None:
        return _reduce_layer(file)
    layers, pending = _layers(file)
    state = _attributes(file)
    if status is None:
        return Recipe(open_devnull, raw.mode, *layers, *(state or ({},)), _device(raw))
    private = file.readable() and file.writable() and not status.st_nlink
    if private:
        file.flush()  # to where only this process sees it
    elif file.writable():
        hint = "Open it inside the task. The action 'append' is for mode 'a'."
        mode = getattr(file, "mode", raw.mode)
        raise RefusedError(file, f"It is open for writing, in mode {mode!r}.", hint)
    position = _tell(file, raw)
    if pending and not private:
        raise RefusedError(file, HIDDEN)
    try:
        stamp, contents = describe_bytes(raw.fileno(), limit)
    except OSError as exc:
        raise RefusedError(file, f"Its bytes cannot be read: {exc}.") from exc
    path = None if limit == sys.maxsize or private else find_path(status, _names(raw))
    if path is None and contents is None:
        why = "Its file has no name any more, and more bytes than files.contents-limit."
        raise RefusedError(file, why, MORE)
    if private:
        return Recipe(open_private, contents, position, raw.mode, *layers, *state, snapshot=True)
    own: tuple[Any, ...] = (type(raw), *state) if state or type(raw) is not io.FileIO else ()
    return Recipe(open_file, path, _names(raw)[0], position, stamp, contents, *layers, *own)


def _reduce_layer(file: Any) -> Any:
    """Reduce a text or a buffer that does not lie upon a file of the system, or is a subclass."""
    bottom, base = file, next(base for base in LAYERS if isinstance(file, base))
    while isinstance(bottom, LAYERS):
        bottom = bottom.buffer if isinstance(bottom, io.TextIOWrapper) else bottom.raw
    in_memory = isinstance(bottom, io.BytesIO)
    if file.readable() and not file.seekable():
        _tell(file, bottom)
    text, pending = None, False
    if base is io.TextIOWrapper:
        (_, text), pending = _layers(file)
    elif base is io.BufferedRandom:
        if not in_memory:
            why = (
                f"It reads and writes a {describe_type(bottom)}, and may hold what is not flushed."
            )
            raise RefusedError(file, why)
        file.flush()
    elif base is io.BufferedWriter:
        raw: Any = getattr(file, "raw", None)
        pending = _tell(file, bottom) != raw.tell()
    if pending and base is io.TextIOWrapper and file.readable():
        why = "It holds data that is not flushed, or was iterated over."
        raise RefusedError(file, why, f"{FLUSH} Read it by readline() instead of a loop.")
    if pending:
        raise RefusedError(file, UNFLUSHED, FLUSH)
    position = _tell(file, bottom) if file.readable() else None
    below = getattr(file, "buffer" if base is io.TextIOWrapper else "raw")
    args = type(file), base, below, text, position, early_state(file)
    return (rebuild_layer, args) if in_memory else Recipe(rebuild_layer, *args)


def _tell(file: Any, bottom: Any) -> int:
    try:
        return int(file.tell())
    except io.UnsupportedOperation as exc:
        why = f"It reads or writes a {describe_type(bottom)}, which has no position."
        raise RefusedError(file, why) from exc
    except OSError as exc:
        # A loop over text disables `tell` (CPython, Modules/_io/textio.c, textiowrapper_iternext).
        hint = "Read it by readline() instead of a loop, or open it inside the task."
        raise RefusedError(file, f"It does not tell its position: {exc}.", hint) from exc


def _standard_name(file: Any) -> str:
    """Return which of the standard streams, or of the buffers in them, it is, if it is one."""
    for name in STANDARD:
        with suppress(Exception):  # what stands in the place of one is anyone's
            if operator.attrgetter(name)(sys) is file:
                break
    else:
        return ""
    if name.startswith("stdin") and isinstance(file, (io.FileIO, *LAYERS)):
        return ""  # a file in its place is a file
    if "stdin" in name:
        raise RefusedError(file, "It is standard input, which no other process has.")
    return name.replace("__", "")


def _beneath(file: Any) -> tuple[io.FileIO | None, os.stat_result | None]:
    """Return the raw file, None if it is not one of the system; its status, None for os.devnull."""
    try:
        closed = file.closed
    except ValueError:
        raise RefusedError(file, "It was detached from its file.") from None
    if closed:
        raise RefusedError(file, "It is closed.")
    raw: Any = file.buffer if type(file) is io.TextIOWrapper else file
    raw = raw.raw if type(raw) in LAYERS[1:] else raw
    if type(raw) is not io.FileIO and not (raw is file and isinstance(raw, io.FileIO)):
        return None, None
    try:
        status = os.fstat(raw.fileno())
    except OSError as exc:
        raise RefusedError(file, f"Its descriptor does not answer: {exc}.") from exc
    if stat.S_ISREG(status.st_mode):
        return raw, status
    if _device(raw):
        return raw, None
    raise RefusedError(file, SPECIAL.get(stat.S_IFMT(status.st_mode), "It is no regular file."))


def _device(raw: io.FileIO) -> str:
    """Return which of the devices that are the same everywhere it is, if it is one."""
    status = os.fstat(raw.fileno())
    if stat.S_ISCHR(status.st_mode):
        for path in EVERYWHERE:
            with suppress(OSError):
                if os.stat(path).st_rdev == status.st_rdev:  # noqa: PTH116
                    return path
    return ""


def _attributes(file: Any) -> tuple[dict[str, Any], ...]:
    """Return the attributes that were set on it, if there are any, as a last argument."""
    state = early_state(file)
    own = {name: value for name, value in state.items() if name not in ("name", "mode")}
    return (own,) if own else ()


def _layers(file: Any) -> tuple[tuple[bool, Text], bool]:
    """Return what lies upon the raw file, and whether text waits to be encoded."""
    if not isinstance(file, io.TextIOWrapper):
        return (not isinstance(file, io.FileIO), None), False
    newline, pending = _newline(file)
    flags = file.line_buffering, file.write_through, getattr(file, "mode", None)
    return (True, (file.encoding, file.errors, newline, *flags)), pending


def _wrap(
    fd: int, name: Any, mode: str, buffered: bool, text: Text, position: int = 0,
    cls: type[io.FileIO] = io.FileIO, state: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Return the file object that `open` would make of a descriptor, and that will close it."""
    file: Any = cls.__new__(cls)
    io.FileIO.__init__(file, name, mode, opener=lambda name, flags: fd)
    try:
        if buffered:
            writer = io.BufferedRandom if file.readable() else io.BufferedWriter
            file = writer(file) if file.writable() else io.BufferedReader(file)
        if text is not None:
            file = io.TextIOWrapper(file, *text[:5])
            if text[5] is not None:
                file.mode = text[5]
        if position:
            file.seek(position)
        add_state(file, state or {})
    except BaseException:
        file.close()
        raise
    return file


def _newline(file: Any) -> tuple[str | None, bool]:
    """Return the ``newline`` of a text file, and whether text waits to be encoded.

    Or, if it is read, whether it holds text of which nobody can say where it was. No public name
    tells, and `tell` of a writer would flush it. The garbage collector is told: in CPython 3.10 to
    3.13, textiowrapper_traverse of Modules/_io/textio.c visits buffer, encoding, encoder, decoder,
    newline, decoded text, pending text, snapshot, errors, raw file, in this order, those that
    there are.
    """
    codecs: list[Any] = []
    parts: list[Any] = []
    visited = [part for part in gc.get_referents(file) if type(part) not in (type, dict)]
    for part in visited[2:]:
        (parts if parts or type(part) in (str, bytes, list, tuple) else codecs).append(part)
    del parts[parts.index(file.errors, -2) :]
    texts = [part for part in parts if type(part) is str]
    if not file.readable():
        given = bool(texts) and texts[0] in ("", "\n", "\r", "\r\n")
        return (texts[0] if given else None), len(parts) > given
    plain = type(codecs[-1]) is not io.IncrementalNewlineDecoder
    snapshot = any(type(part) is tuple for part in parts)
    hidden = not snapshot and any(parts[1:] if plain else parts)
    if plain:
        return texts[0], hidden
    if texts != [""]:
        return ("" if len(texts) == 2 else None), hidden
    # Either newline="", or None and no text left, which `read(n)` leaves at the end of the file.
    return (None if len(parts) == 2 and _at_end(file.buffer) else ""), hidden


def _at_end(buffer: Any) -> bool:
    if isinstance(buffer, io.BytesIO):
        return buffer.tell() >= buffer.getbuffer().nbytes
    try:
        return bool(buffer.tell() >= os.fstat(buffer.fileno()).st_size)
    except (AttributeError, OSError):
        return not getattr(buffer, "peek", bytes)(1)


def _names(raw: io.FileIO) -> list[str]:
    """Return what the file may be called: the name it was opened by, and what the system says."""
    names = [] if isinstance(raw.name, int) else [os.fsdecode(raw.name)]
    with suppress(OSError):
        names.append(os.readlink(f"/proc/self/fd/{raw.fileno()}"))  # noqa: PTH115
    return [*names, f"descriptor {raw.fileno()}"]
