"""Each object of the corpus travels to a fresh process and works there, or is refused here."""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from corpus import DOMAINS, cases

NAMES = [
    (domain, name)
    for domain in DOMAINS
    for name in cases(importlib.import_module(f"corpus.{domain}").CASES)
]


@functools.cache
def outcome(domain: str) -> dict[str, str]:
    """What is wrong with each case of a domain."""
    command = [sys.executable, "-W", "error", "-m", "corpus", domain, "--json"]
    here = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stdout.splitlines() if line.startswith('{"'))
    answers: dict[str, str] = json.loads(said)
    return answers


@pytest.mark.parametrize(("domain", "name"), NAMES, ids=[": ".join(pair) for pair in NAMES])
def test_it_works_where_it_arrives_or_is_refused(domain: str, name: str) -> None:
    """As data and in a task, and after another hop; a refusal says where, why and what to do."""
    assert outcome(domain)[name] == ""
