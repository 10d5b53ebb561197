"""C data, types and libraries of `ctypes`: data by bytes, libraries by name; no pointer travels.

Notes
-----
- Travels: a type that no module names: an array by its element and length, a pointer by what it
  points to, a function by its signature, a structure or union by its fields and methods. Data whose
  pointers are all null, by its bytes; strings and `py_object` by the object that they were made of.
  A library by its name, opened at first use, with the signatures that its functions were given; a
  function of it by library and name; a callback by the function in Python that it calls.
- Lost: that data shares its memory with other data. The mode that a library was opened with.
- Refused: a pointer that is not null: its address means something else elsewhere. What `byref`
  returns, and functions that were made of an address.

Data without pointers pickles by itself, and so it is left to do; but not its type.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import real


class _Probe(ctypes.Structure):
    _fields_ = [("field", ctypes.c_int)]


Function: Any = ctypes._CFuncPtr  # type: ignore[attr-defined]
Pointer: Any = ctypes._Pointer
DATA: tuple[Any, ...] = (ctypes._SimpleCData, Pointer, ctypes.Array, ctypes.Structure, ctypes.Union)
METACLASSES: tuple[Any, ...] = tuple(dict.fromkeys(map(type, (*DATA, Function))))
# What the metaclass puts into a class itself.
MADE = type(_Probe.field), types.GetSetDescriptorType, types.ClassMethodDescriptorType
# What it asks for when a class is made; fields it takes also later.
GIVEN = "_type_", "_length_", "_flags_", "_restype_", "_argtypes_"
NATIVE, SWAPPED = f"__ctype_{sys.byteorder[0]}e__", f"__ctype_{'bl'[sys.byteorder == 'big']}e__"
USE_ERRNO, USE_LAST_ERROR = 8, 16  # in _flags_: FUNCFLAG_... of CPython's Modules/_ctypes/ctypes.h

NEW = "_daskpickle_new_"

Reduce = Callable[[Any], Any]
MAKE_INSIDE = "Make it inside the task, of what it points to."
OPEN_INSIDE = "Open the library inside the task."


def register_all(classes: tuple[Any, ...], **facts: Any) -> Callable[[Reduce], Reduce]:
    """Register one reducer for several classes, and for their subclasses."""

    def add(reduce: Reduce) -> Reduce:
        for cls in classes:
            register(cls, reduce, subclasses=True, **facts)
        return reduce

    return add


# --- Types --------------------------------------------------------------------------------------


@register_all(
    METACLASSES, travels="its name, or else what it is made of", lost="nothing", refused="nothing",
    hint="Define it in a module, or inside the task.",
)  # fmt: skip
def reduce_type(cls: Any) -> Any:
    """Say what it is made of, if it cannot be imported elsewhere."""
    if cloudpickle._should_pickle_by_reference(cls):
        return NotImplemented
    own = vars(cls)
    kind: Any = getattr(cls, "_type_", None)
    count: Any = getattr(cls, "_length_", None)
    if getattr(cls, NATIVE, cls) is not cls:
        return rebuild_other_endian, (getattr(cls, NATIVE), SWAPPED)
    if issubclass(cls, ctypes.Array) and "_type_" in own and kind * count is cls:
        return rebuild_array_type, (kind, count, cls.__module__)
    if issubclass(cls, Pointer) and "_type_" in own and ctypes.POINTER(kind) is cls:
        return rebuild_pointer_type, (kind, cls.__module__)
    if issubclass(cls, Function) and "_argtypes_" in own:
        signature = own["_flags_"], own["_restype_"], own["_argtypes_"]
        if rebuild_function_type(*signature) is cls:
            return rebuild_function_type, signature
    make, state = cloudpickle._dynamic_class_reduce(cls)[1:3]
    members = {n: v for n, v in state[0].items() if type(v) not in MADE and n != SWAPPED}
    given = {"__qualname__": cls.__qualname__, **make[3]}
    if not issubclass(cls, (ctypes.Structure, ctypes.Union)):
        given.update((name, members.pop(name)) for name in GIVEN if name in members)
    elif "_fields_" in members:
        members["_fields_"] = members.pop("_fields_")  # last: how they are packed is said before
    metaclass = type if type(cls) in METACLASSES else type(cls)
    args = metaclass, make[1], make[2], given, make[4]
    return rebuild_type, args, members, None, None, set_members


def rebuild_type(
    metaclass: type, name: str, bases: tuple[Any, ...], given: dict[str, Any], token: str
) -> Any:
    """Make the type, or find the one that was made of the same before."""
    given = {**given, NEW: True}
    return cloudpickle._make_skeleton_class(metaclass, name, bases, given, token, None)


_guard = threading.Lock()


def set_members(cls: Any, members: dict[str, Any]) -> None:
    """Give a new type its methods, and then its fields, which can be given once."""
    with _guard:
        if NEW in vars(cls):
            delattr(cls, NEW)
            cloudpickle._class_setstate(cls, (members, {}))


def rebuild_other_endian(cls: Any, name: str) -> Any:
    """Return the type of a number whose bytes are in the other order."""
    return getattr(cls, name)


def rebuild_array_type(element: Any, length: int, module: str) -> Any:
    """Return the type of arrays of so many of these."""
    return _made_in(module, element * length)


def rebuild_pointer_type(target: Any, module: str) -> Any:
    """Return the type of pointers to this."""
    return _made_in(module, ctypes.POINTER(target))


def _made_in(module: str, cls: Any) -> Any:
    """Name the module that made a type first, if this one just did; `ctypes` makes each once."""
    if cls.__module__ == __name__:
        cls.__module__ = module
    return cls


def rebuild_function_type(flags: int, result: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the type of functions with this signature."""
    errors = {"use_errno": bool(flags & USE_ERRNO), "use_last_error": bool(flags & USE_LAST_ERROR)}
    return ctypes.CFUNCTYPE(result, *arguments, **errors)


# --- Data ---------------------------------------------------------------------------------------


@register_all(
    DATA, travels="its bytes, or the object it was made of", lost="sharing of memory",
    refused="pointers that are not null", hint=MAKE_INSIDE,
)  # fmt: skip
def reduce_data(data: Any) -> Any:
    """Say its bytes, if its pointers are null; what has no pointers says them itself."""
    cls: Any = type(data)
    places = list(_pointers(cls))
    if not places:
        return NotImplemented
    content, size = _bytes(data), ctypes.sizeof(ctypes.c_void_p)
    if any(any(content[place : place + size]) for place in places):
        kind: Any = getattr(cls, "_type_", "") if issubclass(cls, ctypes._SimpleCData) else ""
        if kind in ("z", "Z", "O") and data._objects is not None:  # what it was made of
            value = data._objects if kind == "z" else data.value
            return rebuild_value, (cls, value, vars(data))
        raise RefusedError(data, "It holds the address of something in this process.")
    return rebuild_data, (cls, content, vars(data))


def rebuild_data(cls: Any, content: bytes, state: dict[str, Any]) -> Any:
    """Make data of its bytes."""
    data = cls.__new__(cls)
    data.__setstate__(state, content)
    return data


def rebuild_value(cls: Any, value: Any, state: dict[str, Any]) -> Any:
    """Make a string, or a reference to an object, of what it points to."""
    data = cls.__new__(cls)
    data.value = value
    vars(data).update(state)
    return data


def _pointers(cls: Any, start: int = 0) -> Iterator[int]:
    """Yield where data of a type has pointers."""
    item: Any = getattr(cls, "_type_", None)
    if issubclass(cls, ctypes.Array):
        count: Any = cls._length_
        places, size = list(_pointers(item)), ctypes.sizeof(item)
        for number in range(count if places else 0):
            yield from (start + number * size + place for place in places)
    elif issubclass(cls, (ctypes.Structure, ctypes.Union)):
        for base in cls.__mro__:
            for name, kind, *_ in vars(base).get("_fields_", ()):
                yield from _pointers(kind, start + vars(base)[name].offset)
    elif not issubclass(cls, ctypes._SimpleCData) or item in "zZOPX":
        yield start


def _bytes(data: Any) -> bytes:
    return ctypes.string_at(ctypes.addressof(data), ctypes.sizeof(data))


# --- Libraries and functions --------------------------------------------------------------------


@register(
    ctypes.CDLL, scope="process", subclasses=True, hint=OPEN_INSIDE,
    travels="its name, the signatures of its functions", lost="its mode",
    refused="opened by a handle only",
)  # fmt: skip
def reduce_library(library: Any) -> Any:
    """Say its name, and what its functions were told about their arguments and results."""
    if library is ctypes.pythonapi:
        return "pythonapi"
    name, flags = library._name, library._FuncPtr._flags_
    if name is None and library._handle != ctypes.CDLL(None)._handle:
        raise RefusedError(library, "It was opened by a handle, and does not tell its name.")
    if name is not None and os.path.dirname(name):  # noqa: PTH120
        name = os.path.abspath(name)  # noqa: PTH100 - the receiver has another working directory
    state = dict(vars(library))
    for private in ("_name", "_handle", "_FuncPtr"):
        state.pop(private)
    signatures = {}
    for attribute, value in list(state.items()):
        if type(value) is library._FuncPtr:
            signatures[attribute] = _signature(state.pop(attribute))
    return Recipe(open_library, type(library), name, flags, signatures, state)


def open_library(
    cls: Any, name: str | None, flags: int, signatures: dict[str, Any], state: dict[str, Any]
) -> Any:
    """Open the library of that name."""
    library = cls.__new__(cls)
    errors = {"use_errno": bool(flags & USE_ERRNO), "use_last_error": bool(flags & USE_LAST_ERROR)}
    ctypes.CDLL.__init__(library, name, **errors)
    for function, signature in signatures.items():
        _sign(getattr(library, function), signature)
    vars(library).update(state)
    return library


@register(
    Function, scope="process", subclasses=True, hint="Get it from its library inside the task.",
    travels="its library, name and signature; of a callback, what it calls", lost="nothing",
    refused="known by its address only",
)  # fmt: skip
def reduce_function(function: Any) -> Any:
    """Say its library and name, or which function in Python it calls."""
    own = next((name for name, value in vars(ctypes).items() if value is function), None)
    if own is not None:
        return own
    if not function:
        return rebuild_data, (type(function), _bytes(function), vars(function))
    kept = function._objects
    made_of = kept.get("0") if type(kept) is dict else kept
    if type(made_of).__name__ == "CThunkObject":
        # The types of its arguments, what it calls, the type of its result; since 3.12, its own:
        # CThunkObject_traverse in CPython 3.10 to 3.13, Modules/_ctypes/callbacks.c.
        called = [part for part in gc.get_referents(made_of) if part is not type(made_of)][1]
        return rebuild_callback, (type(function), called, _signature(function))
    name = vars(function).get("__name__")
    if not isinstance(made_of, ctypes.CDLL) or name is None:
        why = "It is an address in this process, and does not tell its library and its name."
        raise RefusedError(function, why)
    return Recipe(open_function, type(function), made_of, name, _signature(function))


def open_function(cls: Any, library: Any, name: str, signature: dict[str, Any]) -> Any:
    """Look the function up in its library."""
    function = cls((name, real(library)))
    function.__name__ = name
    _sign(function, signature)
    return function


def rebuild_callback(cls: Any, called: Any, signature: dict[str, Any]) -> Any:
    """Make a function of C that calls one of Python."""
    function = cls(called)
    _sign(function, signature)
    return function


def _signature(function: Any) -> dict[str, Any]:
    """Return what a function was told that its type does not say."""
    arguments, result = getattr(function, "_argtypes_", None), function._restype_
    said = {"argtypes": arguments, "restype": result, "errcheck": None}
    return {n: value for n in said if (value := getattr(function, n)) != said[n]}


def _sign(function: Any, signature: dict[str, Any]) -> None:
    for name, value in signature.items():
        setattr(function, name, value)
