"""Compressed files, archives and their members, codecs, databases, mailboxes, and sound files."""

from __future__ import annotations

import bz2
import codecs
import dbm.dumb
import gzip
import io
import lzma
import mailbox
import shelve
import sys
import tarfile
import tempfile
import warnings
import wave
import zipfile
import zipimport
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpus import Case

DATA = b"".join(b"%d\n" % i for i in range(5000))
RAW = [{"id": lzma.FILTER_LZMA2, "preset": 1}]


def folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory()))


def stored(stack: ExitStack, data: bytes, name: str = "data") -> Path:
    path = folder(stack) / name
    path.write_bytes(data)
    return path


def read(file: Any, count: int) -> Any:
    if count:
        file.read(count)
    return file


def gives(rest: Any) -> Any:
    """Check what is left to read, and that it can be read again."""

    def check(file: Any) -> None:
        here = file.tell()
        assert file.read() == rest
        file.seek(here)
        assert file.read() == rest
        file.close()

    return check


def compressed(cls: Any, compress: Any, count: int = 7, **options: Any) -> Any:
    return lambda s: read(s.enter_context(cls(stored(s, compress(DATA)), **options)), count)


def in_memory(cls: Any, compress: Any, count: int = 7, before: bytes = b"", **options: Any) -> Any:
    def make(stack: ExitStack) -> Any:
        source = io.BytesIO(before + compress(DATA))
        source.seek(len(before))
        first = {"fileobj": source} if cls is gzip.GzipFile else {"filename": source}
        return read(stack.enter_context(cls(**first, **options)), count)

    return make


def upon_file(stack: ExitStack) -> Any:
    file = stack.enter_context(stored(stack, gzip.compress(DATA)).open("rb"))
    return read(stack.enter_context(gzip.GzipFile(fileobj=file)), 7)


def raw_lzma(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_RAW, filters=RAW)


class Labelled(gzip.GzipFile):
    """A compressed file with an attribute."""


def labelled(stack: ExitStack) -> Any:
    file = read(stack.enter_context(Labelled(stored(stack, gzip.compress(DATA)))), 7)
    file.label = "mine"
    return file


def closed(make: Any) -> Any:
    def close(stack: ExitStack) -> Any:
        made = make(stack)
        made.close()
        return made

    return close


# --- Archives -----------------------------------------------------------------------------------


def zip_bytes() -> io.BytesIO:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.txt", DATA, zipfile.ZIP_DEFLATED)
        archive.writestr("b/c.txt", b"stored")
        archive.comment = b"comment"
    target.seek(0)
    return target


def zip_file(stack: ExitStack, cls: Any = zipfile.ZipFile, **options: Any) -> Any:
    return stack.enter_context(cls(stored(stack, zip_bytes().getvalue(), "a.zip"), **options))


def is_archive(archive: Any) -> None:
    assert archive.namelist() == ["a.txt", "b/c.txt"]
    assert archive.read("a.txt") == DATA
    with archive.open("b/c.txt") as member:
        assert member.read(3) == b"sto"
        assert archive.read("a.txt") == DATA
        assert member.read() == b"red"
    assert archive.testzip() is None
    assert archive.comment == b"comment"
    archive.close()


def zip_growing(stack: ExitStack) -> Any:
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    archive.writestr("a.txt", b"one")
    stack.callback(archive.close)
    return archive


def grows(archive: Any) -> None:
    archive.writestr("b.txt", b"two")
    target = archive.fp
    archive.close()
    with zipfile.ZipFile(target) as again:
        assert [again.read(name) for name in again.namelist()] == [b"one", b"two"]


class Archive(zipfile.ZipFile):
    """An archive with an attribute."""

    label = "none"


def with_password(stack: ExitStack) -> Any:
    archive = zip_file(stack)
    archive.setpassword(b"secret")
    return archive


def lazy_path(stack: ExitStack) -> Any:
    return zipfile.Path(str(stored(stack, zip_bytes().getvalue(), "a.zip")))


def is_lazy_path(path: Any) -> None:
    assert path.name == "a.zip"
    assert sorted(p.name for p in path.iterdir()) == ["a.txt", "b"]
    assert (path / "b" / "c.txt").read_text() == "stored"
    assert (path / "a.txt").read_bytes() == DATA


def tar_bytes(mode: str = "w") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name in ("a.txt", "b.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(DATA)
            archive.addfile(info, io.BytesIO(DATA))
    return target.getvalue()


def tar_file(stack: ExitStack, mode: str = "") -> Any:
    path = stored(stack, tar_bytes(f"w:{mode}"), "a.tar")
    return stack.enter_context(tarfile.open(path, f"r:{mode}"))


def tar_memory(stack: ExitStack) -> Any:
    return stack.enter_context(tarfile.open(fileobj=io.BytesIO(tar_bytes())))


def tar_stream(mode: str) -> Any:
    def make(stack: ExitStack) -> Any:
        source = io.BytesIO(tar_bytes(f"w:{mode}"))
        archive = stack.enter_context(tarfile.open(fileobj=source, mode=f"r|{mode}"))
        archive.next()
        return archive

    return make


def tar_growing(stack: ExitStack) -> Any:
    return stack.enter_context(tarfile.open(fileobj=io.BytesIO(), mode="w"))


def tar_grows(archive: Any) -> None:
    info = tarfile.TarInfo("a.txt")
    info.size = len(DATA)
    archive.addfile(info, io.BytesIO(DATA))
    target = archive.fileobj
    archive.close()
    target.seek(0)
    with tarfile.open(fileobj=target) as again:
        assert again.getnames() == ["a.txt"]


def is_tar(archive: Any) -> None:
    assert archive.getnames() == ["a.txt", "b.txt"]
    assert archive.extractfile("b.txt").read() == DATA
    assert [m.size for m in archive] == [len(DATA)] * 2
    archive.close()


def is_tar_stream(archive: Any) -> None:
    names = [member.name for member in archive]
    assert names == ["a.txt", "b.txt"], names


def member_of(make: Any, count: int = 7) -> Any:
    return lambda s: read(make(s).extractfile("b.txt"), count)


def importer(stack: ExitStack) -> Any:
    path = stored(stack, b"", "code.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("corpus_zipped.py", "x = 3")
    return zipimport.zipimporter(str(path))


# --- Codecs -------------------------------------------------------------------------------------

TEXT = "äöü\n日本\nline\n"


def lines(file: Any) -> None:
    assert file.readline() == "日本\n"
    assert file.read() == "line\n"


def reader(encoding: str) -> Any:
    def make(stack: ExitStack) -> Any:
        file = codecs.open(str(stored(stack, TEXT.encode(encoding))), encoding=encoding)
        stack.enter_context(file)
        file.readline()
        return file

    return make


def stream_reader(stack: ExitStack) -> Any:
    made = codecs.getreader("utf-8")(io.BytesIO(TEXT.encode()))
    made.readline()
    return made


def stream_writer(stack: ExitStack) -> Any:
    made = codecs.getwriter("utf-16")(io.BytesIO())
    made.write("one")
    return made


def writes_on(writer: Any) -> None:
    writer.write("two")
    assert writer.stream.getvalue() == "onetwo".encode("utf-16")


def recoder(stack: ExitStack) -> Any:
    return codecs.EncodedFile(io.BytesIO("ä".encode("latin-1")), "utf-8", "latin-1")


def decoder(encoding: str, data: bytes) -> Any:
    def make(stack: ExitStack) -> Any:
        made = codecs.getincrementaldecoder(encoding)("replace")
        made.decode(data)
        return made

    return make


def encoder(encoding: str, text: str) -> Any:
    def make(stack: ExitStack) -> Any:
        made = codecs.getincrementalencoder(encoding)()
        made.encode(text)
        return made

    return make


def decodes(data: bytes, text: str) -> Any:
    def check(made: Any) -> None:
        assert made.errors == "replace"
        assert made.decode(data, True) == text

    return check


def encodes(text: str, data: bytes) -> Any:
    def check(made: Any) -> None:
        got = made.encode(text, True)
        assert got == data, got

    return check


def own_codec(stack: ExitStack) -> Any:
    base = codecs.lookup("utf-8")
    return codecs.CodecInfo(
        lambda text, errors="strict": (b"x" * len(text), len(text)), base.decode, name="corpus"
    )


def is_codec(info: Any) -> None:
    assert info.decode(info.encode("abc")[0])[0] == "abc"
    data = info.encode("abc")[0]
    assert info.incrementaldecoder().decode(data, True) == "abc"
    assert info._is_text_encoding


def is_own_codec(info: Any) -> None:
    assert (info.name, info.encode("abc")) == ("corpus", (b"xxx", 3))
    assert info.incrementaldecoder is None


# --- Databases, mailboxes, sounds ---------------------------------------------------------------


def dumb(stack: ExitStack) -> Any:
    database = dbm.dumb.open(str(folder(stack) / "db"), "c")
    stack.callback(database.close)
    database["one"] = "1"
    return database


def is_database(database: Any) -> None:
    assert database[b"one"] == b"1"
    assert len(database) == 1
    assert b"two" not in database


def sqlite(stack: ExitStack) -> Any:
    import dbm.sqlite3  # type: ignore[import-not-found,unused-ignore]

    database = dbm.sqlite3.open(folder(stack) / "db", "c")
    stack.callback(database.close)
    database["one"] = "1"
    return database


def shelf(stack: ExitStack, **options: Any) -> Any:
    made = shelve.Shelf(dumb(stack), **options)
    made["two"] = [2]
    return made


def file_shelf(stack: ExitStack) -> Any:
    made = stack.enter_context(shelve.open(str(folder(stack) / "db")))
    made["two"] = [2]
    return made


def is_shelf(received: Any) -> None:
    assert received["two"] == [2]
    assert "three" not in received


def error_of(call: Any) -> Any:
    try:
        call()
    except Exception as exc:
        return exc
    return None


def mbox(stack: ExitStack, cls: Any = mailbox.mbox) -> Any:
    made = cls(str(folder(stack) / "box"))
    for number in range(3):
        made.add(f"Subject: {number}\n\ntext\n")
    made.flush()
    stack.callback(made.close)
    return made


def part(stack: ExitStack) -> Any:
    file = mbox(stack).get_file(0)
    while file.readline().strip():
        pass
    return file


def unflushed(stack: ExitStack) -> Any:
    made = mbox(stack)
    made.add("Subject: 4\n\ntext\n")
    stack.callback(made.flush)
    return made


def is_mailbox(received: Any) -> None:
    assert len(received) == 3
    assert sorted(message["subject"] for message in received) == ["0", "1", "2"]


def without_one(stack: ExitStack) -> Any:
    made = mbox(stack)
    made.remove(0)
    made.flush()
    made.add("Subject: 0\n\ntext\n")
    made.flush()
    return made


def folder_box(cls: Any) -> Any:
    def make(stack: ExitStack) -> Any:
        made = cls(str(folder(stack) / "box"))
        for number in range(3):
            made.add(f"Subject: {number}\n\ntext\n")
        return made

    return make


def wave_bytes() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        sound.writeframes(bytes(range(200)))
    return target.getvalue()


def wave_reader(stack: ExitStack) -> Any:
    sound = stack.enter_context(wave.open(str(stored(stack, wave_bytes()))))
    sound.readframes(10)
    return sound


def read_frames(sound: Any) -> Any:
    sound.readframes(10)
    return sound


def wave_writer(stack: ExitStack, path: Path | None = None) -> Any:
    sound = stack.enter_context(wave.open(str(path) if path else io.BytesIO(), "wb"))
    sound.setparams((1, 2, 8000, 0, "NONE", "NONE"))
    sound.writeframes(bytes(20))
    return sound


def is_sound(sound: Any) -> None:
    assert (sound.getnframes(), sound.getframerate(), sound.tell()) == (100, 8000, 10)
    assert sound.readframes(5) == bytes(range(20, 30))
    sound.rewind()
    assert sound.readframes(2) == bytes(range(4))
    sound.close()


def records(sound: Any) -> None:
    sound.writeframes(bytes(20))
    target = sound._file
    sound.close()
    target.seek(0)
    with wave.open(target) as again:
        assert again.getnframes() == 20


def old_sound(module: str, name: str, none: Any) -> Any:
    def make(stack: ExitStack) -> Any:
        with warnings.catch_warnings():  # they are deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            library: Any = __import__(module)
        path = folder(stack) / name
        with library.open(str(path), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, none, none))
            sound.writeframes(bytes(range(200)))
        sound = stack.enter_context(library.open(str(path), "rb"))
        sound.readframes(10)
        return sound

    return make


def is_old_sound(sound: Any) -> None:
    assert (sound.getnframes(), sound.tell()) == (100, 10)
    assert len(sound.readframes(5)) == 10


CASES = [
    *(
        case
        for name, cls, compress in (
            ("gzip", gzip.GzipFile, gzip.compress),
            ("bz2", bz2.BZ2File, bz2.compress),
            ("lzma", lzma.LZMAFile, lzma.compress),
        )
        for case in (
            Case(f"{name}.r", compressed(cls, compress), gives(DATA[7:])),
            Case(f"{name}.start", compressed(cls, compress, 0), gives(DATA)),
            Case(f"{name}.end", compressed(cls, compress, 10**6), gives(b"")),
            Case(f"{name}.memory", in_memory(cls, compress), gives(DATA[7:])),
            Case(f"{name}.memory.start", in_memory(cls, compress, 0), gives(DATA)),
            Case(
                f"{name}.offset",
                in_memory(cls, compress, 0, b"before"),
                lambda f: [f.read() == DATA or 1 / 0],
            ),
            Case(
                f"{name}.offset.begun",
                in_memory(cls, compress, 7, b"before"),
                refused="did not begin at the start",
            ),
            Case(
                f"{name}.w",
                lambda s, cls=cls: s.enter_context(cls(folder(s) / "new", "w")),
                refused="open for writing",
            ),
            Case(
                f"{name}.closed",
                closed(compressed(cls, compress)),
                None if cls is gzip.GzipFile else lambda f: [f.closed or 1 / 0],
                refused="It is closed" if cls is gzip.GzipFile else "",
            ),
            Case(
                f"{name}.members",
                compressed(cls, lambda d, c=compress: c(d[:100]) + c(d[100:]), 150),
                gives(DATA[150:]),
            ),
        )
    ),
    Case("gzip.upon_file", upon_file, gives(DATA[7:])),
    Case("gzip.subclass", labelled, lambda f: [f.label == "mine" or 1 / 0, gives(DATA[7:])(f)]),
    Case("gzip.text", compressed(gzip.open, gzip.compress, mode="rt"), gives(DATA[7:].decode())),
    Case(
        "gzip.text.newline",
        compressed(gzip.open, gzip.compress, mode="rt", newline=""),
        gives(DATA[7:].decode()),
    ),
    Case("bz2.text", compressed(bz2.open, bz2.compress, mode="rt"), gives(DATA[7:].decode())),
    Case("lzma.text", compressed(lzma.open, lzma.compress, mode="rt"), gives(DATA[7:].decode())),
    Case(
        "gzip.text.w",
        lambda s: s.enter_context(gzip.open(folder(s) / "new", "wt")),
        refused="open for writing",
    ),
    Case(
        "lzma.raw",
        compressed(lzma.LZMAFile, raw_lzma, format=lzma.FORMAT_RAW, filters=RAW),
        gives(DATA[7:]),
    ),
    Case(
        "lzma.alone",
        compressed(lzma.LZMAFile, lambda d: lzma.compress(d, lzma.FORMAT_ALONE)),
        gives(DATA[7:]),
    ),
    # Archives.
    Case("zip.r", zip_file, is_archive),
    Case("zip.subclass", lambda s: zip_file(s, Archive), is_archive),
    Case("zip.memory", lambda s: s.enter_context(zipfile.ZipFile(zip_bytes())), is_archive),
    Case("zip.memory.w", zip_growing, grows),
    Case(
        "zip.memory.a",
        lambda s: s.enter_context(zipfile.ZipFile(zip_growing(s).fp, "a")),
        lambda a: a.namelist(),
    ),
    Case(
        "zip.w",
        lambda s: s.enter_context(zipfile.ZipFile(folder(s) / "new.zip", "w")),
        refused="open for writing",
    ),
    Case("zip.password", with_password, refused="holds a password"),
    Case("zip.closed", closed(zip_file), lambda a: [a.namelist() == ["a.txt", "b/c.txt"] or 1 / 0]),
    Case(
        "zip.info",
        lambda s: zip_file(s).getinfo("a.txt"),
        lambda i: [i.file_size == len(DATA) or 1 / 0],
    ),
    Case("zip.member", lambda s: read(zip_file(s).open("a.txt"), 7), gives(DATA[7:])),
    Case("zip.member.start", lambda s: zip_file(s).open("a.txt"), gives(DATA)),
    Case("zip.member.stored", lambda s: read(zip_file(s).open("b/c.txt"), 3), gives(b"red")),
    Case(
        "zip.member.memory",
        lambda s: read(zipfile.ZipFile(zip_bytes()).open("a.txt"), 7),
        gives(DATA[7:]),
    ),
    Case(
        "zip.member.text",
        lambda s: read(io.TextIOWrapper(zip_file(s).open("a.txt")), 7),
        gives(DATA[7:].decode()),
    ),
    Case(
        "zip.member.w",
        lambda s: s.enter_context(zip_growing(s).open("new", "w")),
        refused="being written",
    ),
    Case("zip.path", lazy_path, is_lazy_path),
    Case("zip.path.archive", lambda s: zipfile.Path(zip_file(s)), is_lazy_path),
    Case(
        "zip.path.memory",
        lambda s: zipfile.Path(zipfile.ZipFile(zip_bytes()), "a.txt"),
        lambda p: [p.read_bytes() == DATA or 1 / 0],
    ),
    Case(
        "zip.importer",
        importer,
        lambda i: (
            [i.load_module("corpus_zipped").x == 3 or 1 / 0]
            if sys.version_info < (3, 12)
            else i.find_spec("corpus_zipped").name
        ),
    ),
    Case("tar.r", tar_file, is_tar),
    Case("tar.gz", lambda s: tar_file(s, "gz"), is_tar),
    Case("tar.xz", lambda s: tar_file(s, "xz"), is_tar),
    Case("tar.memory", tar_memory, is_tar),
    Case("tar.memory.w", tar_growing, tar_grows),
    Case(
        "tar.w",
        lambda s: s.enter_context(tarfile.open(folder(s) / "new.tar", "w")),
        refused="open for writing",
    ),
    Case("tar.stream", tar_stream(""), is_tar_stream),
    Case("tar.stream.gz", tar_stream("gz"), refused="half-way through"),
    Case("tar.closed", closed(tar_file), refused="It is closed"),
    Case(
        "tar.info",
        lambda s: tar_file(s).getmember("a.txt"),
        lambda i: [i.size == len(DATA) or 1 / 0],
    ),
    Case("tar.member", member_of(tar_file), gives(DATA[7:])),
    Case("tar.member.gz", member_of(lambda s: tar_file(s, "gz")), gives(DATA[7:])),
    Case("tar.member.memory", member_of(tar_memory, 0), gives(DATA)),
    # Codecs.
    Case("codecs.open", reader("utf-8"), lines),
    Case("codecs.open.utf16", reader("utf-16"), lines),
    Case("codecs.open.sig", reader("utf-8-sig"), lines),
    Case(
        "codecs.open.big5",
        lambda s: codecs.open(str(stored(s, b"abc")), encoding="big5"),
        refused="part of a character",
    ),
    Case(
        "codecs.open.w",
        lambda s: s.enter_context(codecs.open(str(folder(s) / "new"), "w", "utf-8")),
        refused="open for writing",
    ),
    Case("codecs.open.closed", closed(reader("utf-8")), refused="It is closed"),
    Case("codecs.reader", stream_reader, lines),
    Case("codecs.writer", stream_writer, writes_on),
    Case("codecs.recoder", recoder, lambda f: [f.read() == "ä".encode() or 1 / 0]),
    Case("codec.utf8", decoder("utf-8", b"\xe6\x97"), decodes(b"\xa5", "日")),
    Case("codec.utf16", decoder("utf-16", b"\xfe\xff\x00"), decodes(b"a", "a")),
    Case("codec.cp1252", decoder("cp1252", b"a"), decodes(b"\xe4", "ä")),
    Case(
        "codec.big5",
        decoder("big5", "日".encode("big5")[:1]),
        decodes("日".encode("big5")[1:], "日"),
    ),
    Case(
        "codec.iso2022",
        decoder("iso2022_jp", "日".encode("iso2022_jp")[:4]),
        decodes("日".encode("iso2022_jp")[4:], "日"),
    ),
    Case("codec.encoder", encoder("utf-16", "a"), encodes("b", "b".encode("utf-16")[2:])),
    Case(
        "codec.encoder.iso2022",
        encoder("iso2022_jp", "日"),
        encodes("本", "日本".encode("iso2022_jp")[5:]),
    ),
    Case("codec.encoder.gbk", encoder("gbk", "日"), encodes("本", "本".encode("gbk"))),
    *(
        Case(f"codec.info.{name}", lambda s, name=name: codecs.lookup(name), is_codec)
        for name in ("utf-8", "latin-1", "cp1252", "big5", "utf-16", "idna", "ascii")
    ),
    Case(
        "codec.info.rot13",
        lambda s: codecs.lookup("rot13"),
        lambda i: [i.encode("a")[0] == "n" or 1 / 0],
    ),
    Case("codec.info.own", own_codec, is_own_codec),
    Case(
        "codec.function",
        lambda s: codecs.lookup("big5").encode,
        lambda f: [f("日")[0] == "日".encode("big5") or 1 / 0],
    ),
    # Databases, mailboxes, sounds.
    Case("dbm.dumb", dumb, is_database),
    Case(
        "dbm.dumb.closed",
        closed(dumb),
        lambda d: [isinstance(error_of(lambda: d[b"one"]), dbm.error) or 1 / 0],
    ),
    Case("dbm.sqlite", sqlite, is_database, versions=((3, 13), (3, 99))),
    Case("shelve", shelf, is_shelf),
    Case("shelve.file", file_shelf, is_shelf),
    Case("shelve.dict", lambda s: [d := shelve.Shelf({}), d.update(two=[2])][0], is_shelf),
    Case("shelve.writeback", lambda s: [d := shelf(s, writeback=True), d.sync()][0], is_shelf),
    Case("shelve.writeback.cached", lambda s: shelf(s, writeback=True), refused="not written back"),
    Case("shelve.closed", closed(shelf), lambda d: type(d)),
    Case("mailbox.mbox", mbox, is_mailbox),
    Case("mailbox.mmdf", lambda s: mbox(s, mailbox.MMDF), is_mailbox),
    Case("mailbox.babyl", lambda s: mbox(s, mailbox.Babyl), is_mailbox),
    Case("mailbox.removed", without_one, is_mailbox),
    Case("mailbox.part", part, lambda f: [f.read() == b"text\n" or 1 / 0]),
    Case("mailbox.unflushed", unflushed, refused="not flushed"),
    Case("mailbox.closed", closed(mbox), refused="It is closed"),
    Case("mailbox.maildir", folder_box(mailbox.Maildir), is_mailbox),
    Case("mailbox.mh", folder_box(mailbox.MH), is_mailbox),
    Case("mailbox.message", lambda s: mbox(s)[0], lambda m: [m["subject"] == "0" or 1 / 0]),
    Case("wave.r", wave_reader, is_sound),
    Case("wave.memory", lambda s: read_frames(wave.open(io.BytesIO(wave_bytes()))), is_sound),
    Case("wave.w", lambda s: wave_writer(s, folder(s) / "new"), refused="open for writing"),
    Case("wave.memory.w", wave_writer, records),
    Case("aifc.r", old_sound("aifc", "x.aif", b"NONE"), is_old_sound, versions=((3, 10), (3, 12))),
    Case("sunau.r", old_sound("sunau", "x.au", "NONE"), is_old_sound, versions=((3, 10), (3, 12))),
]
