"""Functions by value, as cloudpickle has them, with what follows from their code worked out once.

The stream names nothing of daskpickle: `marshal.loads` and cloudpickle's own functions make the
function, on any node. Like cloudpickle's, it is for the same minor version of Python.

Code cannot be changed, so its bytes are kept for as long as it lives. A function can: what it
refers to is looked at each time.
"""

from __future__ import annotations

import inspect
import marshal
import pickle
import sys
from collections.abc import Callable, Iterable
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from cloudpickle import cloudpickle

from daskpickle.identity import Call, IdentityMap
from daskpickle.prelude import named

__all__ = [
    "ATOMS",
    "BETTER",
    "PLAIN",
    "USABLE",
    "Leaf",
    "by_value_modules",
    "is_importable",
    "leaf",
    "make_function",
    "reduce_code",
    "reduce_function",
    "write",
]

#: What may be an argument of the function that makes the function: it cannot lead back to it.
ATOMS = frozenset((str, bytes, int, float, complex, bool, type(None)))

#: What may be given as a global variable then: a module leads back to nothing.
_SAFE = ATOMS | {ModuleType}

_ABOUT_MODULE = ("__package__", "__name__", "__path__", "__file__")

# cloudpickle 3.1 leaves out where the code was written: the bytes do not depend on it.
_NOWHERE = "<dynamic-code>"
_ANONYMOUS = _NOWHERE in cloudpickle._code_reduce((lambda: None).__code__)[1]


#: What the C pickler writes without asking anybody.
PLAIN = ATOMS - {complex}

_MAKE_CELL = named(cloudpickle.__name__, "_make_cell")
_SET_STATE = named(cloudpickle.__name__, "_function_setstate")
_NO_NAMES: dict[str, Any] = {}
make_function = cloudpickle._make_function
by_value_modules = cloudpickle._PICKLE_BY_VALUE_MODULES


class _Code:
    """What follows from a code object."""

    __slots__ = ("arguments", "data", "doc", "globals", "head", "name", "names", "qualname")

    def __init__(self, code: CodeType) -> None:
        try:
            # Version 2 knows no references, which would depend on what else refers to a constant,
            # and no interned strings (``w_ref`` and ``w_complex_object``, CPython's marshal.c).
            self.data: bytes | None = marshal.dumps(_anonymous(code) if _ANONYMOUS else code, 2)
        except ValueError:  # a constant that no compiler makes
            self.data = None
        self.head = b"" if self.data is None else _head(self.data)
        # Of a leaf that uses modules only: when it was written, its arguments, and their opcodes.
        self.arguments: tuple[Any, Any, bytes] = (None, None, b"")
        self.globals = tuple(cloudpickle._extract_code_globals(code))
        self.names = tuple(sorted(set(code.co_names)))
        cells = tuple([CellType() for _ in code.co_freevars])
        made = FunctionType(code, {}, closure=cells)  # what is so without being said
        self.name, self.qualname, self.doc = made.__name__, made.__qualname__, made.__doc__


def _head(data: bytes) -> bytes:
    """Return how the pickle of a leaf begins, with `_make_function` and these bytes of its code."""
    loads, size = named("marshal", "loads"), len(data).to_bytes(4, "little")
    code = loads + pickle.BINBYTES + size + data + pickle.TUPLE1 + pickle.REDUCE
    make = named(cloudpickle.__name__, "_make_function")
    return pickle.PROTO + b"\x05" + make + pickle.MARK + code


def _anonymous(code: CodeType) -> CodeType:
    consts = tuple(_anonymous(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_filename=_NOWHERE, co_consts=consts)


_codes = IdentityMap()


def _facts(code: CodeType) -> _Code:
    facts: _Code | None = _codes.get(code)
    if facts is None:
        facts = _Code(code)
        _codes.set(code, facts)
    return facts


def reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Reduce code to its bytes; to its parts, as cloudpickle does, if it has none."""
    data = _facts(code).data
    if data is None:
        return cloudpickle._code_reduce(code)  # type: ignore[no-any-return]
    return marshal.loads, (data,)


def reduce_cell(cell: CellType) -> tuple[Any, ...]:
    """Reduce a cell so that it is known before its content, which may lead back to it."""
    try:
        value = cell.cell_contents
    except ValueError:
        return cloudpickle._make_empty_cell, ()
    if type(value) in ATOMS:
        return cloudpickle._make_cell, (value,)
    return cloudpickle._make_empty_cell, (), (None, {"cell_contents": value})


def reduce_getset(descriptor: Any) -> tuple[Any, ...]:
    """Reduce a descriptor of C, which a class of classes may give something else for."""
    cls, name = descriptor.__objclass__, descriptor.__name__
    get = getattr if getattr(cls, name, None) is descriptor else inspect.getattr_static
    return get, (cls, name)


#: From reducers of cloudpickle to the ones that take their place.
BETTER: dict[Callable[[Any], Any], Callable[[Any], Any]] = {
    cloudpickle._cell_reduce: reduce_cell,
    cloudpickle._code_reduce: reduce_code,
    cloudpickle._getset_descriptor_reduce: reduce_getset,
}


def leaf(function: FunctionType) -> Leaf | None:
    """Return what makes a function by value that leads only to strings, numbers and modules.

    That is: what follows from its code; its global variables, name and default values; what is in
    the cells of its closure; what is set afterwards. None if it leads to anything else. This is
    what `reduce_function` says, for a function whose pickle can be written without asking for it.
    """
    if (
        (function.__module__ != "__main__" and "<locals>" not in function.__qualname__)
        or function.__dict__
        or by_value_modules
    ):
        return None
    facts = _facts(function.__code__)
    module, defaults, closure = function.__globals__, function.__defaults__, function.__closure__
    if not facts.head or (defaults and not PLAIN.issuperset(map(type, defaults))):
        return None
    base: dict[str, Any] = {}
    for name in _ABOUT_MODULE:
        if name in module:
            value = base[name] = module[name]
            if value is not None and type(value) is not str:
                return None
    modules = []
    for name in facts.globals:
        if name in module:
            value = base[name] = module[name]
            if type(value) is ModuleType and sys.modules.get(value.__name__) is value:
                modules.append(value)
            elif type(value) not in PLAIN:
                return None
    cells = None
    if closure is not None:
        try:
            cells = tuple([cell.cell_contents for cell in closure])
        except ValueError:  # one is empty
            return None
        if not PLAIN.issuperset(map(type, cells)):
            return None
    reached = _submodules(facts.names, modules) if modules else None
    arguments = base, None if function.__name__ == facts.name else function.__name__, defaults
    more = _differences(function, facts, base)
    if not more and not reached:
        return facts, arguments, cells, None
    if "__type_params__" in more or find_otherwise(function) is not None:
        return None
    for values in (more.get("__annotations__"), more.get("__kwdefaults__")):
        for value in values.values() if values else ():
            if type(value) not in PLAIN and not (type(value) is type and is_importable(value)):
                return None
    more.update(__globals__={}, __closure__=None, _cloudpickle_submodules=reached or [])
    return facts, arguments, cells, ({}, more)


#: What `leaf` returns.
Leaf = tuple[_Code, tuple[Any, Any, Any], tuple[Any, ...] | None, tuple[Any, Any] | None]


def write(head: bytes, arguments: bytes, cells: list[bytes] | None, state: bytes) -> bytes:
    """Return the pickle of a leaf, put together of opcodes that push its parts on the stack.

    Parameters
    ----------
    head
        What follows from its code.
    arguments, cells
        Push its arguments, and what is in each cell, without the memo.
    state
        Push what is set afterwards; the function has the index 0 in the memo.
    """
    data = head + arguments
    if cells is None:
        data += pickle.NONE
    else:
        made = [_MAKE_CELL + value + pickle.TUPLE1 + pickle.REDUCE for value in cells]
        data += pickle.MARK + b"".join(made) + pickle.TUPLE
    data += pickle.TUPLE + pickle.REDUCE
    if state:
        data += pickle.MEMOIZE + _SET_STATE + pickle.BINGET + b"\x00" + state
        data += pickle.TUPLE2 + pickle.REDUCE + pickle.POP
    return data + pickle.STOP


def reduce_function(function: FunctionType, shared: dict[int, dict[str, Any]]) -> Any:
    """Reduce a function by value; return `NotImplemented` if it can be imported elsewhere.

    Parameters
    ----------
    function
        The function.
    shared
        From the ``id`` of a module's variables to what its functions share of them elsewhere:
        ``globals_ref`` of cloudpickle's pickler.
    """
    if (
        function.__module__ != "__main__"
        and "<locals>" not in function.__qualname__
        and (is_importable(function) or cloudpickle._should_pickle_by_reference(function))
    ):
        return NotImplemented
    known = find_otherwise(function)
    if known is not None:
        return known
    code = function.__code__
    facts = _facts(code)
    module = function.__globals__
    first = id(module) not in shared
    if first:
        shared[id(module)] = {name: module[name] for name in _ABOUT_MODULE if name in module}
    base = shared[id(module)]
    cells = function.__closure__
    defaults = function.__defaults__
    if (
        cells is defaults is None
        and not facts.globals
        and not function.__dict__
        and function.__name__ == facts.name
        and not _differences(function, facts, base)
    ):
        return make_function, (code, base, None, None, None)
    used = {name: module[name] for name in facts.globals if name in module}
    reached = _submodules(facts.names, used.values()) if used else []
    if first:
        for name, value in used.items():
            if type(value) in _SAFE:
                base[name] = value
    left = {name: value for name, value in used.items() if base.get(name, base) is not value}
    values = () if cells is None else tuple(map(cloudpickle._get_cell_contents, cells))
    # What cannot lead back to the function is given when it is made, the rest when it is there.
    # A cell can, but is known before its content is: functions that share it go on to do so.
    given_defaults = defaults if defaults and ATOMS.issuperset(map(type, defaults)) else None
    more = _differences(function, facts, base)
    if defaults is not given_defaults:
        more["__defaults__"] = defaults
    name = None if function.__name__ == facts.name else function.__name__
    args = (code, base, name, given_defaults, cells)
    reached += _submodules(facts.names, values)
    if not left and not more and not reached and not function.__dict__:
        return make_function, args
    more["__globals__"] = left
    more["__closure__"] = None
    more["_cloudpickle_submodules"] = reached
    # Attributes have copies of their names: whether a name is interned must not be seen in bytes.
    attributes = {"".join(name): value for name, value in function.__dict__.items()}
    return (
        make_function, args, (attributes, more), None, None, cloudpickle._function_setstate,
    )  # fmt: skip


def is_importable(obj: Any) -> bool:
    """Tell whether ``obj`` is found at once where it says that it is; the usual case."""
    if by_value_modules:
        return False
    module = sys.modules.get(obj.__module__) if type(obj.__module__) is str else None
    return getattr(module, "__dict__", _NO_NAMES).get(obj.__qualname__) is obj


def find_otherwise(obj: Any) -> tuple[Any, ...] | None:
    """Reduce what the standard library has by another name than it says, to that name.

    The twins in Python of modules in C, such as ``_pydecimal``, say that they are those.
    """
    said = obj.__module__
    if type(said) is not str or said.partition(".")[0] not in sys.stdlib_module_names:
        return None
    for name in (said, f"_py{said}", f"{said}._{said}"):
        for attribute, value in list(getattr(sys.modules.get(name), "__dict__", _NO_NAMES).items()):
            if value is obj:
                return getattr, (Call(cloudpickle.subimport, name), attribute)
    return None


def _differences(function: FunctionType, facts: _Code, base: dict[str, Any]) -> dict[str, Any]:
    """Return what must be said about a function, as its code does not."""
    more: dict[str, Any] = {}
    if function.__qualname__ != facts.qualname:
        more["__qualname__"] = "".join(function.__qualname__)
    if function.__doc__ != facts.doc:
        more["__doc__"] = function.__doc__
    if function.__module__ != base.get("__name__"):
        more["__module__"] = function.__module__
    if function.__kwdefaults__ is not None:
        more["__kwdefaults__"] = function.__kwdefaults__
    if _HAVE_TYPE_PARAMS and function.__type_params__:  # type: ignore[attr-defined]
        more["__type_params__"] = function.__type_params__  # type: ignore[attr-defined]
    if function.__annotations__:
        more["__annotations__"] = function.__annotations__
    return more


_HAVE_TYPE_PARAMS = hasattr(FunctionType, "__type_params__")  # new in Python 3.12


def _submodules(names: tuple[str, ...], values: Iterable[Any]) -> list[ModuleType]:
    """Return the submodules that code reaches through the packages that it refers to.

    As `cloudpickle._find_imported_submodules`, which goes through all of `sys.modules` instead.
    """
    found: list[ModuleType] = []
    for value in values:
        if isinstance(value, ModuleType) and getattr(value, "__package__", None):
            parents = [value.__name__]
            while parents:
                parent = parents.pop()
                for name in names:
                    module = sys.modules.get(f"{parent}.{name}")
                    if module is not None:
                        found.append(module)
                        parents.append(f"{parent}.{name}")
    return found


def _self_test() -> bool:
    """Tell whether cloudpickle makes functions of what is given to it here."""
    number = 1
    add: Any = lambda x=2: x + number + (sys is None)  # noqa: E731
    times: Any = lambda n: n * times(n - 1) if n else 1  # noqa: E731
    try:
        made = []
        for function in (add, times):
            make, args, *rest = reduce_function(function, {})
            load, data = reduce_code(args[0])
            made.append(make(load(*data), *args[1:]))
            if rest:
                rest[-1](made[-1], rest[0])
        return made[0](3) == 4 and made[0]() == 3 and made[1](4) == 24  # type: ignore[no-any-return]
    except Exception:
        return False


#: Whether this module may be used with the cloudpickle that is installed.
USABLE = _self_test()
if not USABLE:
    BETTER.clear()
