"""Each object of the corpus goes through a real cluster, by three routes."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from corpus import DOMAINS


@functools.cache
def outcome() -> dict[str, dict[str, str]]:
    """What is wrong with each case, by domain."""
    command = [sys.executable, "-m", "corpus.in_cluster", "--json"]
    here = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stdout.splitlines() if line.startswith('{"'))
    answers: dict[str, dict[str, str]] = json.loads(said)
    return answers


# Slow, and so not for the oldest Dask: it refuses what it has no deterministic token for, such as
# objects of local ctypes classes, with daskpickle or without.
@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize("domain", DOMAINS)
def test_it_works_on_a_worker_or_is_refused_where_it_is_submitted(domain: str) -> None:
    """As an argument, in a closure, and scattered."""
    answers = outcome()[domain]
    assert answers
    assert {name: wrong for name, wrong in answers.items() if wrong} == {}
