"""Write golden pickles: what a room has sent once must load for ever.

``python tests/golden/make.py locks`` writes ``locks.<n>.pkl`` and ``locks.<n>.json`` with the next
free number; without a room it does so for each that has none. It never writes over a file: a new
wire shape is one more number. Numbers 1 were made on the oldest supported Python, 2 on the newest.
"""

from __future__ import annotations

import _pydecimal
import _random
import _threading_local
import argparse
import asyncio
import bz2
import codecs
import collections
import configparser
import contextlib
import contextvars
import csv
import ctypes
import dataclasses
import datetime
import dbm.dumb
import decimal
import email.message
import fileinput
import ftplib
import functools
import gzip
import hashlib
import heapq
import http.client
import importlib.metadata
import io
import itertools
import json
import logging
import logging.handlers
import lzma
import mailbox
import mmap
import multiprocessing
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.shared_memory
import operator
import optparse
import os
import platform
import queue
import random
import re
import sched
import select
import selectors
import shelve
import shlex
import smtplib
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import types
import typing
import unicodedata
import urllib.error
import urllib.response
import uuid
import weakref
import xmlrpc.client
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, ContextVar
from importlib.metadata import version
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any
from unittest import mock

import daskpickle
from daskpickle.handles import settings
from daskpickle.reducers.exceptions import LeftBehind

FOLDER = Path(__file__).parent
LIBRARIES = {"opencl": "pyopencl"}


def locks(stack: ExitStack) -> dict[str, Any]:
    lock = threading.Lock()
    event, cleared = threading.Event(), threading.Event()
    event.set()
    semaphore, bounded = threading.Semaphore(3), threading.BoundedSemaphore(3)
    semaphore.acquire()
    bounded.acquire()
    made = {
        "lock": lock,
        "rlock": threading.RLock(),
        "python rlock": threading._RLock(),  # type: ignore[attr-defined]
        "condition": threading.Condition(),
        "condition of lock": threading.Condition(lock),
        "event": event,
        "cleared": cleared,
        "semaphore": semaphore,
        "bounded": bounded,
        "barrier": threading.Barrier(2, action=print, timeout=1.5),
    }
    return made


def fresh_locks(stack: ExitStack) -> dict[str, Any]:
    made = locks(stack)
    daskpickle.dumps(made)  # so that their classes are registered
    names = {r.cls_name: "fresh" for r in daskpickle.registrations() if r.action == "fresh"}
    stack.enter_context(daskpickle.use_policy(names))
    return made


def running(stack: ExitStack) -> dict[str, Any]:
    ended = threading.Thread(name="ended")
    ended.start()
    ended.join()
    cancelled = threading.Timer(1.5, print)
    cancelled.cancel()
    return {
        "thread": threading.Thread(None, print, "new", (1,), {"end": ""}, daemon=True),
        "ended": ended,
        "timer": threading.Timer(1.5, print, [1], {"end": ""}),
        "cancelled": cancelled,
    }


def processes(stack: ExitStack) -> dict[str, Any]:
    process = subprocess.Popen(["false"])
    process.wait()
    left, right = multiprocessing.Pipe()
    left.close()
    right.close()
    read = subprocess.Popen(["echo", "said"], stdin=-1, stdout=-1, stderr=-1, text=True)
    read.communicate()
    return {"process": process, "closed connection": left, "read": read}


def executors(stack: ExitStack) -> dict[str, Any]:
    done, failed, cancelled = Future[int](), Future[int](), Future[int]()
    done.set_result(7)
    failed.set_exception(ValueError("no"))
    cancelled.cancel()
    threads = stack.enter_context(ThreadPoolExecutor(2, "threads", print, ("hello",)))
    context = multiprocessing.get_context("spawn")
    processes = stack.enter_context(ProcessPoolExecutor(2, context, print, ("hello",)))
    return {
        "done": done,
        "failed": failed,
        "cancelled": cancelled,
        "threads": threads,
        "processes": processes,
    }


def queues(stack: ExitStack) -> dict[str, Any]:
    made = {
        "queue": queue.Queue(3),
        "stack": queue.LifoQueue(),
        "heap": queue.PriorityQueue(),
    }
    for source in made.values():
        source.put(2)
        source.put(1)
    simple, python = queue.SimpleQueue[Any](), queue._PySimpleQueue()  # type: ignore[attr-defined]
    simple.put([1])
    python.put([1])
    return {**made, "simple": queue.SimpleQueue(), "filled": simple, "python": python}


def contexts(stack: ExitStack) -> dict[str, Any]:
    mine: ContextVar[Any] = ContextVar("mine", default=(1,))
    context = Context()
    context.run(mine.set, 2)
    context.run(lambda: setattr(decimal.getcontext(), "prec", 5))
    held = _pydecimal._current_context_var  # type: ignore[attr-defined]
    bare: ContextVar[Any] = ContextVar("bare")
    return {"variable": mine, "bare": bare, "held": held, "context": context, "empty": Context()}


def event_loops(stack: ExitStack) -> dict[str, Any]:
    semaphore, items = asyncio.BoundedSemaphore(3), asyncio.Queue[int](3)

    async def use() -> None:
        await semaphore.acquire()
        await items.put(1)

    asyncio.run(use())
    made = {"policy": asyncio.DefaultEventLoopPolicy(), "semaphore": semaphore, "queue": items}
    return {**made, "lock": asyncio.Lock(), "condition": asyncio.Condition()}


def schedulers(stack: ExitStack) -> dict[str, Any]:
    scheduler, absolute = sched.scheduler(), sched.scheduler(time.time)
    scheduler.enter(5, 1, print, ("hello",), {"end": ""})
    absolute.enterabs(5, 1, print)
    return {"monotonic": scheduler, "absolute": absolute}


def thread_locals(stack: ExitStack) -> dict[str, Any]:
    local, python = threading.local(), _threading_local.local()
    local.number, python.number = [1], [2]
    return {"local": local, "python": python}


def logs(stack: ExitStack) -> dict[str, Any]:
    handler = logging.FileHandler("job.log", delay=True)
    handler.baseFilename = "job.log"  # it had put the folder of whoever runs this before it
    syslog = logging.handlers.SysLogHandler(("127.0.0.1", 514))
    datagrams = logging.handlers.DatagramHandler("127.0.0.1", 514)
    for made in (syslog, datagrams):
        stack.callback(made.close)
    return {
        "handler": handler,
        "syslog": syslog,
        "datagrams": datagrams,
        "manager": logging.Logger.manager,
        "logger that nobody knows": logging.Logger("loose", logging.ERROR),
    }


def files(stack: ExitStack) -> dict[str, Any]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = Path(folder, "text.txt")
    path.write_text("one\ntwo\n")
    text = stack.enter_context(path.open(encoding="utf-8"))
    text.readline()
    labelled: Any = stack.enter_context(path.open(encoding="utf-8"))
    labelled.label = labelled
    temporary: Any = stack.enter_context(tempfile.NamedTemporaryFile("rb"))
    return {
        "text": text,
        "binary": stack.enter_context(path.open("rb")),
        "raw": stack.enter_context(path.open("rb", buffering=0)),
        "labelled": labelled,
        "device": stack.enter_context(Path("/dev/zero").open("rb")),
        "method of a temporary file": temporary._closer,
    }


def file_inputs(stack: ExitStack) -> dict[str, Any]:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "name")
    path.write_text("one\ntwo\n")
    lines = stack.enter_context(fileinput.FileInput([str(path)], encoding="utf-8"))
    lines.readline()
    return {"unread": fileinput.FileInput(["/name", "-"], encoding="utf-8"), "begun": lines}


def layers(stack: ExitStack) -> dict[str, Any]:
    private = stack.enter_context(tempfile.TemporaryFile())
    private.write(b"content")
    text = io.TextIOWrapper(io.BytesIO(b"one\r\ntwo\r\n"), "ascii")
    text.readline()
    return {
        "text": text,
        "buffer": io.BufferedReader(io.BytesIO(b"content")),  # type: ignore[arg-type]
        "compressed": io.TextIOWrapper(gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"text")))),
        "private": private,
    }


def compressed(stack: ExitStack) -> dict[str, Any]:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "data")
    path.write_bytes(gzip.compress(b"content"))
    begun = bz2.BZ2File(io.BytesIO(bz2.compress(b"content")))
    begun.read(3)
    return {
        "gzip": stack.enter_context(gzip.GzipFile(path)),
        "bz2": begun,
        "lzma": lzma.LZMAFile(io.BytesIO(lzma.compress(b"content"))),
    }


def zips(stack: ExitStack) -> dict[str, Any]:
    archive = zipfile.ZipFile(io.BytesIO(), "w")  # empty: a ZipInfo has other slots in each Python
    archive.comment = b"comment"
    return {"archive": archive}


def tars(stack: ExitStack) -> dict[str, Any]:
    archive = tarfile.open(fileobj=io.BytesIO(), mode="w|")
    archive.addfile(tarfile.TarInfo("name"))
    stack.callback(archive.close)
    return {"stream": archive.fileobj}


def tempfiles(stack: ExitStack) -> dict[str, Any]:
    folder = tempfile.TemporaryDirectory()
    stack.enter_context(folder)
    return {"folder": folder}


def system(stack: ExitStack) -> dict[str, Any]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder.joinpath("name").touch()
    with os.scandir(folder) as entries:
        entry = next(iter(entries))
    return {"environ": os.environ, "entry": entry, "parameters": os.sched_param(3)}


def mmaps(stack: ExitStack) -> dict[str, Any]:
    file = stack.enter_context(tempfile.TemporaryFile())
    file.write(b"content")
    file.flush()
    memory = stack.enter_context(mmap.mmap(-1, 7))
    memory.write(b"con")
    read = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return {"memory": memory, "read": stack.enter_context(read)}


def codings(stack: ExitStack) -> dict[str, Any]:
    reader = codecs.getreader("utf-8")(io.BytesIO("one\nzw\u00f6".encode()))
    reader.readline()
    decoder = codecs.getincrementaldecoder("big5")()
    decoder.decode("\u65e5".encode("big5")[:1])
    utf8 = codecs.lookup("utf-8")
    return {
        "reader": reader,
        "decoder": decoder,
        "codec": decoder.codec,  # type: ignore[attr-defined]
        "info": utf8,
        "own": codecs.CodecInfo(utf8.encode, utf8.decode, name="own"),
    }


def shelves(stack: ExitStack) -> dict[str, Any]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    database = dbm.dumb.open(str(Path(folder, "data")), "n")
    stack.callback(database.close)
    return {"database": database, "shelf": shelve.Shelf({b"one": b"\x80\x04K\x01."})}


def mailboxes(stack: ExitStack) -> dict[str, Any]:
    box = mailbox.mbox(Path(stack.enter_context(tempfile.TemporaryDirectory()), "box"))
    stack.callback(box.close)
    box.add("Subject: one\n\ntext\n")
    box.flush()
    return {"box": box, "part": box.get_file(0)}


def sockets(stack: ExitStack) -> dict[str, Any]:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    connected = stack.enter_context(socket.create_connection(server.getsockname()))
    stack.enter_context(server.accept()[0])
    offering = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    offering.set_alpn_protocols(["h2", "http/1.1"])
    return {
        "connected": connected,
        "context with alpn": offering,
        "context of a server": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        "unconnected": stack.enter_context(socket.socket()),
        "datagrams": stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)),
        "context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        "tls": stack.enter_context(offering.wrap_socket(socket.socket(), server_hostname="lab")),
    }


def http_parts(stack: ExitStack) -> dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = io.BytesIO()  # type: ignore[assignment] # so that it seems connected
    headers = email.message.Message()
    headers["A"] = "b"
    ours, theirs = socket.socketpair()
    stack.enter_context(theirs)
    body = http.client.HTTPResponse(stack.enter_context(ours))
    stack.callback(body.close)
    return {
        "connection": connection,
        "answer": urllib.response.addinfourl(io.BytesIO(b"body"), headers, "lab:x", 200),
        "error": urllib.error.HTTPError("lab:x", 404, "Missing", headers, io.BytesIO(b"body")),
        "error without body": urllib.error.HTTPError("lab:x", 404, "Missing", headers, body),
    }


def dialogues(stack: ExitStack) -> dict[str, Any]:
    return {"ftp": ftplib.FTP(timeout=5), "smtp": smtplib.SMTP(timeout=5)}


def tls(stack: ExitStack) -> dict[str, Any]:
    ended = ssl.MemoryBIO()
    ended.write_eof()
    return {
        "buffer": ssl.MemoryBIO(),
        "ended": ended,
        "oid": ssl._ASN1Object("1.3.6.1.5.5.7.3.1"),
        "flags": ssl.OP_NO_TICKET | ssl.OP_NO_TLSv1,
        "purpose": [ssl.Purpose.SERVER_AUTH],
    }


def watchers(stack: ExitStack) -> dict[str, Any]:
    selector = stack.enter_context(selectors.SelectSelector())
    selector.register(stack.enter_context(socket.socket()), selectors.EVENT_READ, "data")
    epoll = select.epoll()
    stack.callback(epoll.close)
    closed, closed_epoll = selectors.DefaultSelector(), select.epoll()
    closed.close()
    closed_epoll.close()
    return {
        "selector": selector,
        "epoll": epoll,
        "closed selector": closed,
        "closed epoll": closed_epoll,
    }


def xmlrpc_parts(stack: ExitStack) -> dict[str, Any]:
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", encoding="latin-1")
    calls = xmlrpc.client.MultiCall(proxy)
    calls.echo(1)
    return {"proxy": proxy, "method": proxy.lab.echo, "calls": calls, "call": calls.lab.echo}


def sqlite(stack: ExitStack) -> dict[str, Any]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    memory, disk = sqlite3.connect(":memory:"), sqlite3.connect(Path(folder, "data.db"))
    for connection in (memory, disk):
        stack.callback(connection.close)
        connection.execute("CREATE TABLE numbers (number)")
        connection.commit()
    return {"memory": memory, "disk": disk, "cursor": disk.cursor()}


def opencl(stack: ExitStack) -> dict[str, Any]:
    import numpy
    import pyopencl as cl

    device = cl.get_platforms()[0].get_devices()[0]
    context = cl.Context([device])
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    return {
        "device": device,
        "context": context,
        "queue": cl.CommandQueue(context),
        "buffer": cl.Buffer(context, flags, hostbuf=numpy.arange(4.0)),
    }


def callables(stack: ExitStack) -> dict[str, Any]:
    key = functools.cmp_to_key(operator.sub)
    return {
        "cache": functools.lru_cache(3, True)(operator.neg),
        "key": key,
        "key of 3": key(3),
        "manager": contextlib._GeneratorContextManager(heapq.merge, ([1],), {}),
        "property": property(operator.neg, doc="x"),
    }


def dates(stack: ExitStack) -> dict[str, Any]:
    return {"week": datetime.date(2020, 12, 31).isocalendar()}


def exceptions(stack: ExitStack) -> dict[str, Any]:
    error = ValueError("x", 1)
    error.__cause__, error.__context__ = FileNotFoundError(2, "no", "f"), KeyError("k")
    error.left = LeftBehind("generator", "<generator>", "It is one.")  # type: ignore[attr-defined]
    chain: Any = None
    for number in range(60):
        later = KeyError(number)
        later.__context__, chain = chain, later
    own = configparser.NoOptionError("a", "b")
    return {"error": error, "own": own, "left": error.left, "chain": chain}  # type: ignore[attr-defined]


def enums(stack: ExitStack) -> dict[str, Any]:
    return {"value": http.HTTPStatus.OK}


def modules(stack: ExitStack) -> dict[str, Any]:
    made = types.ModuleType("made", "It was made.")
    vars(made)["itself"] = made
    return {"named": os.path, "made": made}


def sentinels(stack: ExitStack) -> dict[str, Any]:
    return {
        "missing": dataclasses.MISSING,
        "object": configparser._UNSET,
        "token": contextvars.Token.MISSING,
    }


def typings(stack: ExitStack) -> dict[str, Any]:
    return {"spec": typing.ParamSpec("Golden"), "new": typing.NewType("Golden", int)}


def views(stack: ExitStack) -> dict[str, Any]:
    ordered = collections.OrderedDict(a=1)
    return {
        "memory": memoryview(bytearray(range(8)))[2:6].cast("h"),
        "shared": memoryview(bytearray(4)).cast("i"),
        "keys": {"a": 1}.keys(),
        "items": ordered.items(),
        "proxy": types.MappingProxyType(ordered),
    }


def weak(stack: ExitStack) -> dict[str, Any]:
    return {
        "ref": weakref.ref(queue.Queue),
        "dead": weakref.ref(set()),
        "method": weakref.WeakMethod(queue.Queue().get),
        "proxy": weakref.proxy(queue.Queue),
        "values": weakref.WeakValueDictionary(a=queue.Queue),
        "keys": weakref.WeakKeyDictionary({queue.Queue: 1}),
        "set": weakref.WeakSet([queue.Queue]),
    }


def capsules(stack: ExitStack) -> dict[str, Any]:
    return {"of datetime": datetime.datetime_CAPI}  # type: ignore[attr-defined]


def csv_rows(stack: ExitStack) -> dict[str, Any]:
    reader = csv.reader(iter(["a;b", "c;d"]), delimiter=";")
    next(reader)
    return {"reader": reader, "writer": csv.writer(io.StringIO()), "dialect": reader.dialect}


def hashes(stack: ExitStack) -> dict[str, Any]:
    own: Any = getattr(hashlib, "__get_builtin_constructor")
    return {"of OpenSSL": hashlib.sha256(), "shake": hashlib.shake_128(), "own": own("md5")()}


def iterators(stack: ExitStack) -> dict[str, Any]:
    begun = itertools.pairwise([1, 2, 3])
    next(begun)
    return {"new": itertools.pairwise([1, 2]), "begun": begun}


def json_parts(stack: ExitStack) -> dict[str, Any]:
    encoder: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    escape = json.encoder.encode_basestring_ascii
    return {
        "scanner": json.JSONDecoder(strict=False).scan_once,  # type: ignore[attr-defined]
        "encoder": encoder(None, sorted, escape, None, ":", ",", True, False, False),
    }


def metadata(stack: ExitStack) -> dict[str, Any]:
    path: Any = importlib.metadata.FastPath("here")  # type: ignore[attr-defined]
    return {"path": path}


def mocks(stack: ExitStack) -> dict[str, Any]:
    return {"call": mock.call.a(1).b(2, c=3)}


def natives(stack: ExitStack) -> dict[str, Any]:
    unpacking = struct.iter_unpack("<h", bytes(range(6)))
    next(unpacking)
    return {
        "struct": struct.Struct("<hI"),
        "unpacking": unpacking,
        "system random": random.SystemRandom(),
        "random": _random.Random(4),
        "unicode": unicodedata.ucd_3_2_0,
    }


def parsers(stack: ExitStack) -> dict[str, Any]:
    argument = argparse._StoreAction(["-n"], "n", type=int, help=argparse.SUPPRESS)
    options = optparse.OptionParser(usage="", prog="prog")
    return {
        "argument": argument,  # a parser holds a local function, which is for one Python only
        "options": options,
        "option": options.add_option("-n", help=optparse.SUPPRESS_HELP),
    }


def subclasses(stack: ExitStack) -> dict[str, Any]:
    cls: Any = type("Key", (uuid.UUID,), {"__module__": "keys", "__slots__": ("label",)})
    key = cls(int=5)
    object.__setattr__(key, "label", "a")
    return {"key": key}


def prompts(stack: ExitStack) -> dict[str, Any]:
    return {"shlex": shlex.shlex(sys.stdin)}


def regexes(stack: ExitStack) -> dict[str, Any]:
    lexer: Any = re.Scanner  # type: ignore[attr-defined]
    matches = list(re.finditer(r"(?P<x>b)(c)?", "abcab"))
    return {
        "match": re.compile("b").match("abc", 1),
        "iterated": matches[1],
        "lexer": lexer([(r"\d+", operator.is_), (r"\s+", None)], re.I),
    }


def cdata(stack: ExitStack) -> dict[str, Any]:
    class Node(ctypes.Structure):
        pass

    Node._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Node))]
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)
    library = ctypes.CDLL("libm.so.6", use_errno=True)
    library.cos.restype, library.cos.argtypes = ctypes.c_double, [ctypes.c_double]
    return {
        "array": (ctypes.c_int * 3)(1, 2, 3),
        "null": ctypes.POINTER(ctypes.c_int)(),
        "string": ctypes.c_char_p(b"abc"),
        "swapped": ctypes.c_int.__ctype_be__(5),
        "node": Node(4),
        "callback": compare(max),
        "library": library,
        "function": library.cos,
    }


def children(stack: ExitStack) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    ended = context.Process(target=int, name="ended")
    ended.start()
    ended.join()
    made = context.Process(target=print, args=(1,), kwargs={"end": ""}, name="made", daemon=True)
    return {"ended": ended, "made": made, "tracker": resource_tracker._resource_tracker}


def proxies(stack: ExitStack) -> dict[str, Any]:
    manager = stack.enter_context(multiprocessing.Manager())
    stack.callback(setattr, settings, "installed", settings.installed)
    settings.installed = True
    return {"dict": manager.dict(), "namespace": manager.Namespace()}  # AutoProxy: by value


def mp_pools(stack: ExitStack) -> dict[str, Any]:
    threads = stack.enter_context(multiprocessing.pool.ThreadPool(2, print, ("",)))
    result = threads.map_async(abs, [1, -2])
    result.wait()
    processes = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
    return {"threads": threads, "processes": processes, "result": result}


def shared(stack: ExitStack) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=8)
    items = multiprocessing.shared_memory.ShareableList([1, "a", None])
    for held in (memory, items.shm):
        stack.callback(held.unlink)
        stack.callback(held.close)
    locks = {name: getattr(context, name)() for name in ("Lock", "RLock", "Condition", "Event")}
    return {**locks, "memory": memory, "list": items, "bounded": context.BoundedSemaphore(2)}


def interpreter(stack: ExitStack) -> dict[str, Any]:
    return {"flags": sys.flags, "version": sys.version_info}


def terminals(stack: ExitStack) -> dict[str, Any]:
    import curses

    return {"version": curses.ncurses_version}


MAKERS: dict[str, list[Callable[[ExitStack], dict[str, Any]]]] = {
    "callables": [callables],
    "capsules": [capsules],
    "cdata": [cdata],
    "children": [children],
    "codings": [codings],
    "compressed": [compressed],
    "contexts": [contexts],
    "csv": [csv_rows],
    "dates": [dates],
    "dialogues": [dialogues],
    "enums": [enums],
    "event_loops": [event_loops],
    "exceptions": [exceptions],
    "executors": [executors],
    "file_inputs": [file_inputs],
    "files": [files],
    "hashes": [hashes],
    "http": [http_parts],
    "interpreter": [interpreter],
    "iterators": [iterators],
    "json": [json_parts],
    "layers": [layers],
    "locks": [locks, fresh_locks],
    "logs": [logs],
    "mailboxes": [mailboxes],
    "managers": [proxies],
    "mmaps": [mmaps],
    "metadata": [metadata],
    "mocks": [mocks],
    "modules": [modules],
    "natives": [natives],
    "opencl": [opencl],
    "parsers": [parsers],
    "pools": [mp_pools],
    "processes": [processes],
    "prompts": [prompts],
    "queues": [queues],
    "regexes": [regexes],
    "running": [running],
    "schedulers": [schedulers],
    "sentinels": [sentinels],
    "shared": [shared],
    "shelves": [shelves],
    "sockets": [sockets],
    "sqlite": [sqlite],
    "subclasses": [subclasses],
    "system": [system],
    "tars": [tars],
    "tempfiles": [tempfiles],
    "terminals": [terminals],
    "thread_locals": [thread_locals],
    "tls": [tls],
    "typings": [typings],
    "views": [views],
    "watchers": [watchers],
    "weak": [weak],
    "xmlrpc": [xmlrpc_parts],
    "zips": [zips],
}

#: What is written down of an object beside its class, and compared where it is loaded.
FACTS: dict[str, Callable[[Any], Any]] = {
    "_contextvars.Context": lambda c: sorted([v.name, str(value)] for v, value in c.items()),
    "_contextvars.ContextVar": lambda v: [v.name, str(Context().run(v.get, None))],
    "_csv.Dialect": lambda d: [d.delimiter, d.quotechar, d.lineterminator, d.strict],
    "_csv.reader": lambda r: [r.line_num, next(r), r.dialect.delimiter],
    "_csv.writer": lambda w: w.writerow([1, "a b"]),
    "_hashlib.HASH": lambda h: [h.name, h.hexdigest()],
    "_hashlib.HASHXOF": lambda h: [h.name, h.hexdigest(9)],
    "_json.Encoder": lambda e: "".join(e({"b": {2, 1}, "a": None}, 0)),
    "_json.Scanner": lambda s: s('{"a": [1.5, "\t"]}', 0),
    "_md5.md5": lambda h: [h.name, h.hexdigest()],
    "_queue.SimpleQueue": lambda q: None if q.empty() else [q.qsize(), q.get()],
    "_random.Random": lambda r: r.random(),
    "_ssl.MemoryBIO": lambda b: [b.pending, b.eof],
    "_struct.Struct": lambda s: s.format,
    "_struct.unpack_iterator": list,
    "_thread._local": vars,
    "_threading_local.local": vars,
    "argparse._StoreAction": lambda a: [a.dest, a.help is argparse.SUPPRESS],
    "asyncio.locks.BoundedSemaphore": lambda s: [s._value, s._bound_value, s._loop],
    "asyncio.queues.Queue": lambda q: [q.maxsize, list(q._queue), q._unfinished_tasks, q._loop],
    "builtins.ValueError": lambda e: [e.args, repr(e.__cause__), repr(e.__context__), repr(e.left)],
    "builtins.dict_keys": list,
    "builtins.mappingproxy": dict,
    "builtins.memoryview": lambda v: [v.tolist(), v.format, v.readonly],
    "builtins.object": lambda o: o is configparser._UNSET,
    "builtins.odict_items": list,
    "builtins.property": lambda p: [p.fget is operator.neg, p.__doc__],
    "bz2.BZ2File": lambda f: [f.tell(), f.read().decode()],
    "codecs.CodecInfo": lambda i: [i.name, i.decode(b"a")[0]],
    "concurrent.futures._base.Future": lambda f: f.cancelled() or repr(f.exception() or f.result()),
    "configparser.NoOptionError": lambda e: [str(e), e.option],
    "contextlib._GeneratorContextManager": lambda m: m.__enter__(),
    "ctypes.c_char_p": lambda s: s.value.decode(),
    "ctypes.c_int": lambda n: n.value,
    "daskpickle.reducers.exceptions.LeftBehind": lambda left: [repr(left), left.why],
    "dataclasses._MISSING_TYPE": lambda m: m is dataclasses.MISSING,
    "encodings.big5.IncrementalDecoder": lambda d: d.decode(b"\xe9"),
    "encodings.utf_8.StreamReader": lambda r: r.read(),
    "ftplib.FTP": lambda f: [f.timeout, f.sock],
    "datetime.IsoCalendarDate": list,
    "functools.KeyWrapper": lambda k: getattr(k, "obj", None),
    "functools._lru_cache_wrapper": lambda c: [c(3), c.cache_parameters()],
    "http.client.HTTPConnection": lambda c: [c.host, c.timeout],
    "importlib.metadata.FastPath": vars,
    "itertools.pairwise": list,
    "keys.Key": lambda k: [k.int, k.label],
    "logging.FileHandler": lambda h: [h.mode, h.baseFilename],
    "logging.handlers.DatagramHandler": lambda h: [h.host, h.port],
    "logging.handlers.SysLogHandler": lambda h: [*h.address, h.facility],
    "lzma.LZMAFile": lambda f: [f.tell(), f.read().decode()],
    "multiprocessing.connection.Connection": lambda c: c.closed,
    "multiprocessing.context.ForkProcess": lambda p: [p.name, p.daemon, p.exitcode],
    "multiprocessing.pool.MapResult": lambda r: r.get(),
    "optparse.Option": lambda o: [o.dest, o.default is optparse.NO_DEFAULT, o.help],
    "os._Environ": lambda e: e is os.environ,
    "queue.LifoQueue": lambda q: [q.maxsize, list(q.queue)],
    "queue.PriorityQueue": lambda q: [q.maxsize, list(q.queue)],
    "queue.Queue": lambda q: [q.maxsize, list(q.queue)],
    "queue._PySimpleQueue": lambda q: [q.qsize(), q.empty() or q.get()],
    "re.Match": lambda m: [m.regs, m.groupdict(), m.pos, m.endpos, m.string, m.re.pattern],
    "re.Scanner": lambda s: s.scan("1 2?"),
    "sched.scheduler": lambda s: [len(s.queue), str(s.timefunc)],
    "shelve.Shelf": dict,
    "shlex.shlex": lambda s: sorted(vars(s)) == sorted(vars(shlex.shlex(""))),
    "smtplib.SMTP": lambda s: [s.timeout, s.sock],
    "ssl.Options": int,
    "ssl._ASN1Object": list,
    "subprocess.Popen": lambda p: [p.args, p.wait()],
    "tarfile._Stream": lambda s: [s.mode, s.pos],
    "threading.Barrier": lambda b: [b.parties, b._timeout, b.broken],
    "threading.BoundedSemaphore": lambda s: [s._value, s._initial_value],
    "threading.Event": lambda e: e.is_set(),
    "threading.Semaphore": lambda s: s._value,
    "threading.Thread": lambda t: [t.name, t.daemon, t.ident is None, t.is_alive()],
    "threading.Timer": lambda t: [t.interval, t.args, t.kwargs, t.finished.is_set()],
    "typing.NewType": lambda n: [n.__name__, n.__supertype__.__name__],
    "unicodedata.UCD": lambda u: u.unidata_version,
    "unittest.mock._Call": repr,
    "urllib.error.HTTPError": lambda e: [e.code, e.msg, e.url, e.headers.items()],
    "urllib.response.addinfourl": lambda a: [a.code, a.headers.items(), str(a.fp.getvalue())],
    "weakref.ReferenceType": lambda r: r() is queue.Queue,
    "weakref.WeakKeyDictionary": lambda d: d[queue.Queue],
    "weakref.WeakMethod": lambda r: r() is None,
    "weakref.WeakValueDictionary": lambda d: d["a"] is queue.Queue,
    "xmlrpc.client.MultiCall": lambda m: repr(vars(m)["_MultiCall__call_list"]),
    "xmlrpc.client.ServerProxy": lambda p: [repr(p), vars(p)["_ServerProxy__encoding"]],
    "xmlrpc.client._Method": lambda m: [
        vars(m)["_Method__name"],
        repr(vars(m)["_Method__send"].__self__),
    ],
    "xmlrpc.client._MultiCallMethod": lambda m: vars(m)["_MultiCallMethod__name"],
    "zipfile.ZipFile": lambda z: [z.namelist(), z.comment.decode()],
}


def describe(obj: Any) -> list[Any]:
    """The class that an object, or what a handle stands for, has; and facts that tell its state."""
    cls = obj.__class__
    name = f"{cls.__module__}.{cls.__qualname__}"
    if type(cls).__module__ == "_ctypes" and type(cls) is not type(ctypes.Structure):
        # A type made at run time belongs to whoever has made it first in this process.
        name = name if cls.__module__ == "ctypes" else f"__main__.{cls.__qualname__}"
    return [name, FACTS[name](obj) if name in FACTS else None]


def write(room: str, folder: Path = FOLDER) -> Path:
    """Pickle what a room makes under the next free number."""
    number = 1 + len(list(folder.glob(f"{room}.*.pkl")))
    path = folder / f"{room}.{number}.pkl"
    objects: dict[str, list[Any]] = {}
    payloads: list[bytes] = []
    for make in MAKERS[room]:
        with ExitStack() as stack:
            made = make(stack)
            payloads.append(daskpickle.dumps(made))
            objects |= {f"{make.__name__}: {name}": describe(made[name]) for name in made}
    facts = {
        "daskpickle": daskpickle.__version__,
        "wire": daskpickle.WIRE_VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in [LIBRARIES.get(room)] if name},
        "sizes": [len(payload) for payload in payloads],
        "objects": objects,
    }
    with path.open("xb") as file:
        file.write(b"".join(payloads))
    with path.with_suffix(".json").open("x", encoding="utf-8") as file:
        json.dump(facts, file, indent=2)
        file.write("\n")
    return path


if __name__ == "__main__":
    for chosen in sys.argv[1:] or [r for r in MAKERS if not list(FOLDER.glob(f"{r}.*.pkl"))]:
        print(write(chosen).name)
