"""Small types, most of them written in C: `struct`, random numbers, decimals, Unicode data.

Notes
-----
- Travels: the format of a `struct.Struct`; the bytes that ``iter_unpack`` has left; the state of a
  ``_random.Random``, and with its attributes that of a subclass of `random.Random`; a
  `random.SystemRandom`, which has none; the database of Unicode 3.2, by name.
- Lost: nothing.
- Refused: what `decimal.localcontext` returns, which tells its context on entering only.
"""

from __future__ import annotations

import _random
import decimal
import gc
import random
import struct
import unicodedata
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state, neutral

Unpacking: Any = type(struct.iter_unpack("b", b""))
LocalContext: Any = type(decimal.localcontext())


@register(
    struct.Struct,
    travels="its format",
    lost="nothing",
    refused="nothing",
    hint="Pass its format.",
    subclasses=True,
)
def reduce_struct(obj: Any) -> tuple[Any, ...]:
    """Say its format."""
    return rebuild_struct, (type(obj), obj.format, extra_state(obj, None))


def rebuild_struct(cls: Any, form: str, state: dict[str, Any]) -> Any:
    """Compile it again; no code of a subclass runs."""
    base: Any = struct.Struct
    obj = base.__new__(cls, form)
    base.__init__(obj, form)
    add_state(obj, state)
    return obj


@register(
    Unpacking,
    travels="its struct, the bytes that are left",
    lost="nothing",
    refused="nothing",
    hint="Pass a list of its items.",
)
def reduce_unpacking(iterator: Any) -> tuple[Any, ...]:
    """Say what is left; it tells the garbage collector of what (``unpackiter_traverse``)."""
    held = [each for each in gc.get_referents(iterator) if not isinstance(each, type)]
    left = iterator.__length_hint__()
    if not left:
        return rebuild_unpacking, ("b", b"")
    form, data = held
    return rebuild_unpacking, (form.format, bytes(memoryview(data).cast("B")[-left * form.size :]))


def rebuild_unpacking(form: str, data: bytes) -> Any:
    """Make one for these bytes."""
    return struct.iter_unpack(form, data)


@register(
    random.SystemRandom,
    travels="that it is one",
    lost="nothing",
    refused="nothing",
    hint="Make it inside the task.",
    subclasses=True,
)
def reduce_system_random(source: Any) -> tuple[Any, ...]:
    """Say only its attributes: what it gives comes from the system."""
    return rebuild_system_random, (type(source), extra_state(source, None))


def rebuild_system_random(cls: Any, state: dict[str, Any]) -> Any:
    """Make another one; no code of a subclass runs."""
    source = random.Random.__new__(cls)
    add_state(source, state)
    return source


@register(
    _random.Random,
    travels="its state",
    lost="nothing",
    refused="nothing",
    hint="Use random.Random.",
    subclasses=True,
)
def reduce_random(source: Any) -> tuple[Any, ...]:
    """Say its state; `random.Random` does so by itself."""
    return rebuild_random, (type(source), source.getstate(), extra_state(source, None))


def rebuild_random(cls: Any, numbers: tuple[int, ...], state: dict[str, Any]) -> Any:
    """Make one that gives the same numbers."""
    source = _random.Random.__new__(cls)
    source.setstate(numbers)
    add_state(source, state)
    return source


@register(
    random.Random,
    travels="its state, its attributes",
    lost="nothing",
    refused="nothing",
    hint="Make it inside the task.",
    subclasses=True,
)
@neutral
def reduce_python_random(source: Any) -> Any:
    """Say its state, unless its class sees to that: by itself it would ask ``__init__`` again."""
    cls, base = type(source), random.Random
    if cls is base or (cls.getstate, cls.setstate) != (base.getstate, base.setstate):
        return NotImplemented
    state = extra_state(source, None)  # which may lead back to it
    return rebuild_random, (cls, source.getstate(), {}), state, None, None, add_state


@register(
    LocalContext, action="refuse", refused="always", hint="Pass the context, and enter it there."
)
def reduce_local_context(manager: Any) -> Any:
    """Refuse: it tells its context on entering only, which changes that of this thread."""
    raise RefusedError(
        manager, "Its context cannot be read, and is that of this thread once it is entered."
    )


@register(
    unicodedata.UCD,
    travels="its name",
    lost="nothing",
    refused="nothing",
    hint="Import it inside the task.",
)
@neutral
def reduce_unicode_data(data: Any) -> str:
    """Say the name under which `unicodedata` has the only one."""
    return "ucd_3_2_0"
