# The project's commands. Each sets up what it needs in .venv; "make help" lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help demo test lint bench conformance conformance-baseline clean

help:
	@echo "make demo   forward real files through every reactor of this machine; prints a table (under a minute)"
	@echo "make test   run the tests"
	@echo "make lint   ruff and mypy --strict"
	@echo "make bench  measure against C, uvloop, asyncio and Twisted; writes docs/benchmarks/"
	@echo "make conformance  Twisted's own tests on its reactors and on ours: a table, and what differs; ARGS=programs: under trial"
	@echo "make conformance-baseline  keep what Twisted's own reactors pass; make test compares ours with that"
	@echo "make clean  remove .venv and caches"

demo: $(VENV)/.base
	$(BIN)/python -m examples.demo

test: $(VENV)/.test
	@tools/debian-packages strace ip=iproute2 openssl curl wrk
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	@tools/debian-packages cc=gcc /usr/include/stdlib.h=libc6-dev openssl /usr/include/openssl/ssl.h=libssl-dev wrk
	$(BIN)/python -m benchmarks $(ARGS)

conformance: $(VENV)/.conformance
	$(BIN)/python -m tools.conformance $(ARGS)

conformance-baseline: $(VENV)/.conformance
	$(BIN)/python -m tools.conformance --own --json tools/conformance/baseline.json $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ropewalk needs Python 3.11 or later as $(PYTHON); name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.base: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench $(VENV)/.conformance: $(VENV)/.%: $(VENV)/.base
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	@touch $@
