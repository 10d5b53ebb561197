"""XML: parsers at work are refused; elements, trees and documents pickle by themselves.

Notes
-----
- Refused: the parsers and tree builders that are written in C, and iterators over elements. What
  they have read of an element, and where they are, cannot be read. Nor can whether they have begun.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any
from xml.parsers import expat

from daskpickle import register
from daskpickle.errors import RefusedError

HINT = "Pass the text, or the elements that it has made, and make it inside the task."


@register(ElementTree.XMLParser, action="refuse", refused="always", hint=HINT, subclasses=True)
@register(ElementTree.TreeBuilder, action="refuse", refused="always", hint=HINT, subclasses=True)
@register(ElementTree.XMLPullParser, action="refuse", refused="always", hint=HINT, subclasses=True)
@register(expat.XMLParserType, action="refuse", refused="always", hint=HINT)
def reduce_parser(parser: Any) -> Any:
    """Refuse: half an element is in it."""
    raise RefusedError(parser, "Its place in the text cannot be recorded.")


@register(
    type(ElementTree.Element("root").iter()),
    action="refuse",
    refused="always",
    hint="Pass a list of its elements.",
)
def reduce_element_iterator(iterator: Any) -> Any:
    """Refuse."""
    raise RefusedError(iterator, "Its place in the tree cannot be read.")
