"""Plug-ins: third parties' reducers, found by entry point and loaded by the first object."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

#: What each of the scripts below starts with.
PREAMBLE = """
import json, pickle, sys, threading, warnings
import daskpickle
from daskpickle.errors import DaskpickleWarning

warnings.simplefilter("always")
caught = warnings.catch_warnings(record=True)
log = caught.__enter__()

def answer(**facts):
    said = [str(w.message) for w in log if issubclass(w.category, DaskpickleWarning)]
    print(json.dumps({**facts, "said": said}))
"""

LIBRARY = """
class Client:
    def __init__(self, url="lab://"):
        self.url = url
"""

REDUCERS = """
import daskpickle, labkit

@daskpickle.register(labkit.Client, hint="Make one in the task.")
def reduce_client(client):
    return labkit.Client, (client.url + "plugin",)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages, empty but for a library that plug-ins are for."""
    (tmp_path / "labkit.py").write_text(LIBRARY)
    return tmp_path


def install(site: Path, dist: str, entry_points: str, **modules: str) -> None:
    """Put a distribution there, as pip does."""
    for name, source in modules.items():
        (site / f"{name}.py").write_text(textwrap.dedent(source))
    info = site / f"{dist}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[daskpickle.reducers]\n" + entry_points)


@pytest.fixture
def run(site: Path, fresh_process: Callable[..., bytes]) -> Run:
    def run(code: str) -> Any:
        source = PREAMBLE + textwrap.dedent(code)
        return json.loads(fresh_process(source, env={"PYTHONPATH": str(site)}))

    return run


def test_a_plugin_is_loaded_by_the_first_object_of_its_owner(site: Path, run: Run) -> None:
    """Its entry point names the owner; nothing else loads it."""
    install(site, "dask-labkit", "labkit = labkit_reducers\n", labkit_reducers=REDUCERS)
    facts = run("""
        import labkit
        daskpickle.dumps([1, ValueError(), threading.Lock(), lambda: 1])
        before = "labkit_reducers" in sys.modules
        received = daskpickle.loads(daskpickle.dumps([labkit.Client("lab://")]))
        after = "labkit_reducers" in sys.modules
        names = [r.cls_name for r in daskpickle.registrations() if r.room == "labkit_reducers"]
        answer(before=before, after=after, url=received[0].url, names=names)
    """)
    assert facts == {
        "before": False,
        "after": True,
        "url": "lab://plugin",
        "names": ["labkit.Client"],
        "said": [],
    }


def test_a_subclass_of_another_owner_loads_it_too(site: Path, run: Run) -> None:
    """The owners of all bases are looked up."""
    source = REDUCERS.replace(
        "register(labkit.Client, ", "register(labkit.Client, subclasses=True, "
    )
    install(site, "dask-labkit", "labkit = labkit_reducers\n", labkit_reducers=source)
    facts = run("""
        import labkit
        class Mine(labkit.Client):
            pass
        received = daskpickle.loads(daskpickle.dumps(Mine("lab://")))
        answer(url=received.url, type=type(received).__name__)
    """)
    assert facts == {"url": "lab://plugin", "type": "Mine", "said": []}


def test_all_plugins_can_be_loaded_for_the_reference(site: Path, run: Run) -> None:
    """``registrations(load=True)`` shows those whose library can be imported."""
    install(
        site,
        "dask-labkit",
        "labkit = labkit_reducers\nnot_installed = other_reducers\n",
        labkit_reducers=REDUCERS,
        other_reducers="import not_installed",
    )
    facts = run("""
        names = [r.cls_name for r in daskpickle.registrations(load=True)]
        answer(known="labkit.Client" in names, locks="_thread.lock" in names)
    """)
    assert facts == {"known": True, "locks": True, "said": []}


def test_several_plugins_for_one_owner(site: Path, run: Run) -> None:
    """Each is loaded; one that fails does not stop the next."""
    install(site, "a-bad-one", "labkit = bad_reducers\n", bad_reducers="1 / 0")
    install(site, "b-good-one", "labkit = labkit_reducers\n", labkit_reducers=REDUCERS)
    facts = run("""
        import labkit
        url = daskpickle.loads(daskpickle.dumps(labkit.Client())).url
        answer(url=url)
    """)
    assert facts["url"] == "lab://plugin"
    assert len(facts["said"]) == 1


def test_a_plugin_that_fails_is_reported_by_name(site: Path, run: Run) -> None:
    """One warning names plug-in, module and distribution; objects travel as without it."""
    install(
        site, "dask-labkit", "labkit = labkit_reducers\n", labkit_reducers="import nothing_such"
    )
    facts = run("""
        import labkit
        urls = [daskpickle.loads(daskpickle.dumps(labkit.Client(url))).url for url in "ab"]
        answer(urls=urls)
    """)
    assert facts == {
        "urls": ["a", "b"],
        "said": [
            "The daskpickle plug-in 'labkit' (labkit_reducers of dask-labkit) could not be loaded: "
            "ModuleNotFoundError: No module named 'nothing_such'. Its types travel as if it were "
            "not installed."
        ],
    }


def test_broken_metadata_is_reported_and_breaks_nothing(site: Path, run: Run) -> None:
    """One unreadable package among all that are installed is no reason to fail."""
    install(site, "broken", "this is no entry point\n")
    facts = run("""
        import labkit
        answer(url=daskpickle.loads(daskpickle.dumps(labkit.Client())).url)
    """)
    assert facts["url"] == "lab://"
    assert len(facts["said"]) == 1
    assert facts["said"][0].startswith("The plug-ins of daskpickle could not be loaded: ")


REPLACES = """
import threading
import daskpickle

@daskpickle.register(type(threading.Lock()), action="process", replace={replace})
def reduce_lock(lock):
    return str, ("plugin",)
"""


def test_a_plugin_may_replace_a_reducer_of_daskpickle(site: Path, run: Run) -> None:
    """With ``replace=True`` its reducer is used instead, and stays the default."""
    install(site, "locks", "_thread = my_locks\n", my_locks=REPLACES.format(replace=True))
    facts = run("answer(got=daskpickle.loads(daskpickle.dumps(threading.Lock())))")
    assert facts == {"got": "plugin", "said": []}


def test_a_plugin_that_repeats_a_reducer_of_daskpickle_is_reported(site: Path, run: Run) -> None:
    """Without ``replace=True`` the duplicate is refused, as anyone's."""
    install(site, "locks", "_thread = my_locks\n", my_locks=REPLACES.format(replace=False))
    facts = run("""
        received = daskpickle.loads(daskpickle.dumps(threading.Lock()))
        answer(got=type(received).__name__)
    """)
    assert facts["got"] == "lock"
    assert "has a reducer for the action 'process' already" in facts["said"][0]


def test_a_plugin_does_not_override_the_user(site: Path, run: Run) -> None:
    """What the user registered before it is loaded stays, and stays the default."""
    source = REDUCERS.replace('hint="', 'action="other", default=True, hint="') + REDUCERS
    install(site, "dask-labkit", "labkit = labkit_reducers\n", labkit_reducers=source)
    facts = run("""
        import labkit
        from daskpickle import reducers
        reducers._known.add("labkit")  # the plug-in comes late
        daskpickle.register(labkit.Client, lambda client: (labkit.Client, ("user",)))
        reducers._known.discard("labkit")
        class Later(labkit.Client):
            pass
        daskpickle.dumps(Later())
        late = "labkit_reducers" in sys.modules
        received = daskpickle.loads(daskpickle.dumps(labkit.Client()))
        actions = [r.action for r in daskpickle.registrations() if r.cls is labkit.Client]
        answer(late=late, url=received.url, actions=actions)
    """)
    assert facts == {"late": True, "url": "user", "actions": ["other", "rebuild"], "said": []}


def test_a_room_that_cannot_be_imported_is_reported(run: Run) -> None:
    """Its library may be too old or broken: the objects travel, or not, as without the room."""
    facts = run("""
        import logging
        sys.modules["daskpickle.reducers.logs"] = None
        handler = daskpickle.loads(daskpickle.dumps(logging.PlaceHolder(logging.getLogger("a"))))
        daskpickle.dumps([logging.LogRecord("n", 10, "p", 1, "m", (), None)])
        answer(type=type(handler).__name__)
    """)
    assert facts["type"] == "PlaceHolder"
    assert len(facts["said"]) == 1
    assert facts["said"][0].startswith("The reducers of the room 'logs' could not be loaded: ")


def test_threads_that_meet_an_owner_at_once_all_wait_for_it(site: Path, run: Run) -> None:
    """No thread looks into a table that another one is still filling."""
    modules = {}
    for n in range(20):
        modules[f"lab{n}"] = LIBRARY
        modules[f"lab{n}_reducers"] = "import email.mime.text\n" + REDUCERS.replace(
            "labkit", f"lab{n}"
        )
    entry_points = "".join(f"lab{n} = lab{n}_reducers\n" for n in range(20))
    install(site, "labs", entry_points, **modules)
    facts = run("""
        import importlib
        sys.setswitchinterval(1e-6)
        labs = [importlib.import_module(f"lab{n}") for n in range(20)]
        barrier = threading.Barrier(8)
        found = []
        def work():
            for lab in labs:
                barrier.wait()
                found.append(daskpickle.loads(daskpickle.dumps(lab.Client())).url)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        answer(n=len(found), urls=sorted(set(found)))
    """)
    assert facts == {"n": 160, "urls": ["lab://plugin"], "said": []}
