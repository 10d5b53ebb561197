"""Text: regular expressions, CSV, JSON, XML, and the parsers of programs."""

from __future__ import annotations

import argparse
import ast
import cmd
import code
import configparser
import csv
import difflib
import dis
import doctest
import getopt
import gettext
import html.parser
import io
import json
import optparse
import pdb
import pprint
import re
import reprlib
import shlex
import string
import symtable
import sys
import tempfile
import textwrap
import tokenize
import urllib.parse
import xml.dom.minidom
import xml.dom.pulldom
import xml.etree.ElementTree as ElementTree
import xml.sax
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.parsers import expat

from corpus import Case

Lexer: Any = re.Scanner  # type: ignore[attr-defined]
parser: Any = getattr(re, "_parser", None) or re.sre_parse  # type: ignore[attr-defined]
XML = "<root a='1'><b>text</b>tail<b/></root>"


def equal(name: str, make: Callable[[], Any]) -> Case:
    """What arrives is equal to what it would be here."""

    def check(received: Any) -> None:
        assert received == make(), received

    return Case(name, lambda stack: make(), check)


def so(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A check of what arrives by an expression."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


def facts(match: Any) -> Any:
    """All that a match says."""
    return (
        match.group(), match.groups(), match.groupdict(), match.regs, match.span(), match.pos,
        match.endpos, match.string, match.re, match.lastindex, match.lastgroup, match[0],
        match.expand(r"\g<0>!") if isinstance(match.string, str) else match.expand(rb"\g<0>!"),
    )  # fmt: skip


def matches(name: str, make: Callable[[], Any]) -> Case:
    """A match says the same."""

    def check(received: Any) -> None:
        assert facts(received) == facts(make())

    return Case(f"re.match.{name}", lambda stack: make(), check)


def in_sub(pattern: str, text: str) -> Any:
    """The second match that the function given to ``sub`` gets."""
    found: list[Any] = []
    re.sub(pattern, lambda match: found.append(match) or "", text)
    return found[1]


def far(stack: ExitStack) -> Any:
    return list(re.finditer(r"\b(\w)\b", "a b " * 300))[500]


def check_far(received: Any) -> None:
    assert (received.span(), received.group(1), received.endpos) == ((1000, 1001), "a", 1200)


def changed(stack: ExitStack) -> Any:
    text = bytearray(b"abc")
    match = re.search(b"b", text)
    text[1] = 0
    return match


def lexer(stack: ExitStack) -> Any:
    made = Lexer([(r"\d+", lambda self, text: int(text)), (r"[a-z]+", say), (r"\s+", None)], re.I)
    made.scan("1 a")
    return made


def say(self: Any, text: str) -> str:
    return f"<{text}>"


def check_lexer(received: Any) -> None:
    assert received.scan("12 AB ?") == ([12, "<AB>"], "?")


def check_constant(received: Any) -> None:
    assert received is parser.MAXREPEAT


# --- CSV


def reader(stack: ExitStack) -> Any:
    made = csv.reader(iter(["a;b", "'c", "d';e", "f;g"]), delimiter=";", quotechar="'")
    next(made)
    return made


def check_reader(received: Any) -> None:
    assert received.line_num == 1
    assert received.dialect.delimiter == ";"
    assert next(received) == ["c" + "d", "e"]
    assert received.line_num == 3
    assert list(received) == [["f", "g"]]


def reader_of_memory(stack: ExitStack) -> Any:
    source = io.StringIO("a,b\n1,2\n3,4\n")
    made = csv.reader(source)
    next(made)
    return made


def check_reader_of_memory(received: Any) -> None:
    assert list(received) == [["1", "2"], ["3", "4"]]


def reader_of_file(stack: ExitStack) -> Any:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = Path(folder, "rows.csv")
    path.write_text("a,b\n1,2\n3,4\n")
    return csv.reader(stack.enter_context(path.open(newline="")))


def check_reader_of_file(received: Any) -> None:
    assert list(received) == [["a", "b"], ["1", "2"], ["3", "4"]]


def dict_reader(stack: ExitStack) -> Any:
    made = csv.DictReader(["a,b", "1,2", "3,4,5", "6"], restkey="more", restval="-")
    next(made)
    return made


def check_dict_reader(received: Any) -> None:
    assert received.fieldnames == ["a", "b"]
    assert received.line_num == 2
    assert list(received) == [{"a": "3", "b": "4", "more": ["5"]}, {"a": "6", "b": "-"}]


def writer(stack: ExitStack) -> Any:
    target = io.StringIO()
    made = csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n")
    made.writerow([1, "x"])
    return {"writer": made, "target": target}


def check_writer(received: Any) -> None:
    received["writer"].writerow([2, "y"])
    assert received["target"].getvalue() == '"1","x"\n"2","y"\n'


def check_dict_writer(received: Any) -> None:
    assert received.writerow({"a": 1, "b": 2}) == 5
    try:
        received.writerow({"c": 1})
    except ValueError:
        return
    raise AssertionError


def csv_to_file(stack: ExitStack) -> Any:
    return csv.writer(stack.enter_context(tempfile.TemporaryFile("w")))


# --- JSON


def check_decoder(received: Any) -> None:
    assert received.decode('{"a": {"b": 1.5}, "c": NaN}') == [("a", [("b", "1.5")]), ("c", None)]


def check_plain_decoder(received: Any) -> None:
    assert received.decode(' {"a": [1, 2.5, "\\u00e4", null]} ') == {"a": [1, 2.5, "\u00e4", None]}
    assert received.raw_decode("[1] x") == ([1], 3)


def check_strict(received: Any) -> None:
    assert received.decode('"\t"') == "\t"


def check_encoder(received: Any) -> None:
    assert received.encode({"b": {1}, "a": 2}) == '{"a": 2, "b": [1]}'


def check_scanner(received: Any) -> None:
    assert received("[1, 2]", 0) == ([1, 2], 6)


def c_encoder(stack: ExitStack) -> Any:
    make: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    escape = json.encoder.encode_basestring_ascii
    return make(None, list, escape, None, ":", ",", True, False, False)


def check_c_encoder(received: Any) -> None:
    assert "".join(received({"b": {1}, "a": 2}, 0)) == '{"a":2,"b":[1]}'
    try:
        received(float("inf"), 0)
    except ValueError:
        return
    raise AssertionError("It lets through what is no JSON.")


# --- XML


def check_element(received: Any) -> None:
    assert received.get("a") == "1"
    assert [child.tail for child in received] == ["tail", None]
    assert ElementTree.tostring(received, "unicode").startswith("<root")


def check_tree(received: Any) -> None:
    assert received.getroot().find("b").text == "text"


def check_document(received: Any) -> None:
    assert received.documentElement.getAttribute("a") == "1"
    assert len(received.getElementsByTagName("b")) == 2


def pull_parser(stack: ExitStack) -> Any:
    made = ElementTree.XMLPullParser(["start"])
    made.feed("<root>")
    return made


def check_sax(received: Any) -> None:
    found: list[str] = []
    handler = xml.sax.handler.ContentHandler()
    handler.startElement = lambda name, attrs: found.append(name)  # type: ignore[method-assign]
    received.setContentHandler(handler)
    received.parse(io.StringIO(XML))
    assert found == ["root", "b", "b"]


class Texts(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def half_html(stack: ExitStack) -> Any:
    made = Texts()
    made.feed("<p>one<b")
    return made


def check_html(received: Any) -> None:
    received.feed(">two</b>")
    received.close()
    assert received.found == ["one", "two"]


# --- Parsers of programs


def arguments(stack: ExitStack) -> Any:
    made = argparse.ArgumentParser("prog")
    made.add_argument("--number", type=lambda text: int(text) + 1, default=0)
    commands = made.add_subparsers(dest="command")
    commands.add_parser("go").add_argument("where", choices=["here", "there"])
    return made


def check_arguments(received: Any) -> None:
    found = received.parse_args(["--number", "4", "go", "here"])
    assert (found.number, found.command, found.where) == (5, "go", "here")


def options(stack: ExitStack) -> Any:
    made = optparse.OptionParser()
    made.add_option("-n", type="int", dest="n")
    return made


def check_options(received: Any) -> None:
    found, rest = received.parse_args(["-n", "4", "x"])
    assert (found.n, rest) == (4, ["x"])


def config(kind: Any) -> Callable[[ExitStack], Any]:
    def make(stack: ExitStack) -> Any:
        made = kind(default_section="all")
        made.read_string("[all]\nx=1\n[a]\ny=2\n")
        return made

    return make


def check_config(received: Any) -> None:
    assert received["a"]["x"] == "1"
    assert received.getint("a", "y") == 2
    received["a"]["z"] = "3"
    text = io.StringIO()
    received.write(text)
    assert "z = 3" in text.getvalue()


def half_shlex(stack: ExitStack) -> Any:
    made = shlex.shlex("one 'two three' four", posix=True)
    assert made.get_token() == "one"
    return made


def check_shlex(received: Any) -> None:
    assert list(received) == ["two three", "four"]


class Shell(cmd.Cmd):
    prompt = "> "

    def do_say(self, line: str) -> None:
        self.said = line


def shell(stack: ExitStack) -> Any:
    return Shell(stdin=io.StringIO("say it\n"), stdout=io.StringIO())


def check_shell(received: Any) -> None:
    received.use_rawinput = False
    received.onecmd("say hello")
    assert received.said == "hello"


def interpreter(stack: ExitStack) -> Any:
    return code.InteractiveInterpreter({"x": 4, "out": []})


def check_interpreter(received: Any) -> None:
    received.runsource("out.append(x + 1)")
    assert received.locals["out"] == [5]


def console(stack: ExitStack) -> Any:
    made = code.InteractiveConsole({"out": []})
    made.push("for n in (1, 2):")
    return made


def check_console(received: Any) -> None:
    received.push("  out.append(n)")
    received.push("")
    assert received.locals["out"] == [1, 2]


def check_template(received: Any) -> None:
    assert received.substitute(x=1) == "1 $"


class Percent(string.Template):
    delimiter = "%"


def check_percent(received: Any) -> None:
    assert received.substitute(x=1) == "1"


def check_matcher(received: Any) -> None:
    assert received.ratio() == 0.75
    assert received.get_opcodes()[0][0] == "equal"


def check_bytecode(received: Any) -> None:
    assert "RETURN_VALUE" in received.dis() or "RETURN" in received.dis()


def check_ast(received: Any) -> None:
    assert ast.unparse(received) == "x = 1 + y"


def check_printer(received: Any) -> None:
    assert received.pformat([["x" * 9] * 3] * 3).count("\n") > 3


def check_repr(received: Any) -> None:
    assert received.repr([1, 2, 3, 4]) == "[1, 2, ...]"


def short_repr(stack: ExitStack) -> Any:
    made = reprlib.Repr()
    made.maxlist = 2
    return made


def check_wrapper(received: Any) -> None:
    assert received.wrap("aa bb cc") == ["aa", "bb", "cc"]


def check_translations(received: Any) -> None:
    assert received.gettext("x") == "x"
    assert received.ngettext("one", "many", 2) == "many"


def doctests(stack: ExitStack) -> Any:
    return doctest.DocTestParser().get_doctest(">>> 1 + 1\n2\n", {}, "sum", None, None)


def check_doctests(received: Any) -> None:
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(received).failed == 0


def check_named(received: Any) -> None:
    assert received.search("key=1").groupdict() == {"key": "key"}


CASES = [
    Case("re.pattern", lambda stack: re.compile(r"(?P<key>\w+)=", re.I), check_named),
    equal("re.pattern.bytes", lambda: re.compile(rb"\w", re.A | re.X)),
    equal("re.flag", lambda: re.I | re.M),
    Case("re.bound", lambda stack: re.compile("b").search, lambda r: facts(r("abc"))),
    matches("match", lambda: re.match(r"(?P<x>a)(b)?", "ac")),
    matches("search", lambda: re.search(r"b(c)|d", "abcd")),
    matches("fullmatch", lambda: re.compile("a|ab").fullmatch("xabx", 1, 3)),
    matches("pos", lambda: re.compile(r"b").match("abcb", 1)),
    matches("pos.search", lambda: re.compile(r"^b", re.M).search("a\nb\nb", 3, 5)),
    matches("lookbehind", lambda: re.search(r"(?<=a)b", "xab")),
    matches("lookahead", lambda: re.search(r"a(?=b)", "aab")),
    matches("backreference", lambda: re.search(r"(\w)\1", "abccd")),
    matches("empty", lambda: re.search(r"x*", "abc")),
    matches("bytes", lambda: re.search(rb"(b)", b"abc")),
    matches("bytearray", lambda: re.search(rb"(b)", bytearray(b"abc"))),
    matches("iterated", lambda: list(re.finditer(r"\b\w", "a b c d"))[2]),
    matches("iterated.empty", lambda: list(re.finditer(r"x*", "axxb"))[2]),
    matches("sub", lambda: in_sub(r"\w(\w)", "abcdef")),
    matches("scanner", lambda: re.compile("a").scanner("ba a").search()),  # type: ignore[attr-defined]
    Case("re.match.far", far, check_far),
    Case("re.match.changed", changed, refused="string has changed"),
    Case("re.match.bound", lambda stack: re.search("b", "abc").start, so(lambda r: r() == 1)),  # type: ignore[union-attr]
    Case(
        "re.match.of_lexer",
        lambda stack: lexer(stack).scanner.scanner("1").match(),
        refused="has no string",
    ),
    Case("re.finditer", lambda stack: re.finditer("a", "aa"), refused="place inside its string"),
    Case(
        "re.scanner",
        lambda stack: re.compile("a").scanner("aa"),  # type: ignore[attr-defined]
        refused="place inside its string",
    ),
    Case("re.lexer", lexer, check_lexer),
    Case("re.constant", lambda stack: parser.MAXREPEAT, check_constant),
    Case("csv.reader", reader, check_reader),
    Case("csv.reader.memory", reader_of_memory, check_reader_of_memory),
    Case("csv.reader.file", reader_of_file, check_reader_of_file),
    Case("csv.dictreader", dict_reader, check_dict_reader),
    Case(
        "csv.reader.generator",
        lambda stack: csv.reader(line for line in "ab"),
        refused="place inside its function",
    ),
    Case("csv.writer", writer, check_writer),
    Case(
        "csv.dictwriter",
        lambda stack: csv.DictWriter(io.StringIO(), ["a", "b"]),
        check_dict_writer,
    ),
    Case("csv.writer.file", csv_to_file, refused="writing|no name|unnamed|deleted|temporary|file"),
    Case(
        "csv.dialect.c",
        lambda stack: csv.reader([], dialect="excel-tab", strict=True).dialect,
        so(lambda r: next(csv.reader(["a\tb"], r)) == ["a", "b"]),
    ),
    Case("csv.dialect", lambda stack: csv.excel_tab(), so(lambda r: r.delimiter == "\t")),
    Case("csv.sniffer", lambda stack: csv.Sniffer(), lambda r: r.sniff("a;b\nc;d").delimiter),
    Case(
        "json.decoder.hook",
        lambda stack: json.JSONDecoder(
            object_pairs_hook=list, parse_float=str, parse_constant=lambda name: None
        ),
        check_decoder,
    ),
    Case("json.decoder", lambda stack: json.JSONDecoder(), check_plain_decoder),
    Case("json.decoder.default", lambda stack: json._default_decoder, check_plain_decoder),  # type: ignore[attr-defined]
    Case("json.decoder.strict", lambda stack: json.JSONDecoder(strict=False), check_strict),
    Case(
        "json.encoder", lambda stack: json.JSONEncoder(sort_keys=True, default=list), check_encoder
    ),
    Case("json.c_scanner", lambda stack: json.JSONDecoder().scan_once, check_scanner),  # type: ignore[attr-defined]
    Case("json.c_encoder", c_encoder, check_c_encoder),
    Case("xml.element", lambda stack: ElementTree.fromstring(XML), check_element),
    Case("xml.tree", lambda stack: ElementTree.ElementTree(ElementTree.XML(XML)), check_tree),
    Case("xml.minidom", lambda stack: xml.dom.minidom.parseString(XML), check_document),
    Case("xml.sax", lambda stack: xml.sax.make_parser(), check_sax),
    Case("xml.treebuilder", lambda stack: ElementTree.TreeBuilder(), refused="place in the text"),
    Case("xml.parser", lambda stack: ElementTree.XMLParser(), refused="place in the text"),
    Case("xml.expat", lambda stack: expat.ParserCreate(), refused="place in the text"),
    Case("xml.pullparser", pull_parser, refused="place in the text"),
    Case("xml.iter", lambda stack: ElementTree.XML(XML).iter(), refused="place in the tree"),
    Case("xml.iterfind", lambda stack: ElementTree.XML(XML).iterfind("b"), refused="place"),
    Case(
        "xml.iterparse",
        lambda stack: ElementTree.iterparse(io.StringIO(XML)),
        refused="place in",
    ),
    Case("html.parser", half_html, check_html),
    Case("argparse.parser", arguments, check_arguments),
    equal("argparse.namespace", lambda: argparse.Namespace(x=1)),
    Case("optparse.parser", options, check_options),
    Case("configparser", config(configparser.ConfigParser), check_config),
    Case("configparser.raw", config(configparser.RawConfigParser), check_config),
    Case(
        "configparser.section",
        lambda stack: config(configparser.ConfigParser)(stack)["a"],
        so(lambda r: (r["y"], r.get("x"), r.getint("y")) == ("2", "1", 2)),
    ),
    Case("shlex", half_shlex, check_shlex),
    Case("cmd", shell, check_shell),
    Case("cmd.stdin", lambda stack: Shell(), so(lambda r: r.stdin is sys.stdin)),
    Case(
        "pdb",
        lambda stack: pdb.Pdb(),
        so(lambda r: r.prompt == "(Pdb) " and r.get_all_breaks() == {}),
    ),
    Case("shlex.stdin", lambda stack: shlex.shlex(), so(lambda r: r.instream is sys.stdin)),
    Case("code.interpreter", interpreter, check_interpreter),
    Case("code.console", console, check_console),
    Case("string.template", lambda stack: string.Template("$x $$"), check_template),
    Case("string.template.own", lambda stack: Percent("%x"), check_percent),
    Case("string.formatter", lambda stack: string.Formatter(), lambda r: r.format("{}", 1)),
    Case("difflib", lambda stack: difflib.SequenceMatcher(None, "abcd", "abce"), check_matcher),
    Case("difflib.differ", lambda stack: difflib.Differ(), lambda r: list(r.compare("a", "b"))),
    Case("difflib.html", lambda stack: difflib.HtmlDiff(), lambda r: r.make_table(["a"], ["b"])),
    Case("textwrap", lambda stack: textwrap.TextWrapper(2), check_wrapper),
    Case("dis.bytecode", lambda stack: dis.Bytecode("x = 1"), check_bytecode),
    Case("ast", lambda stack: ast.parse("x = 1 + y"), check_ast),
    Case(
        "tokenize",
        lambda stack: tokenize.generate_tokens(io.StringIO("x").readline),
        refused="place",
    ),
    equal("tokenize.token", lambda: next(tokenize.generate_tokens(io.StringIO("x").readline))),
    Case("symtable", lambda stack: symtable.symtable("x", "x", "exec"), refused="tied to this"),
    Case("pprint", lambda stack: pprint.PrettyPrinter(width=10), check_printer),
    Case("reprlib", short_repr, check_repr),
    Case("gettext", lambda stack: gettext.NullTranslations(), check_translations),
    equal("getopt", lambda: getopt.getopt(["-x", "y"], "x")),
    equal("urllib.parse", lambda: urllib.parse.urlparse("http://h/p?q")),
    Case("doctest", doctests, check_doctests),
    Case("html.unescape", lambda stack: html.unescape, so(lambda r: r("&lt;") == "<")),
    Case("pulldom", lambda stack: xml.dom.pulldom.PullDOM(), lambda r: r.firstEvent),
]
