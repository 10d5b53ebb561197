# Each target works from a fresh clone: it makes its own virtual environment and installs what it needs.
# Needed before: git, make, a C compiler (OpenCL kernels are linked with it) and Python 3.10 or newer.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# The oldest releases that are supported: the lower bounds in pyproject.toml, and a numpy of their time.
OLDEST := cloudpickle==3.0.0 dask==2025.4.0 distributed==2025.4.0 numpy~=2.2.0
# Requirements that are installed beside the project's own, and what pytest is told.
PINS   :=
PYTEST :=
# So many tests at once; each file of tests stays in one process.
JOBS   := 2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-oldest lint format types reference docs bench clean

help:  ## say what there is to make
	@sed -n 's/^\([a-z-]*\):.*##/\1 \t/p' Makefile | expand -t 14

demo: $(VENV)/.demo  ## run examples/quickstart.py
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.test  ## run the tests; PYTEST='-k locks' chooses some
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST)

test-oldest:  ## run the cluster tests on the oldest supported releases
	@$(MAKE) --no-print-directory test VENV=.venv-oldest PINS='$(OLDEST)' PYTEST='-m "cluster and not slow" $(PYTEST)'

lint: $(VENV)/.lint  ## check style and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

format: $(VENV)/.lint  ## mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.lint $(VENV)/.test  ## check types
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

reference: $(VENV)/.test  ## write the table of reducers in the docs; CHECK=--check only compares
	$(BIN)/python docs/make_reducer_table.py $(CHECK)

docs: $(VENV)/.docs  ## build the docs into docs/_build
	$(BIN)/python -m sphinx -W -q docs docs/_build

bench: $(VENV)/.bench  ## measure
	$(BIN)/python benchmarks

clean:  ## remove everything that was made here
	rm -rf .venv .venv-oldest .mypy_cache .pytest_cache .ruff_cache .hypothesis docs/_build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamp of an extra: what `pip install -e .[extra]` needs has not changed since.
$(VENV)/.%: pyproject.toml | $(VENV)/.made
	@echo "Installing daskpickle[$*] into $(VENV) ..."
	@if $(BIN)/python -m uv --version >/dev/null 2>&1 \
	  && $(BIN)/python -m uv pip install --quiet --python $(BIN)/python -e '.[$*]' $(PINS); then :; \
	  else $(BIN)/python -m pip install --quiet -e '.[$*]' $(PINS); fi
	@touch $@

# uv installs ten times faster than pip; without it, pip does.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "daskpickle needs Python 3.10 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet uv || echo "uv is not to be had here; pip installs instead."
	@touch $@
