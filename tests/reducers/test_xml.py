"""Parsers at work are refused."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any
from xml.parsers import expat

import daskpickle
from daskpickle.testing import ReducerContract


class Own(ElementTree.TreeBuilder):
    """A subclass."""


def pulled() -> Any:
    parser = ElementTree.XMLPullParser()
    parser.feed("<a><b>")
    return parser


class TestParsers(ReducerContract):
    def refused(self) -> list[Any]:
        kinds = ElementTree.XMLParser, ElementTree.TreeBuilder, Own, expat.ParserCreate, pulled
        return [(make, "place in the text") for make in kinds]


class TestElementIterator(ReducerContract):
    def refused(self) -> list[Any]:
        return [(ElementTree.Element("a").iter, "place in the tree")]


def test_an_element_travels_by_itself() -> None:
    """With its children, text and tail."""
    text = "<a x='1'>b<c />d</a>"
    received = daskpickle.loads(daskpickle.dumps(ElementTree.fromstring(text)))
    assert ElementTree.tostring(received, "unicode").replace('"', "'") == text
