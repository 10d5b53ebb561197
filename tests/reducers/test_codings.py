"""Codecs: streams, incremental coders, and what a look-up gives."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.reducers.codings import MultibyteCodec
from daskpickle.testing import ReducerContract

TEXT = "äöü\n日本\n"


class Labelled(codecs.StreamReader):
    """A reader with an attribute, of no codec's."""

    decode = staticmethod(codecs.utf_8_decode)  # type: ignore[assignment]


class TestReader(ReducerContract):
    """It has read ahead, and what it read is kept."""

    def make(self) -> Any:
        reader: Any = Labelled(io.BytesIO(TEXT.encode()))
        reader.label = "mine"
        reader.readline()
        return reader

    def same(self, sent: Any, received: Any) -> None:
        assert (received.label, received.read()) == ("mine", "日本\n")

    def state(self, obj: Any) -> Any:
        return obj.stream.tell(), obj.charbuffer, obj.linebuffer

    @staticmethod
    def use(received: Any) -> Any:
        return received.read()


class TestWriter(ReducerContract):
    """The mark at the start is not written twice."""

    def make(self) -> Any:
        writer = codecs.getwriter("utf-16")(io.BytesIO())
        writer.write("one")
        return writer

    def same(self, sent: Any, received: Any) -> bool:
        received.write("two")
        return bool(received.stream.getvalue() == "onetwo".encode("utf-16"))

    def state(self, obj: Any) -> Any:
        return obj.stream.getvalue()

    @staticmethod
    def use(received: Any) -> Any:
        received.write("x")
        return received.stream.getvalue()


class TestFile(ReducerContract):
    """`codecs.open` makes a reader and a writer upon one file."""

    absent = None  # its bytes travel

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "text"
        self.path.write_text(TEXT, encoding="utf-8")

    def make(self) -> Any:
        file = codecs.StreamReaderWriter(
            self.path.open("rb"), codecs.getreader("utf-8"), codecs.getwriter("utf-8")
        )
        file.readline()
        return file

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.readline() == "日本\n")

    def state(self, obj: Any) -> Any:
        return obj.reader.charbuffer, obj.stream.tell()

    def close(self, obj: Any) -> None:
        obj.stream.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.read()

    def target(self, obj: Any) -> Path:
        return self.path


class TestRecoder(ReducerContract):
    def make(self) -> Any:
        return codecs.EncodedFile(io.BytesIO("ä".encode("latin-1")), "utf-8", "latin-1")

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.read() == "ä".encode())

    def state(self, obj: Any) -> Any:
        return obj.stream.tell()

    @staticmethod
    def use(received: Any) -> Any:
        return received.read()


class TestHiddenReader(ReducerContract):
    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (lambda: codecs.getreader("big5")(io.BytesIO()), "It may hold a part of a character"),
            (lambda: codecs.getwriter("gbk")(io.BytesIO()), "It may hold a part of a character"),
        ]


class TestDecoder(ReducerContract):
    """It holds the first half of a character."""

    def make(self) -> Any:
        decoder: Any = codecs.getincrementaldecoder("big5")("replace")
        decoder.label = "mine"
        decoder.decode("日".encode("big5")[:1])
        return decoder

    def same(self, sent: Any, received: Any) -> None:
        assert (received.errors, received.label) == ("replace", "mine")
        assert received.decode("日".encode("big5")[1:]) == "日"

    def state(self, obj: Any) -> Any:
        return obj.getstate()

    @staticmethod
    def use(received: Any) -> Any:
        return received.getstate()


class TestEncoder(ReducerContract):
    """It has written that another alphabet begins."""

    def make(self) -> Any:
        encoder = codecs.getincrementalencoder("iso2022_jp")()
        encoder.encode("日")
        return encoder

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.encode("本", True) == "日本".encode("iso2022_jp")[5:])

    def state(self, obj: Any) -> Any:
        return obj.getstate()

    @staticmethod
    def use(received: Any) -> Any:
        return received.encode("本", True)


class TestCodec(ReducerContract):
    def make(self) -> Any:
        return __import__("encodings.big5").big5.codec

    def same(self, sent: Any, received: Any) -> bool:
        return received is sent

    @staticmethod
    def use(received: Any) -> Any:
        return received.encode("日")

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        def nameless() -> Any:
            return __import__("_codecs_tw").getcodec("big5")

        assert type(nameless()) is MultibyteCodec
        return [(nameless, "Its encoding cannot be found")]


class TestInfo(ReducerContract):
    def make(self) -> Any:
        return codecs.lookup("big5")

    def same(self, sent: Any, received: Any) -> bool:
        return received is sent

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.decode(b"abc")


class TestOwnInfo(ReducerContract):
    """A codec that is not one of Python's travels as its functions."""

    def make(self) -> Any:
        utf8 = codecs.lookup("utf-8")
        return codecs.CodecInfo(
            utf8.encode,
            codecs.ascii_decode,
            incrementaldecoder=utf8.incrementaldecoder,
            name="own",
        )

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is codecs.CodecInfo
        assert (received.name, received.decode(b"a")) == ("own", ("a", 1))
        assert received.incrementaldecoder is sent.incrementaldecoder

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.encode("ä")


def test_a_file_that_is_written_is_named(tmp_path: Path) -> None:
    """The path leads to the stream in it."""
    with codecs.open(str(tmp_path / "new"), "w", "utf-8") as file:
        with pytest.raises(RefusedError) as caught:
            daskpickle.dumps(file)
        assert caught.value.path == "obj.stream"
