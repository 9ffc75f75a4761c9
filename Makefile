# The project's commands. Each sets up what it needs in .venv; "make help" lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What the tests of the GUI toolkits need of Debian: a display, GTK, wx, Tk, and the libraries of Qt's X11 plugin. The
# rest comes from PyPI.
GUI := xvfb xdotool gir1.2-gtk-2.0 gir1.2-gtk-3.0 gir1.2-gtk-4.0 python3-gi python3-gi-cairo python3-wxgtk4.0 \
  python3-tk libxcb-icccm4 libxcb-keysyms1 libxcb-cursor0 libxcb-image0 libxcb-render-util0 libxcb-shape0 libxcb-xkb1 \
  libxkbcommon-x11-0 libegl1 libgl1 libgl1-mesa-dri

# What the tests of Windows need of Debian: Wine, and the scripts of Tcl and Tk. Then the wheels, those named that only
# Windows takes.
WINE := wine wine64 tcl8.6 tk8.6
WHEELS := pytest pytest-timeout click 'twisted[tls,conch,http2]==26.10.*' pyhamcrest hypothesis 'httpx[http2]' idna \
  pyserial colorama tzdata pywin32 twisted-iocpsupport

.PHONY: help demo test test-hosts test-windows test-cf gui windows corefoundation lint bench conformance \
  conformance-baseline clean

help:
	@echo "make demo   forward real files through every reactor of this machine; prints a table (about a minute)"
	@echo "make test   run the tests"
	@echo "make test-hosts ARGS=gtk3   run the contract on one reactor; without ARGS on each GUI toolkit's"
	@echo "make test-windows  run the contract on Windows' Python under Wine; make test-cf: on Apple's CoreFoundation"
	@echo "make lint   ruff and mypy --strict"
	@echo "make bench  measure against C, uvloop, asyncio and Twisted; writes docs/benchmarks/"
	@echo "make conformance  Twisted's own tests on its reactors and on ours: a table, and what differs; ARGS=programs|windows|cf|kqueue"
	@echo "make conformance-baseline  keep what Twisted's own reactors pass; make test compares ours with that"
	@echo "make clean  remove .venv, .testbeds and caches"

demo: $(VENV)/.base
	$(BIN)/python -m examples.demo

test: $(VENV)/.test gui windows corefoundation
	@tools/debian-packages strace ip=iproute2 openssl curl wrk
	$(BIN)/python -m pytest $(ARGS)

test-hosts: $(VENV)/.test gui
	$(BIN)/python -m pytest tests/contract/$(if $(ARGS),test_contract.py --ropewalk-reactor=$(ARGS),test_contract_hosts.py -rP)

test-windows: $(VENV)/.test windows
	$(BIN)/python -m pytest tests/contract/test_contract_hosts.py -rP -k windows $(ARGS)

test-cf: $(VENV)/.test corefoundation
	$(BIN)/python -m pytest tests/contract/test_contract_hosts.py -rP -k corefoundation $(ARGS)

# The beds say themselves why they cannot be made here; their tests are left out then.
windows: $(BIN)/python
	@tools/debian-packages $(WINE)
	-@$(BIN)/python -m tools.testbeds.windows .testbeds/windows $(WHEELS)

corefoundation: $(BIN)/python
	-@$(BIN)/python -m tools.testbeds.corefoundation .testbeds/corefoundation

gui: $(VENV)/.gui-test
	@tools/debian-packages $(GUI)
	@$(BIN)/python tools/link-debian-modules gi cairo wx

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.bench gui corefoundation
	@tools/debian-packages cc=gcc /usr/include/stdlib.h=libc6-dev openssl /usr/include/openssl/ssl.h=libssl-dev wrk
	$(BIN)/python -m benchmarks $(ARGS)

conformance: $(VENV)/.conformance windows corefoundation
	$(BIN)/python -m tools.conformance $(ARGS)

conformance-baseline: $(VENV)/.conformance windows corefoundation
	$(BIN)/python -m tools.conformance --own --json tools/conformance/baseline.json $(ARGS)
	for bed in windows cf kqueue; do \
	  $(BIN)/python -m tools.conformance $$bed --own --json tools/conformance/baseline-$$bed.json || exit 1; done

clean:
	rm -rf $(VENV) .testbeds .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ropewalk needs Python 3.11 or later as $(PYTHON); name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.base: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

# Not every system has wheels of all toolkits: then they are tried again the next time, and their tests are left out.
# pygame takes the same folder as pygame-ce, so it has one of its own.
$(VENV)/.gui-test: $(VENV)/.base
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[gui-test]' && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --only-binary :all: --no-deps --upgrade \
	    --target $(VENV)/pygame pygame && touch $@ || \
	  echo "not installed: GUI toolkits of the extra gui-test, or pygame (pip says why above); their tests are left out"

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench $(VENV)/.conformance: $(VENV)/.%: $(VENV)/.base
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	@touch $@
