"""A hash that was not fed travels; one that was does not."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract

own: Any = getattr(hashlib, "__get_builtin_constructor")


def fed(make: Any) -> Any:
    obj = make()
    obj.update(b"1")
    return obj


class HashContract(ReducerContract):
    make_new: Any

    def make(self) -> Any:
        return type(self).make_new()

    def same(self, sent: Any, received: Any) -> bool:
        assert type(received) is type(sent)
        assert received is not sent
        received.update(b"1")
        sent.update(b"1")
        length = (9,) if "shake" in sent.name else ()
        return bool(received.digest(*length) == sent.digest(*length))

    def refused(self) -> list[Any]:
        return [(lambda: fed(type(self).make_new), "it was fed")]

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.block_size


class TestOpenSSL(HashContract):
    make_new = staticmethod(hashlib.sha256)


class TestExtensible(HashContract):
    make_new = staticmethod(hashlib.shake_128)


class TestOwn(HashContract):
    make_new = staticmethod(own("md5"))


class TestBlake(HashContract):
    make_new = staticmethod(hashlib.blake2b)

    def refused(self) -> list[Any]:
        return [
            (lambda: hashlib.blake2b(key=b"secret"), "has a key"),
            (lambda: hashlib.blake2b(digest_size=9), "size of its own"),
            (lambda: hashlib.blake2b(salt=b"salt"), "cannot leave the process"),
        ]


class TestHMAC(ReducerContract):
    def refused(self) -> list[Any]:
        made = lambda: hmac.new(b"key", b"", "sha256")
        return [(made, "key is a secret"), (lambda: made()._hmac, "key is a secret")]


@pytest.mark.parametrize("name", sorted(hashlib.algorithms_guaranteed))
@pytest.mark.parametrize("find", [lambda name: lambda: hashlib.new(name), own], ids=["new", "own"])
def test_all_kinds_travel_as_new(name: str, find: Any) -> None:
    """Those of OpenSSL and Python's own."""
    make = find(name)
    received = daskpickle.loads(daskpickle.dumps(make()))
    assert type(received) is type(make())
    assert received.name == make().name
    with pytest.raises(daskpickle.errors.RefusedError, match="it was fed"):
        daskpickle.dumps(fed(make))
