"""The index of rooms is complete, and each room has what a room has to have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import daskpickle
from daskpickle.reducers import ROOMS
from daskpickle.table import Registration

TESTS = Path(__file__).parent
FOLDER = Path(daskpickle.__file__).parent / "reducers"
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
every_room = pytest.mark.parametrize("room", FILES)


def registered(room: str) -> list[Registration]:
    """What a room has registered."""
    module = f"daskpickle.reducers.{room}"
    found = daskpickle.registrations(load=True)
    return [r for r in found if r.reducer.__module__ == module]


def test_the_index_is_sorted() -> None:
    """Owners are in alphabetical order, and so are the rooms of each."""
    assert list(ROOMS) == sorted(ROOMS)
    assert [list(rooms) for rooms in ROOMS.values()] == [sorted(rooms) for rooms in ROOMS.values()]


def test_the_index_names_all_rooms_and_no_others() -> None:
    """Each file in the folder has a line, and each line a file."""
    assert sorted({room for rooms in ROOMS.values() for room in rooms}) == FILES


@every_room
def test_a_room_registers_under_its_own_name(room: str) -> None:
    """It has at least one registration, whose room it is, and for an owner that leads to it."""
    found = registered(room)
    assert found
    assert {registration.room for registration in found} == {room}
    owners = {registration.cls.__module__.partition(".")[0] for registration in found}
    assert {owner for owner in owners if room not in ROOMS.get(owner, ())} == set()


@every_room
def test_a_room_says_what_travels_and_what_to_do(room: str) -> None:
    """Each registration fills its line of the table in the docs; each hint is a sentence."""
    for registration in registered(room):
        name = f"{registration.cls_name}, {registration.action}"
        assert registration.hint[:1].isupper(), name
        assert registration.hint.endswith("."), name
        assert registration.refused, name
        if registration.action != "refuse":
            assert registration.travels, name
            assert registration.lost, name


@every_room
def test_a_room_has_tests(room: str) -> None:
    """They are in the file that mirrors its name."""
    assert (TESTS / "reducers" / f"test_{room}.py").is_file()


@every_room
def test_a_room_has_golden_pickles(room: str) -> None:
    """So has each room of which anything travels."""
    travels = any(registration.action != "refuse" for registration in registered(room))
    numbers = [path.name for path in (TESTS / "golden").glob(f"{room}.*.pkl")]
    assert bool(numbers) == travels


def test_loading_and_pickling_at_once_find_the_room(fresh_process: Callable[..., bytes]) -> None:
    """One thread imports a room by unpickling, another one by pickling: neither waits for ever."""
    code = """
        import pickle, sys, threading
        import daskpickle
        from daskpickle import reducers, table

        importing, waiting = threading.Event(), threading.Event()
        add, load = table.Registry.add, reducers.importlib.import_module

        def slow_add(self, new, **options):
            if threading.current_thread() is loading:
                importing.set()
                waiting.wait()
            add(self, new, **options)

        def import_module(name):
            if threading.current_thread() is pickling:
                waiting.set()
            return load(name)

        def dump():
            importing.wait()
            data.append(daskpickle.dumps(threading.Lock()))

        data = []
        table.Registry.add, reducers.importlib.import_module = slow_add, import_module
        payload = sys.stdin.buffer.read()
        loading = threading.Thread(target=pickle.loads, args=(payload,), daemon=True)
        pickling = threading.Thread(target=dump, daemon=True)
        for thread in (loading, pickling):
            thread.start()
        for thread in (loading, pickling):
            thread.join(20)
        print(b"rebuild_numbered_lock" in data[0], loading.is_alive())
    """
    assert fresh_process(code, daskpickle.dumps(threading.Lock())) == b"True False\n"
