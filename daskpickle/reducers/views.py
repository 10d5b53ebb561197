"""Views: of memory, and of mappings.

Notes
-----
- Travels: a `memoryview` with its format, its shape and its flag, out of band where the protocol
  can; one of all of a bytearray, an `array` or a numpy array, together with that, so that they go
  on sharing their memory. A view of a dict, or a mappingproxy, together with its dict, or with the
  class whose attributes it shows.
- Lost: that a memoryview of a part shares memory with the rest. That a view of keys follows its
  dict, where that cannot travel or is larger than 1 MiB: only the keys travel then.
- Refused: a memoryview that was released, or of a format that `memoryview.cast` does not know.

A view of keys of a dict with large values would be a surprise if they all travelled with it.
"""

from __future__ import annotations

import array
import functools
import gc
import operator
import pickle
from collections import OrderedDict
from collections.abc import Callable
from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import Any

import daskpickle
from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import Call, neutral

_ATOMS = frozenset((str, bytes, int, float, complex, bool, type(None)))
_FORMATS = frozenset("cbB?hHiIlLqQnNfdPe")
LARGE = 2**20

HINT = "Pass bytes, a list or a dict made of it."


@register(
    memoryview,
    travels="its memory, format, shape and flag; all of a bytearray or array with that",
    lost="that a part shares memory with the rest; gaps, if it has several dimensions",
    refused="one that was released, or of a format of no single native type",
    hint=HINT,
)
@neutral
def reduce_memoryview(view: Any) -> tuple[Any, ...]:
    """Say how to make it of its memory, or of the object that it is a view of."""
    try:
        whole = memoryview(view.obj)
    except ValueError:
        raise RefusedError(view, "It was released.") from None
    shares = hasattr(view.obj, "__array_interface__") or type(view.obj) in (bytearray, array.array)
    native = view.format.lstrip("@") in _FORMATS
    layout = view.format, view.shape, view.strides
    if layout == (whole.format, whole.shape, whole.strides) and (shares or not native):
        made: Any = Call(memoryview, view.obj)
    elif not native:
        raise RefusedError(view, f"Its format {view.format!r} cannot be given to another one.")
    elif shares and view.c_contiguous and whole.c_contiguous and view.nbytes == whole.nbytes:
        made = cast(view, Call(memoryview.cast, Call(memoryview, view.obj), "B"))
    elif view.ndim == 1 and not view.c_contiguous:
        step = view.strides[0] // view.itemsize
        room = bytearray(((len(view) - 1) * abs(step) + 1) * view.itemsize)
        filled: Any = memoryview(room)
        filled.cast(view.format)[::step] = view
        made = Call(operator.getitem, cast(view, Memory(room)), slice(None, None, step))
    else:
        made = cast(view, Memory(view if view.c_contiguous else bytearray(view.tobytes())))
    return (memoryview.toreadonly if view.readonly else memoryview), (made,)


def cast(view: Any, made: Any) -> Any:
    """Give what is made of bytes the format and shape of a view."""
    if view.ndim != 1 and view.nbytes:
        return Call(memoryview.cast, made, view.format, view.shape)
    return made if view.format == "B" else Call(memoryview.cast, made, view.format)


class Memory:
    """The bytes of a view, out of band where the protocol can."""

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        flat = pickle.PickleBuffer(self.data).raw()
        if protocol >= 5:
            return memoryview, (pickle.PickleBuffer(flat),)
        return memoryview, ((bytes if flat.readonly else bytearray)(flat),)


@neutral
def reduce_view(view: Any, method: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Say of which dict it is a view; the garbage collector tells, ``mapping`` is a proxy."""
    (source,) = gc.get_referents(view)
    cls = _class_of(source)
    if cls is not None:
        return getattr(MappingProxyType, method.__name__), (Call(vars, cls),)
    if method.__name__ == "keys" and not _ATOMS.issuperset(map(type, source.values())):
        buffers: list[pickle.PickleBuffer] = []
        try:
            data = daskpickle.dumps(source, buffer_callback=buffers.append)
            large = len(data) + sum(buffer.raw().nbytes for buffer in buffers) > LARGE
        except Exception:  # a value cannot travel
            large = True
        if large:
            source = (OrderedDict if method is OrderedDict.keys else dict).fromkeys(source)
    return method, (source,)


def _class_of(source: Any) -> Any:
    """Return the class whose attributes are in ``source``, if it is that of a class."""
    if type(source) is not dict or not ("__module__" in source and "__doc__" in source):
        return None
    known = [v.__objclass__ for v in list(source.values()) if type(v) in _OF_CLASSES]
    for cls in (*known, *gc.get_referrers(source)):
        if isinstance(cls, type) and any(part is source for part in gc.get_referents(vars(cls))):
            return cls
    return None


_OF_CLASSES = (GetSetDescriptorType, MemberDescriptorType)

_classes: tuple[Any, ...] = (dict, OrderedDict)
for _cls in _classes:
    for _method in (_cls.keys, _cls.values, _cls.items):
        register(
            type(_method(_cls())),
            neutral(functools.partial(reduce_view, method=_method)),
            travels="its dict",
            lost="of keys: that they follow a dict that cannot travel, or is large",
            refused="nothing",
            hint=HINT,
        )


@register(
    MappingProxyType,
    travels="the mapping that it shows",
    lost="nothing",
    refused="nothing",
    hint=HINT,
)
@neutral
def reduce_proxy(proxy: Any) -> tuple[Any, ...]:
    """Say what it shows, or of which class; the garbage collector tells."""
    (source,) = gc.get_referents(proxy)
    cls = _class_of(source)
    return (MappingProxyType, (source,)) if cls is None else (vars, (cls,))
