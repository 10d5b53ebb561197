"""Codecs: readers and writers travel with their stream, incremental ones with their state.

Notes
-----
- Travels: what a reader has read and not yet given, and its stream by the rules for files; the
  state of an incremental encoder or decoder; what `codecs.lookup` gives, by name where Python has
  the codec, else with its functions.
- Lost: nothing.
- Refused: readers and writers of East Asian multibyte codecs, which hide their state, and whatever
  has a stream that is refused.

Those of one class in Python need no reducer, except that `codecs.StreamReader` and its like say
no to pickling, whatever they hold.
"""

from __future__ import annotations

import _multibytecodec
import codecs
import importlib
import sys
from contextlib import suppress
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state

STREAMS: Any = (
    codecs.StreamReader, codecs.StreamWriter, codecs.StreamReaderWriter, codecs.StreamRecoder,
)  # fmt: skip
INCREMENTAL = (
    _multibytecodec.MultibyteIncrementalDecoder, _multibytecodec.MultibyteIncrementalEncoder,
)  # fmt: skip
HIDDEN = (_multibytecodec.MultibyteStreamReader, _multibytecodec.MultibyteStreamWriter)
MultibyteCodec: Any = type(importlib.import_module("encodings.big5").codec)


def reduce_stream(stream: Any) -> Any:
    """Say what it is, and how it stands."""
    return rebuild_stream, (type(stream),), vars(stream).copy(), None, None, add_state


def rebuild_stream(cls: Any) -> Any:
    """Make one; its state comes next."""
    return cls.__new__(cls)


def reduce_hidden(stream: Any) -> Any:
    """Refuse what may hold half a character."""
    raise RefusedError(stream, "It may hold a part of a character, which it does not show.")


def reduce_incremental(coder: Any) -> Any:
    """Say what it is, and its state."""
    args = type(coder), coder.errors, coder.getstate(), extra_state(coder, None)
    return rebuild_incremental, args


def rebuild_incremental(cls: Any, errors: str, coder_state: Any, state: dict[str, Any]) -> Any:
    """Make one, and give it its state."""
    coder: Any = cls.__new__(cls, errors)
    coder.setstate(coder_state)
    add_state(coder, state)
    return coder


for _cls in STREAMS:
    register(
        _cls, reduce_stream, subclasses=True, hint="Make it inside the task.",
        travels="what it has read; its stream, by the rules for files", lost="nothing",
        refused="with a stream that is refused",
    )  # fmt: skip
for _cls in HIDDEN:
    register(
        _cls, reduce_hidden, action="refuse", subclasses=True, refused="all",
        hint="Use open() or io.TextIOWrapper with this encoding.",
    )  # fmt: skip
for _cls in INCREMENTAL:
    register(
        _cls, reduce_incremental, subclasses=True, hint="Make it inside the task.",
        travels="its state", lost="nothing", refused="nothing",
    )  # fmt: skip


@register(
    MultibyteCodec, travels="the encoding it is of", lost="nothing", refused="what has no name",
    hint="Use codecs.lookup() inside the task.",
)  # fmt: skip
def reduce_codec(codec: Any) -> Any:
    """Say which module of `encodings` made it."""
    for name, module in sys.modules.copy().items():
        if name.startswith("encodings.") and getattr(module, "codec", None) is codec:
            return rebuild_codec, (name,)
    raise RefusedError(codec, "Its encoding cannot be found.")


def rebuild_codec(module: str) -> Any:
    """Return the one of this process."""
    return importlib.import_module(module).codec


@register(
    codecs.CodecInfo, travels="the name of the codec, or its functions", lost="nothing",
    refused="nothing", hint="Use codecs.lookup() inside the task.",
)  # fmt: skip
def reduce_info(info: Any) -> Any:
    """Say its name, if it is one of Python's; else what it is made of."""
    part = info.incrementaldecoder or info.streamreader
    if str(getattr(part, "__module__", "")).startswith("encodings."):
        with suppress(LookupError):
            found: Any = codecs.lookup(info.name)
            if part is (found.incrementaldecoder or found.streamreader):
                return rebuild_named, (info.name,)
    return rebuild_info, (tuple(info), vars(info).copy())


def rebuild_named(name: str) -> codecs.CodecInfo:
    """Look up the one of this Python."""
    return codecs.lookup(name)


def rebuild_info(functions: tuple[Any, ...], state: dict[str, Any]) -> codecs.CodecInfo:
    """Put the functions together."""
    info = codecs.CodecInfo(*functions)
    add_state(info, state)
    return info
