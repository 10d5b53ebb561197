"""Tar archives."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

from daskpickle.testing import ReducerContract


def fill(mode: str) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name in ("a", "b"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(name.encode() * 3))
    target.seek(0)
    return target


def stream(source: io.BytesIO, mode: str) -> Any:
    """What an archive that is opened in such a mode reads or writes."""
    return tarfile.open(fileobj=source, mode=mode).fileobj  # type: ignore[call-overload]


class TestStream(ReducerContract):
    """One that is not compressed is read on; the state of a decompressor is hidden."""

    def make(self) -> Any:
        return stream(fill("w"), "r|")

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.read(3) == b"aaa")

    def state(self, obj: Any) -> Any:
        return obj.pos, obj.fileobj.closed or obj.fileobj.tell()

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.read(1024)

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (lambda: stream(fill("w:gz"), "r|gz"), "It is a stream of gz data"),
            (lambda: stream(io.BytesIO(), "w|xz"), "It is a stream of xz data"),
        ]
