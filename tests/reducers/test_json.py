"""Decoders and encoders keep their hooks."""

from __future__ import annotations

import json
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract


class TestScanner(ReducerContract):
    def make(self) -> Any:
        hooks: Any = {"object_pairs_hook": list, "parse_int": str, "parse_constant": len}
        return json.JSONDecoder(strict=False, **hooks).scan_once  # type: ignore[attr-defined]

    def same(self, sent: Any, received: Any) -> None:
        text = '{"a": [1, 2.5, NaN], "b": "\t"}'
        assert received(text, 0) == sent(text, 0)
        assert received(text, 0)[0] == [("a", ["1", 2.5, 3]), ("b", "\t")]

    @staticmethod
    def use(received: Any) -> Any:
        return received('{"a": 1}', 0)


class TestEncoder(ReducerContract):
    allow_nan = True

    def make(self) -> Any:
        make: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]
        escape = json.encoder.encode_basestring_ascii
        return make(None, sorted, escape, None, ":", ",", True, False, self.allow_nan)

    def same(self, sent: Any, received: Any) -> None:
        assert "".join(received({"b": {2, 1}, "a": "\u00e4"}, 0)) == '{"a":"\\u00e4","b":[1,2]}'
        if self.allow_nan:
            assert "".join(received(float("nan"), 0)) == "NaN"
        else:
            with pytest.raises(ValueError, match="Out of range"):
                received(float("nan"), 0)

    @staticmethod
    def use(received: Any) -> Any:
        return "".join(received([1, {2}], 0))


class TestStrictEncoder(TestEncoder):
    allow_nan = False


def test_a_decoder_with_a_hook_of_ones_own_travels() -> None:
    """It pickles by itself, with its scanner."""
    decoder = json.JSONDecoder(object_hook=lambda found: sorted(found), parse_float=str)
    received = daskpickle.loads(daskpickle.dumps(decoder))
    assert received.decode('[{"b": 1, "a": 1.50}, 1.50]') == [["a", "b"], "1.50"]
    assert vars(received).keys() == vars(decoder).keys()
