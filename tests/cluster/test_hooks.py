"""What is hooked, that all of it is taken back, and the nets below it."""

from __future__ import annotations

import importlib
import pickle
import sqlite3
import sys
import threading
from multiprocessing.reduction import ForkingPickler

import cloudpickle
import dask
import dask.dataframe as dd
import distributed
import pandas as pd
import pytest
from dask.tokenize import normalize_token, tokenize
from distributed.diagnostics.plugin import WorkerPlugin

import daskpickle
from daskpickle import cluster
from daskpickle.cluster import config, wire
from daskpickle.errors import RefusedError, VersionError
from daskpickle.handles import Handle, Recipe, pool, settings

from .things import SECONDS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]


def hooked() -> dict[str, object]:
    """Everything that a hook may replace, by where it is."""
    found: dict[str, object] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "distributed" and module is not None:
            found.update({f"{name}.{attribute}": v for attribute, v in vars(module).items()})
    owners = (distributed.Client, distributed.Worker, distributed.Nanny, distributed.Future)
    for cls in (*owners, distributed.actor.Actor, distributed.as_completed):
        found.update({f"{cls.__name__}.{attribute}": v for attribute, v in vars(cls).items()})
    found["ForkingPickler"] = ForkingPickler._copyreg_dispatch_table
    found["func_dumps"] = dask.config.get("func_dumps", None)
    found["func_loads"] = dask.config.get("func_loads", None)
    found.update(
        {f"cloudpickle {n}": t for n, t in enumerate(cloudpickle.Pickler.dispatch_table.maps)}
    )
    found["tokens"] = dict(normalize_token._lookup)
    found["dask"] = sorted(vars(dask))
    return found


@pytest.fixture
def installed():
    daskpickle.install()
    yield
    daskpickle.uninstall()


@pytest.fixture
def client(cluster_client):
    daskpickle.install(cluster_client)
    yield cluster_client
    daskpickle.uninstall()


def test_uninstall_gives_every_name_back():
    """After `uninstall`, whatever was hooked is the original object; twice is as good as once."""
    daskpickle.install()
    daskpickle.uninstall()  # all that is imported lazily is now imported
    before = hooked()
    daskpickle.install()
    daskpickle.install()
    assert {name for name, value in hooked().items() if value is not before.get(name)} >= {
        "distributed.protocol.pickle.dumps", "distributed.protocol.pickle.loads",
        "distributed.scheduler.dumps", "distributed.client.dumps", "Client.sync", "ForkingPickler",
        "Nanny.start", "Future._result", "as_completed._get_and_raise",
    }  # fmt: skip
    daskpickle.uninstall()
    daskpickle.uninstall()
    after = hooked()
    assert after.keys() == before.keys()
    differs = {name for name in before if after[name] is not before[name]}
    assert {name for name in differs if after[name] != before[name]} == set()
    assert differs <= {"tokens", "dask", "func_dumps", "func_loads"}


def test_uninstall_with_a_client_reaches_the_cluster(client):
    """The plugins are gone, so that workers to come stay as they are; twice is as good as once."""
    names = ("daskpickle-worker", "daskpickle-nanny", "daskpickle-scheduler")

    def found(dask_scheduler):
        plugins = (
            dask_scheduler.worker_plugins,
            dask_scheduler.nanny_plugins,
            dask_scheduler.plugins,
        )
        return [name in known for name, known in zip(names, plugins, strict=True)]

    def hooked():
        return "_daskpickle" in vars(sys.modules["dask"])

    assert client.run_on_scheduler(found) == [True] * 3
    assert set(client.run(hooked).values()) == {True}
    daskpickle.uninstall(client)
    daskpickle.uninstall(client)
    assert client.run_on_scheduler(found) == [False] * 3
    assert set(client.run(hooked).values()) == {False}


def test_a_reload_finds_what_is_installed(installed):
    """Reloading the package neither hooks twice nor loses what was hooked."""
    dumps = distributed.protocol.pickle.dumps
    importlib.reload(cluster)
    cluster.install()
    assert distributed.protocol.pickle.dumps is dumps
    cluster.uninstall()
    assert distributed.protocol.pickle.dumps is not dumps


def test_a_second_version_is_refused(installed, monkeypatch):
    """Two versions cannot be installed in one process; the sentence names both."""
    monkeypatch.setattr(daskpickle, "__version__", "99.0")
    with pytest.raises(RuntimeError, match=r"daskpickle 0\.1\.0 is installed .* daskpickle 99\.0"):
        daskpickle.install()


def test_configuration_has_every_key(installed):
    """What `daskpickle.yaml` says is what the settings are."""
    assert dask.config.get("daskpickle.install") is False
    assert (settings.idle_timeout, settings.limit, settings.contents_limit) == (300, 256, 2**20)
    keys = {"handles.idle-timeout": "2s", "handles.limit": 7, "files.contents-limit": "1 kB"}
    with dask.config.set({f"daskpickle.{key}": value for key, value in keys.items()}):
        config.apply()
        assert (settings.idle_timeout, settings.limit, settings.contents_limit) == (2, 7, 1000)
    with dask.config.set({"daskpickle.actions": {"_thread.lock": "refuse"}}):
        config.apply()
        with pytest.raises(RefusedError, match="The policy refuses it"):
            daskpickle.dumps(threading.Lock())
    config.apply()
    daskpickle.dumps(threading.Lock())


def test_a_newer_wire_version_is_a_sentence(monkeypatch):
    """A stream that a newer daskpickle wrote names node and both versions; nothing of it loads."""
    guard = wire.guard
    monkeypatch.setattr(daskpickle, "WIRE_VERSION", 0)
    monkeypatch.setattr(daskpickle, "__version__", "0.0.1")
    mine = r"but daskpickle 0\.0\.1 \(wire version 0\)"
    with pytest.raises(
        VersionError, match=rf"the node .* daskpickle 0\.1\.0 \(wire version 1\), {mine}"
    ):
        pickle.loads(guard + pickle.dumps(print))


def test_the_guard_leaves_the_stream_as_it_is():
    """Behind the guard, memo and stack are those of the stream alone."""
    shared = ["x"]
    obj = {"a": shared, "b": [shared, shared, {"c": shared}]}
    loaded = pickle.loads(wire.guard + pickle.dumps(obj))
    assert loaded == obj
    assert loaded["b"][2]["c"] is loaded["a"]


def test_a_task_that_cannot_be_loaded_fails_alone(client):
    """A plain task whose argument raises where it is loaded is that task's failure."""
    with pytest.raises(ValueError, match="not on a worker"):
        client.submit(len, [_OnlyHere()], pure=False).result(timeout=SECONDS)
    assert client.submit(len, "abc").result(timeout=SECONDS) == 3
    assert len(client.nthreads()) == 2


class _OnlyHere:
    """Loads where its scheduler is, and on no worker."""

    def __reduce__(self):
        return _load_here, ()


def _load_here():
    if any(worker.status.name == "running" for worker in distributed.Worker._instances):
        raise ValueError("This does not load: not on a worker.")
    return _OnlyHere()


def test_a_task_that_the_scheduler_cannot_send_fails_alone(client):
    """A task that the scheduler holds and cannot pickle is that task's failure."""
    with pytest.raises(Exception, match="not a second time"):
        client.submit(len, [_OnlyOnce()], pure=False).result(timeout=SECONDS)
    assert client.submit(len, "abcd").result(timeout=SECONDS) == 4
    assert len(client.nthreads()) == 2


class _OnlyOnce:
    """Can be pickled until it was loaded."""

    loaded = False

    def __reduce__(self):
        if self.loaded:
            raise ValueError("This does not leave: not a second time.")
        return _load_once, ()


def _load_once():
    once = _OnlyOnce()
    once.loaded = True
    return once


def test_a_loose_match_takes_no_graph_for_a_task(client):
    """A graph that cannot be loaded fails as a graph does in Dask."""
    frame = dd.from_pandas(pd.DataFrame({"x": [1]}), npartitions=1)
    broken = frame.map_partitions(lambda part, o: part, _Unloadable(), meta={"x": int})
    with pytest.raises(RuntimeError, match="deserialization of the task graph"):
        client.compute(broken).result(timeout=SECONDS)


class _Unloadable:
    def __dask_tokenize__(self):
        return "unloadable"

    def __reduce__(self):
        return _fail, ()


def _fail():
    raise ValueError("This loads nowhere.")


@pytest.mark.parametrize("direct", [False, True])
def test_a_refused_result_is_the_clients_error(client, direct):
    """A result that cannot travel names its task, its type and the worker."""
    future = client.submit(_generate, pure=False)
    with pytest.raises(RefusedError) as caught:
        client.gather(future, direct=direct)
    error = caught.value
    assert error.type_name == "generator"
    assert error.path == f"task {future.key!r}.result"
    assert error.host in client.nthreads()


def _generate():
    return (n for n in [])


def test_a_task_whose_input_is_refused_fails(client):
    """A task on another worker that needs it fails with the sentence, used or not."""
    first, second = client.nthreads()
    result = client.submit(_generate, workers=[first], pure=False)
    other = client.submit(lambda unused: 1, result, workers=[second], pure=False)
    with pytest.raises(RefusedError, match=r"Cannot pickle generator at `task .*result`"):
        other.result(timeout=SECONDS)


def test_an_actors_refused_result_is_the_calls_error(client):
    """A method's result that cannot travel raises where it is waited for."""
    actor = client.submit(Maker, actor=True).result(timeout=SECONDS)
    assert actor.number().result(timeout=SECONDS) == 1
    with pytest.raises(RefusedError, match="Cannot pickle generator"):
        actor.generate().result(timeout=SECONDS)


class Maker:
    def number(self):
        return 1

    def generate(self):
        return _generate()


@pytest.mark.parametrize(
    "send",
    [
        lambda client, obj: client.scatter([obj]),
        lambda client, obj: client.run(len, obj),
        lambda client, obj: client.run_on_scheduler(len, obj),
        lambda client, obj: distributed.Queue("q", client=client).put(obj),
        lambda client, obj: distributed.Variable("v", client=client).set(obj),
        lambda client, obj: client.set_metadata("m", obj),
        lambda client, obj: client.publish_dataset(obj, name="refused"),
        lambda client, obj: client.submit(len, obj),
        lambda client, obj: client.map(len, [obj]),
        lambda client, obj: client.compute(dask.delayed(len)(obj)),
        lambda client, obj: client.register_plugin(_Plugin(obj)),
    ],
)  # fmt: skip
def test_a_request_is_refused_before_it_leaves(client, send):
    """Whatever a client sends raises in the call, names the type, and reaches no other process."""
    with pytest.raises(RefusedError, match="generator") as caught:
        send(client, {"deep": [_generate()]})
    assert caught.value.host is None
    assert len(client.nthreads()) == 2


class _Plugin(WorkerPlugin):
    name = "refused"

    def __init__(self, obj):
        self.obj = obj


@pytest.mark.parametrize("container", [lambda c: c, lambda c: [c], lambda c: {"c": c}])
def test_a_scattered_connection_is_read_in_its_own_thread(client, tmp_path, container):
    """Dask pickles it on an event loop; sqlite answers the caller's thread only."""
    connection = sqlite3.connect(tmp_path / "some.db")
    try:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        future = client.scatter([container(connection)])[0]
        task = client.submit(_ask, future, pure=False)
        assert task.result(timeout=SECONDS) == ("Connection", (0,))
    finally:
        connection.close()


def _ask(value):
    connection = value[0] if type(value) is list else value["c"] if type(value) is dict else value
    return type(connection).__name__, connection.execute("SELECT count(*) FROM t").fetchone()


def test_columns_of_objects_say_what_to_do(client):
    """A P2P shuffle of objects fails with a sentence that names the way out, which works."""
    with dask.config.set({"dataframe.convert-string": False}):
        frame = pd.DataFrame({"a": range(6), "b": [threading.Lock()] * 6})
        frame = dd.from_pandas(frame, npartitions=2)
        with pytest.raises(RefusedError, match=r"through Arrow.*column b.*shuffle_method='tasks'"):
            frame.shuffle("a", shuffle_method="p2p").compute(scheduler=client)
        assert len(frame.shuffle("a", shuffle_method="tasks").compute(scheduler=client)) == 6


def test_tokens_need_no_opening(installed):
    """The key of a handle is its token's; the key of a lock its own; nothing is opened for it."""

    class Client:
        def __init__(self, url):
            self.url = url

    daskpickle.register(Client, recipe=lambda c: (c.url,), open=_never)
    try:
        mine, other = Client("a"), Client("a")
        handle = daskpickle.loads(daskpickle.dumps(mine))
        assert type(handle) is not Client
        assert tokenize(handle) == tokenize(daskpickle.loads(daskpickle.dumps(mine)))
        assert tokenize(handle) != tokenize(daskpickle.loads(daskpickle.dumps(other)))
        assert isinstance(handle, Handle) or issubclass(type(handle), Handle)
    finally:
        daskpickle.unregister(Client)
    first, second = threading.Lock(), threading.Lock()
    assert tokenize([first]) == tokenize([first]) != tokenize([second])
    assert len(pool) == 0


def _never(url):
    raise AssertionError("This must not be opened.")


def test_what_a_task_depends_on_is_opened(client):
    """A handle that another task returned is a real object in the next one."""
    counts = client.submit(_counted, client.submit(_make_thing, pure=False), pure=False)
    assert counts.result(timeout=SECONDS) == ("Thing", True)


class Thing:
    def __init__(self, name):
        self.name = name


def _make_thing():
    daskpickle.register(Thing, _reduce_thing, scope="fresh", replace=True)
    return Thing("made")


def _reduce_thing(thing):
    return Recipe(Thing, thing.name)


def _counted(thing):
    return type(thing).__name__, thing.name == "made"


def test_a_failing_task_raises_its_own_error(client):
    """A task's failure shows the function's own error, not one of ours."""
    lock = threading.Lock()

    def fail():
        with lock:
            raise ZeroDivisionError("the user's own")

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        client.submit(fail, pure=False).result(timeout=SECONDS)
