"""A capsule travels as the name that its module has for it."""

from __future__ import annotations

import ctypes
import datetime
import socket
import unicodedata
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract

OFFERED: list[Any] = [
    datetime.datetime_CAPI,  # type: ignore[attr-defined]
    socket.CAPI,  # type: ignore[attr-defined]
    unicodedata._ucnhash_CAPI,  # type: ignore[attr-defined]
]


def capsule() -> Any:
    """Make one that no module offers."""
    make: Any = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
    )
    return make(1, b"datetime.no_such_name", None)


class TestCapsule(ReducerContract):
    def refused(self) -> list[Any]:
        return [(capsule, "pointer of this process")]


@pytest.mark.parametrize("offered", OFFERED, ids=lambda capsule: repr(capsule).split('"')[1])
def test_what_a_module_offers_arrives_as_its_own(offered: Any) -> None:
    """Whatever it is in the process where it arrives; no function of daskpickle is called."""
    data = daskpickle.dumps([offered])
    assert daskpickle.loads(data)[0] is offered
    assert b"daskpickle" not in data
