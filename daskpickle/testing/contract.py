"""The contract of a reducer: what must be true of every class that a room registers."""

from __future__ import annotations

import gc
import os
import pickle
import pickletools
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import pytest

import daskpickle
from daskpickle import handles, identity
from daskpickle.errors import RefusedError, describe_type

__all__ = ["ReducerContract", "elsewhere"]

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Be another process as far as handles can tell: nothing that was made here is known.

    What is loaded inside is made anew, and does not come home as the original.
    """
    handles.pool.close_all()
    here = identity.identities, identity.kept
    try:
        identity.identities, identity.kept = identity.Identities(), {}
        yield
    finally:
        handles.pool.close_all()
        identity.identities, identity.kept = here


class ReducerContract:
    """Tests for one class and one action; a subclass named ``Test...`` says what to test.

    Define `make` and `same`, or `refused` alone for what never travels, and what else applies. A
    test whose hook is not defined does not exist in the subclass: nothing is skipped. What `make`
    needs (a server, a folder) may come from an autouse fixture that sets attributes of ``self``.

    Examples
    --------
    >>> from daskpickle.testing import ReducerContract
    >>> class TestLabClient(ReducerContract):
    ...     def make(self):
    ...         return LabClient("lab://host")
    ...     def same(self, sent, received):
    ...         return received.url == sent.url
    """

    #: The actions to choose, as for `daskpickle.Policy`; none chooses the defaults.
    policy: ClassVar[dict[str, str]] = {}
    #: A marker that `make` uses as password or key, and that must not be in the bytes.
    secret: ClassVar[str | None] = None
    #: What using it raises where its `target` is missing; None if it works all the same.
    absent: ClassVar[type[Exception] | None] = daskpickle.HandleError

    #: Seconds that threads and processes have to end after their use.
    patience: ClassVar[float] = 10.0

    # --- What a subclass says -------------------------------------------------------------------

    def make(self) -> Any:
        """Return a new object, in a state worth keeping: moved, set, filled."""
        raise NotImplementedError

    def same(self, sent: Any, received: Any) -> bool | None:
        """Assert, or return whether, ``received`` does what ``sent`` does. It may use both."""
        raise NotImplementedError

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        """Return pairs: what makes an object that is refused, and a regular expression for why."""
        raise NotImplementedError

    def state(self, obj: Any) -> Any:
        """Return what of ``obj`` pickling must leave alone: position, lock, transaction."""
        return repr(obj)

    def close(self, obj: Any) -> None:
        """Let go of what `make`, or a factory of `refused`, made."""

    def target(self, obj: Any) -> Path:
        """Return the file or folder that ``obj`` stands for, which must never be created."""
        raise NotImplementedError

    @staticmethod
    def use(received: Any) -> Any:
        """Use what arrived, in a fresh interpreter; return a plain value that tells of it.

        Travels by value: it may use what is imported in its module, but not ``self``.
        """
        raise NotImplementedError

    # --- What that comes to ---------------------------------------------------------------------

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refusals = "test_refusals_say_why_and_travel_themselves"
        tests = [name for name in dir(ReducerContract) if name.startswith("test_")]
        applies = dict.fromkeys(tests, cls.make is not ReducerContract.make)
        for hook, test in (
            ("refused", refusals),
            ("secret", "test_no_secret_is_in_the_bytes"),
            ("target", "test_what_is_absent_is_not_created"),
            ("use", "test_a_fresh_interpreter_can_use_it"),
        ):
            said = getattr(cls, hook) is not getattr(ReducerContract, hook)
            applies[test] = said and (applies[test] or test == refusals)
        for test, it_does in applies.items():
            if not it_does:
                setattr(cls, test, None)
            elif getattr(cls, test) is None:  # a base did not have the hook
                setattr(cls, test, getattr(ReducerContract, test))

    @contextmanager
    def _made(self, make: Callable[[], Any] | None = None) -> Iterator[Any]:
        obj = (make or self.make)()
        try:
            with daskpickle.use_policy(self.policy):
                yield obj
        finally:
            self.close(obj)
            _let_go()

    def _fresh(self, sent: bytes, *, use: bool = False) -> dict[str, Any]:
        """Send to a fresh interpreter, and return its answer."""
        task = {"sent": sent, "protocol": sent[1], "use": None}
        if use:
            module = sys.modules[type(self).use.__module__]
            cloudpickle.register_pickle_by_value(module)
            try:
                task["use"] = cloudpickle.dumps(type(self).use)
            finally:
                cloudpickle.unregister_pickle_by_value(module)
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("_fresh.py"))],
                input=pickle.dumps(task),
                capture_output=True,
                cwd=empty,
                env={**os.environ, "PYTHONPATH": path},
                timeout=60,
            )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        answer: dict[str, Any] = pickle.loads(done.stdout)
        return answer

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_it_travels(self, protocol: int) -> None:
        """What arrives in another process does what was sent."""
        with self._made() as sent:
            data = daskpickle.dumps(sent, protocol)
            with elsewhere():
                received = daskpickle.loads(data)
                assert isinstance(received, type(sent))
                assert self.same(sent, received) is not False

    def test_it_repeats_what_arrived(self) -> None:
        """Pickled again where it arrived, even under another policy, it is the same bytes."""
        with self._made() as sent:
            data = daskpickle.dumps(sent)
            with elsewhere(), daskpickle.use_policy({}):
                assert daskpickle.dumps(daskpickle.loads(data)) == data

    def test_the_same_state_gives_the_same_bytes(self) -> None:
        """An object that nobody touched is pickled as the same bytes each time."""
        with self._made() as sent:
            assert daskpickle.dumps(sent) == daskpickle.dumps(sent)

    def test_a_task_gets_the_real_thing(self) -> None:
        """Inside a task it is an object of its own type, and no stand-in for one."""
        with self._made() as sent:
            data = daskpickle.dumps(sent)
            with elsewhere(), handles.running_task(), handles.opening():
                received = daskpickle.loads(data)
                assert issubclass(type(received), type(sent))
                assert self.same(sent, received) is not False
                del received

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """Loading, looking and pickling again open, connect, run and create nothing."""
        with self._made() as sent:
            data = daskpickle.dumps(sent)
            answer = self._fresh(data)
            assert answer["events"] == []
            assert answer["opened"] == {}
            assert answer["listing"] == []
            assert _spelled_out(answer["again"]) == _spelled_out(data)

    def test_a_fresh_interpreter_can_use_it(self) -> None:
        """A process that has imported nothing gets out of it what this one gets."""
        with self._made() as sent:
            data = daskpickle.dumps(sent)
            used = self._fresh(data, use=True)["used"]
            with elsewhere():
                assert used == type(self).use(daskpickle.loads(data))

    def test_aliases_stay_aliases(self) -> None:
        """One object that is held three times arrives as one object."""
        with self._made() as sent, elsewhere():
            first, second, third = daskpickle.loads(daskpickle.dumps([sent, sent, {"k": sent}]))
            assert first is second
            assert first is third["k"]

    def test_the_sender_is_untouched(self) -> None:
        """Pickling changes nothing on the sender: no position, lock, transaction or descriptor."""
        with self._made() as sent:
            before = self.state(sent), _held()
            daskpickle.dumps(sent)
            assert (self.state(sent), _held()) == before

    def test_nothing_leaks(self) -> None:
        """After its use all descriptors are closed and all threads have ended."""
        gc.collect()  # what earlier tests left behind is not to vanish meanwhile
        _let_go()
        before = _held()
        with self._made() as sent:
            data = daskpickle.dumps(sent)
            with elsewhere():
                received = daskpickle.loads(data)
                self.same(sent, received)
                del received
        del sent
        _let_go()
        deadline = time.monotonic() + self.patience
        while _held() != before and time.monotonic() < deadline:
            gc.collect()
            threading.Event().wait(0.01)
        assert _held() == before

    def test_refusals_say_why_and_travel_themselves(self) -> None:
        """Each refusal names the type and the place, says why and what to do, and is picklable."""
        for make, why in self.refused():
            with self._made(make) as obj:
                before = self.state(obj)
                with pytest.raises(RefusedError) as caught:
                    daskpickle.dumps({"here": obj})
                error = caught.value
                assert re.search(why, error.why) or re.search(why, str(error))
                assert self.state(obj) == before
                assert error.type_name == describe_type(obj)
                assert "['here']" in str(error.path)
                assert f"{error.type_name} at `{error.path}`: " in str(error)
                assert error.why.startswith(("It ", "Its "))
                assert error.why.endswith(".")
                assert error.hint[:1].isupper()
                assert error.hint.endswith(".")
                for protocol in PROTOCOLS:
                    copy = pickle.loads(pickle.dumps(error, protocol))
                    assert type(copy) is type(error)
                    assert str(copy) == str(error)
                    assert vars(copy) == vars(error)
                error.__traceback__ = None
                del caught, error

    def test_the_reduced_value_is_well_formed(self) -> None:
        """It starts with a function that can be imported, from the module of the reducer."""
        with self._made() as sent:
            reduced = daskpickle.Pickler(_Sink()).dispatch_table[type(sent)](sent)
            assert isinstance(reduced, tuple)
            assert 2 <= len(reduced) <= 6
            rebuild, args = reduced[:2]
            assert isinstance(args, tuple)
            if rebuild is handles.rebuild_handle:
                rebuild = args[3]
            cls = type(sent)
            bases = cls.__mro__[:-1] or (cls,)
            reducers = [r.reducer for r in daskpickle.registrations() if r.cls in bases]
            module = getattr(rebuild, "__module__", None)
            own = {getattr(reducer, "__module__", None) for reducer in reducers}
            neutral = any(getattr(reducer, "neutral", False) for reducer in reducers)
            if module == "copyreg" or (module not in own and neutral):  # a reducer may decline
                assert pickle.loads(cloudpickle.dumps(rebuild)) == rebuild  # any node has it
                return
            assert getattr(sys.modules[str(module)], rebuild.__qualname__, None) is rebuild
            assert module in own

    def test_no_secret_is_in_the_bytes(self) -> None:
        """Passwords and keys do not travel in the open."""
        assert self.secret
        with self._made() as sent:
            data = daskpickle.dumps(sent)
            assert self.secret.encode() not in data
            assert self.secret.encode("utf-16-le") not in data

    def test_what_is_absent_is_not_created(self) -> None:
        """Where the file that it stands for is missing, nothing is put in its place."""
        with self._made() as sent:
            target = self.target(sent)
            hidden = target.with_name(target.name + ".hidden")
            data = daskpickle.dumps(sent)
            target.rename(hidden)
            try:
                before = sorted(target.parent.iterdir())
                with elsewhere():
                    received = daskpickle.loads(data)
                    if self.absent is None:
                        self.same(sent, received)
                    else:
                        with pytest.raises(self.absent):
                            type(self).use(received)
                    assert sorted(target.parent.iterdir()) == before
                    del received
            finally:
                hidden.rename(target)


class _Sink:
    def write(self, data: bytes, /) -> None:
        """Forget it."""


def _spelled_out(data: bytes) -> list[Any]:
    """Return what a pickle says, with its strings written out where they are repeated.

    A string is repeated by reference if it is the same object, and not if it is an equal one.
    Whether the name of ``socket.socket`` is its module's depends on who imports the module first.
    """
    said: list[Any] = []
    memo: list[Any] = []
    for opcode, arg, _ in pickletools.genops(data):
        if opcode.name == "MEMOIZE":
            memo.append(said[-1] if "UNICODE" in said[-1][0] else ("GET", len(said)))
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            said.append(memo[arg])  # type: ignore[index]
        elif opcode.name != "FRAME":
            said.append((opcode.name, arg))
    return said


def _held() -> tuple[list[str], list[str]]:
    """Return the open descriptors, where there is a /proc, and the threads of this process."""
    descriptors = []
    with suppress(FileNotFoundError):
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the descriptor that lists the folder is closed by now
                descriptors.append(f"{entry.name}: {entry.readlink()}")
    return sorted(descriptors), sorted(thread.name for thread in threading.enumerate())


def _let_go() -> None:
    """Close what the pool holds, and wait for the thread that closes what is idle."""
    gc.collect(1)  # what a test has made is young; all that was ever imported takes a while
    handles.pool.close_all()
    for thread in threading.enumerate():
        if thread.name == "daskpickle-reaper":
            thread.join(10)
