"""Small things: hashes, compressors, numbers, times, mocks, and what else is written in C."""

from __future__ import annotations

import _random
import array
import asyncio
import bz2
import calendar
import cProfile
import datetime
import decimal
import doctest
import enum
import fractions
import graphlib
import hashlib
import hmac
import importlib.machinery
import importlib.metadata
import importlib.resources
import importlib.util
import ipaddress
import lzma
import numbers
import pickle
import pstats
import random
import secrets
import socket
import statistics
import struct
import time
import tracemalloc
import types
import unicodedata
import unittest
import uuid
import warnings
import zipimport
import zlib
import zoneinfo
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from corpus import Case
from corpus.text import equal, so

own: Any = getattr(hashlib, "__get_builtin_constructor")


def unfed(name: str, make: Callable[[], Any]) -> list[Case]:
    """A hash that has not been fed hashes; one that has been is refused."""

    def digest(obj: Any) -> bytes:
        obj.update(b"data")
        return obj.digest(9) if "shake" in obj.name else obj.digest()

    def check(received: Any) -> None:
        assert received.name == make().name
        assert digest(received) == digest(make())

    def fed(stack: ExitStack) -> Any:
        obj = make()
        obj.update(b"1")
        return obj

    return [
        Case(f"hash.{name}", lambda stack: make(), check),
        Case(f"hash.{name}.fed", fed, refused="it was fed"),
    ]


def inflating(stack: ExitStack) -> Any:
    made = zlib.decompressobj()
    made.decompress(zlib.compress(b"data")[:5])
    return made


def check_context(received: Any) -> None:
    assert (received.prec, received.rounding, received.Emax) == (7, decimal.ROUND_UP, 99)
    assert received.flags[decimal.Inexact]
    assert received.traps[decimal.DivisionByZero]
    assert str(received.divide(decimal.Decimal(1), decimal.Decimal(3))) == "0.3333334"


def context(stack: ExitStack) -> Any:
    made = decimal.Context(7, decimal.ROUND_UP, -99, 99, traps=[decimal.DivisionByZero])
    made.divide(decimal.Decimal(1), decimal.Decimal(3))
    return made


def generators(make: Callable[[], Any]) -> tuple[Callable[[ExitStack], Any], Callable[[Any], None]]:
    """A random generator goes on with the same numbers."""

    def moved(stack: ExitStack | None = None) -> Any:
        source = make()
        source.random()
        return source

    def check(received: Any) -> None:
        assert received.random() == moved().random()

    return moved, check


class Dice(random.Random):
    """A subclass with an attribute."""

    def roll(self) -> int:
        return self.randint(1, 6)


class SystemDice(random.SystemRandom):
    sides = 6

    def roll(self) -> int:
        return self.randint(1, self.sides)


def system_dice(stack: ExitStack) -> Any:
    made = SystemDice()
    made.sides = 1
    return made


class Header(struct.Struct):
    """A subclass with an attribute."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self.label = "header"


def check_header(received: Any) -> None:
    assert received.pack(1, 2) == b"\x01\x00\x02\x00"
    assert received.label == "header"


def check_sorter(received: Any) -> None:
    assert received.get_ready() == ("b",)
    received.done("b")
    assert received.get_ready() == ("c",)


def sorter(stack: ExitStack) -> Any:
    made = graphlib.TopologicalSorter({"c": {"b"}, "b": {"a"}})
    made.prepare()
    assert made.get_ready() == ("a",)
    made.done("a")
    return made


def check_zone(received: Any) -> None:
    here = datetime.datetime(2020, 7, 1, tzinfo=received)
    assert here.utcoffset() == datetime.timedelta(hours=2)


def zone_of_file(stack: ExitStack) -> Any:
    with Path("/usr/share/zoneinfo/Europe/Berlin").open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file)


def check_mock(received: Any) -> None:
    received.assert_called_once_with(1, b=2)
    assert received() == 3
    assert received.child.x.call_args == mock.call(5)


def used_mock(stack: ExitStack) -> Any:
    made = mock.Mock(return_value=3)
    made(1, b=2)
    made.child.x(5)
    return made


class Spec:
    """What a mock stands for."""

    def double(self, number: int) -> int:
        return 2 * number


def specified(stack: ExitStack) -> Any:
    made = mock.MagicMock(spec=Spec)
    made.double.return_value = 7
    made.double(1)
    return made


def check_specified(received: Any) -> None:
    assert isinstance(received, Spec)
    assert received.double(1) == 7
    assert received.double.mock_calls == [mock.call(1), mock.call(1)]
    assert not hasattr(received, "other")


def check_autospec(received: Any) -> None:
    made = received()
    assert isinstance(made, Spec)
    made.double(1)
    try:
        made.double(1, 2)
    except TypeError:
        return
    raise AssertionError


def check_async_mock(received: Any) -> None:
    assert asyncio.run(received(1)) == 4


class Sums(unittest.TestCase):
    def test_sum(self) -> None:
        assert 1 + 1 == 2


class AsyncSums(unittest.IsolatedAsyncioTestCase):
    async def test_sum(self) -> None:
        assert 1 + 1 == 2


def check_suite(received: Any) -> None:
    result = unittest.TestResult()
    received.run(result)
    assert (result.testsRun, result.wasSuccessful()) == (1, True)


def check_warnings(received: Any) -> None:
    with received as caught:
        warnings.warn("w", stacklevel=1)
    assert len(caught) == 1


def profile(stack: ExitStack) -> Any:
    made = cProfile.Profile()
    made.enable()
    made.disable()
    return made


def statistics_of_profile(stack: ExitStack) -> Any:
    return pstats.Stats(profile(stack))


def snapshot(stack: ExitStack) -> Any:
    tracemalloc.start()
    try:
        return tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()


def check_spec(received: Any) -> None:
    module = importlib.util.module_from_spec(received)
    received.loader.exec_module(module)
    assert module.loads("1") == 1


class Color(enum.Flag):
    RED = 1
    BLUE = 2


def capsule(name: str, holder: Any) -> Case:
    return Case(
        f"capsule.{name}",
        lambda stack: getattr(holder, name),
        so(lambda r: r is getattr(holder, name)),
    )


DEFAULTS = {"md5", "sha256", "sha3_256", "shake_128", "blake2b", "blake2s"}

CASES = [
    *(case for name in sorted(DEFAULTS) for case in unfed(name, lambda n=name: hashlib.new(n))),  # type: ignore[misc]
    *(case for name in sorted(DEFAULTS) for case in unfed(f"own.{name}", lambda n=name: own(n)())),  # type: ignore[misc]
    *unfed("direct", hashlib.sha1),
    Case("hash.keyed", lambda stack: hashlib.blake2b(key=b"k"), refused="has a key"),
    Case("hash.sized", lambda stack: hashlib.blake2b(digest_size=9), refused="size of its own"),
    Case("hash.hmac", lambda stack: hmac.new(b"k", b"", "sha256"), refused="secret"),
    Case(
        "hash.function", lambda stack: hashlib.sha256, so(lambda r: r(b"").hexdigest()[:2] == "e3")
    ),
    Case("zlib.compress", lambda stack: zlib.compressobj(), refused="cannot leave"),
    Case("zlib.decompress", inflating, refused="cannot leave"),
    Case("bz2.compressor", lambda stack: bz2.BZ2Compressor(), refused="cannot leave"),
    Case("bz2.decompressor", lambda stack: bz2.BZ2Decompressor(), refused="cannot leave"),
    Case("lzma.compressor", lambda stack: lzma.LZMACompressor(), refused="cannot leave"),
    Case("lzma.decompressor", lambda stack: lzma.LZMADecompressor(), refused="cannot leave"),
    Case(
        "struct", lambda stack: struct.Struct("<hh"), so(lambda r: r.unpack(b"\1\0\2\0") == (1, 2))
    ),
    Case("struct.subclass", lambda stack: Header("<hh"), check_header),
    Case("struct.bound", lambda stack: struct.Struct("<h").pack, so(lambda r: r(1) == b"\1\0")),
    equal("array", lambda: array.array("d", [1.5, 2])),
    Case("random.random", *generators(lambda: random.Random(4))),
    Case("random.subclass", *generators(lambda: Dice(4))),
    Case("random.c", *generators(lambda: _random.Random(4))),
    Case("random.system", lambda stack: random.SystemRandom(), so(lambda r: 0 <= r.random() < 1)),
    Case("random.system.subclass", system_dice, so(lambda r: r.roll() == 1)),
    Case("random.bound", lambda stack: random.Random(1).random, so(lambda r: 0 <= r() < 1)),
    Case("secrets.choice", lambda stack: secrets.choice, so(lambda r: r([1]) == 1)),
    Case("decimal.context", context, check_context),
    Case("decimal.current", lambda stack: decimal.getcontext(), so(lambda r: r.prec == 28)),
    Case("decimal.localcontext", lambda stack: decimal.localcontext(), refused="this thread"),
    equal("decimal", lambda: decimal.Decimal("1.10")),
    equal("decimal.nan", lambda: [str(decimal.Decimal("sNaN123"))]),
    equal("fraction", lambda: fractions.Fraction(1, 3)),
    equal("statistics", lambda: statistics.NormalDist(1, 2)),
    equal("datetime", lambda: datetime.datetime(2020, 1, 1, fold=1, tzinfo=datetime.timezone.utc)),
    equal("timezone", lambda: datetime.timezone(datetime.timedelta(hours=1), "x")),
    Case("zoneinfo", lambda stack: zoneinfo.ZoneInfo("Europe/Berlin"), check_zone),
    Case(
        "zoneinfo.no_cache", lambda stack: zoneinfo.ZoneInfo.no_cache("Europe/Berlin"), check_zone
    ),
    Case("zoneinfo.from_file", zone_of_file, refused="from a file stream"),
    equal("time.struct", lambda: time.gmtime(0)),
    Case(
        "calendar",
        lambda stack: calendar.TextCalendar(6),
        so(lambda r: "Su Mo" in r.formatweekheader(2)),
    ),
    equal("uuid", lambda: uuid.UUID(int=4)),
    equal("ipaddress", lambda: ipaddress.ip_network("10.0.0.0/30")),
    equal("ipaddress.interface", lambda: ipaddress.ip_interface("10.0.0.1/30")),
    equal("enum.flag", lambda: Color.RED | Color.BLUE),
    equal("namespace", lambda: types.SimpleNamespace(a=[1])),
    Case("graphlib", sorter, check_sorter),
    Case("numbers", lambda stack: numbers.Real, so(lambda r: isinstance(1.5, r))),
    Case(
        "unicodedata.ucd",
        lambda stack: unicodedata.ucd_3_2_0,
        so(lambda r: r.unidata_version == "3.2.0"),
    ),
    capsule("datetime_CAPI", datetime),
    capsule("CAPI", socket),
    capsule("_ucnhash_CAPI", unicodedata),
    Case("import.spec", lambda stack: importlib.util.find_spec("json"), check_spec),
    Case(
        "import.loader",
        lambda stack: importlib.util.find_spec("json").loader,
        so(lambda r: r.get_source("json")),
    ),  # type: ignore[union-attr]
    Case(
        "import.finder",
        lambda stack: importlib.machinery.PathFinder(),
        so(lambda r: r.find_spec("json")),
    ),
    Case("import.zip", lambda stack: zipimport, so(lambda r: r.zipimporter)),
    Case(
        "import.distribution",
        lambda stack: importlib.metadata.distribution("cloudpickle"),
        so(lambda r: r.version),
    ),
    Case(
        "import.metadata",
        lambda stack: importlib.metadata.metadata("cloudpickle"),
        so(lambda r: r["Name"] == "cloudpickle"),
    ),
    Case(
        "import.entry_points",
        lambda stack: importlib.metadata.entry_points(),
        so(lambda r: list(r) is not None),
    ),
    Case(
        "import.entry_point",
        lambda stack: importlib.metadata.EntryPoint("n", "json:loads", "g"),
        so(lambda r: r.load()("1") == 1),
    ),
    Case(
        "import.resources",
        lambda stack: importlib.resources.files("email"),
        so(lambda r: r.joinpath("parser.py").is_file()),
    ),
    Case("mock", used_mock, check_mock),
    Case("mock.spec", specified, check_specified),
    Case("mock.autospec", lambda stack: mock.create_autospec(Spec), check_autospec),
    Case("mock.async", lambda stack: mock.AsyncMock(return_value=4), check_async_mock),
    Case("mock.magic", lambda stack: mock.MagicMock(), so(lambda r: (len(r), int(r)) == (0, 1))),
    Case("mock.property", lambda stack: mock.PropertyMock(return_value=1), so(lambda r: r() == 1)),
    # Dask hashes arguments, and a call has no hash.
    replace(equal("mock.call", lambda: mock.call(1, b=2)), routes="closure data"),
    replace(equal("mock.call.chain", lambda: mock.call.a.b(2)), routes="closure data"),
    Case("mock.sentinel", lambda stack: mock.sentinel.x, so(lambda r: r is mock.sentinel.x)),
    Case("mock.any", lambda stack: mock.ANY, so(lambda r: r == 5)),
    Case(
        "mock.open",
        lambda stack: mock.mock_open(read_data="x"),
        refused="place inside its function",
    ),
    Case("unittest.case", lambda stack: Sums("test_sum"), check_suite),
    Case("unittest.async", lambda stack: AsyncSums("test_sum"), check_suite),
    Case("unittest.suite", lambda stack: unittest.TestSuite([Sums("test_sum")]), check_suite),
    Case("unittest.result", lambda stack: unittest.TestResult(), so(lambda r: r.wasSuccessful())),
    Case(
        "doctest.finder",
        lambda stack: doctest.DocTestFinder(),
        so(lambda r: len(r.find(Spec)) == 1),
    ),
    Case("warnings.catch", lambda stack: warnings.catch_warnings(record=True), check_warnings),
    Case("profile", profile, refused="tied to this process"),
    Case("profile.stats", statistics_of_profile, so(lambda r: r.total_tt >= 0)),
    Case("tracemalloc", snapshot, so(lambda r: r.statistics("lineno") is not None)),
    Case(
        "pickle.pickler",
        lambda stack: pickle.Pickler(types.SimpleNamespace(write=len)),
        refused="tied to",
    ),  # type: ignore[arg-type]
]
