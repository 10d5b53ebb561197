"""Imports point one way: errors <- handles <- table <- policy <- pickler <- cluster."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import daskpickle

PACKAGE = Path(daskpickle.__file__).parent
TOP = "the top level"

# What each module may import of ours. A new module goes in here, or the test fails.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "identity": {"errors"},
    "pool": {"errors", "identity"},
    "samefile": {"identity"},
    "handles": {"errors", "identity", "pool", "samefile"},
    "plugins": {"errors"},
    "compiled": set(),
    "unloadable": set(),
    "subclasses": set(),
    "functions": {"identity", "prelude"},
    "classes": {"errors", "functions", "identity"},
    "table": {
        "classes",
        "compiled",
        "errors",
        "functions",
        "handles",
        "identity",
        "pool",
        "subclasses",
        "unloadable",
    },
    "resolved": {"compiled", "pool", "table"},
    "prelude": set(),
    "quick": {"classes", "errors", "functions", "pool", "prelude", "resolved", "table"},
    "reducers": {"plugins", "table"},  # the index: it imports no room
    "policy": {"errors", "table"},
    "pickler": {
        "classes",
        "errors",
        "functions",
        "handles",
        "policy",
        "quick",
        "reducers",
        "resolved",
        "table",
    },
    "paths": {"errors", "handles", "table"},
    "_autostart": set(),
    "cli": {TOP},
    "__main__": {"cli"},
    "pytest_plugin": set(),
}
# Only inside a function: for what is rarely needed, nothing is paid where it is not.
LAZY_ARROWS = {
    "pickler": {"paths"},  # when a dump has failed
    "_autostart": {"cluster"},  # when the configuration says so
    "cli": {"cluster", "diagnose", "policy"},  # when a command runs: Dask loads it with its own
    "pytest_plugin": {TOP},  # when a test asks for it
}
# What a diagnosis reads: it has no rules of its own, and sends nothing.
DIAGNOSE = {"diagnose", "errors", "paths", "pickler", "table"}
ROOM = {TOP, "errors", "handles"}
NOT_FOR_ROOMS = {"Policy", "use_policy", "install", "uninstall"}

CORE = {p.stem: p for p in sorted(PACKAGE.glob("*.py")) if p.stem != "__init__"}
CORE["reducers"] = PACKAGE / "reducers" / "__init__.py"
ROOMS = [p for p in sorted(PACKAGE.glob("reducers/*.py")) if p.stem != "__init__"]
# Dask calls _autostart while it is imported itself; all others leave Dask to cluster.
DASK_FREE = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if PACKAGE / "cluster" not in path.parents and path.stem != "_autostart"
]


def imports(path: Path) -> Iterator[tuple[list[str], bool]]:
    """Each name that a file imports, in parts, and whether inside a function.

    What only a type checker reads is no arrow.
    """
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    pending: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text(encoding="utf-8")), False)]
    while pending:
        node, lazy = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.split("."), lazy) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            above = list(package[: len(package) + 1 - node.level]) if node.level else []
            source = above + (node.module.split(".") if node.module else [])
            yield from (([*source, alias.name], lazy) for alias in node.names)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        pending.extend((child, lazy) for child in ast.iter_child_nodes(node))


def layer(name: list[str]) -> str:
    """The module of ours that a name belongs to: ['daskpickle', 'errors', 'X'] -> 'errors'."""
    first = name[1] if len(name) > 1 else ""
    here = (PACKAGE / f"{first}.py").exists() or (PACKAGE / first / "__init__.py").exists()
    return first if first and here else TOP


def ours(path: Path) -> Iterator[tuple[list[str], bool]]:
    """What a file imports of this package."""
    return ((name, lazy) for name, lazy in imports(path) if name[0] == "daskpickle")


@pytest.mark.parametrize("module", CORE)
def test_a_core_module_imports_only_what_lies_below_it(module: str) -> None:
    assert module in ARROWS, "A new module: say in ARROWS what it may import."
    lazy_too = ARROWS[module] | LAZY_ARROWS.get(module, set())
    for name, lazy in ours(CORE[module]):
        assert layer(name) in (lazy_too if lazy else ARROWS[module]), ".".join(name)


@pytest.mark.parametrize(
    "path", DASK_FREE, ids=lambda p: str(p.relative_to(PACKAGE).with_suffix(""))
)
def test_only_cluster_imports_dask(path: Path) -> None:
    assert not {name[0] for name, _ in imports(path)} & {"dask", "distributed"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "diagnose").glob("*.py")), ids=lambda p: p.stem)
def test_a_diagnosis_only_reads(path: Path) -> None:
    assert {layer(name) for name, _ in ours(path)} <= DIAGNOSE


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: p.stem)
def test_a_room_imports_the_public_surface_and_one_package(path: Path) -> None:
    for name, _ in ours(path):
        assert layer(name) in ROOM, ".".join(name)
        assert name[-1] not in NOT_FOR_ROOMS, ".".join(name)
    packages = {name[0] for name, _ in imports(path)} - sys.stdlib_module_names - {"daskpickle"}
    assert len(packages) <= 1, packages
