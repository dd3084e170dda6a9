# Every developer command. Each target makes what it needs, from a fresh clone.
#   make PYTHON=python3.12 setup     uses another interpreter
#   make test WORKERS=4              uses more processes

PYTHON  ?= python3
WORKERS ?= 2
# Each process has a run of neighbouring tests, which share what they need; who is done takes over from others.
XDIST   := -n $(WORKERS) --dist worksteal

VENV  := .venv
BIN   := $(VENV)/bin
LOCK  := requirements/dev.lock
STAMP := $(VENV)/.stamp

# LSDB and HATS, which only a test needs
LSDB_VENV  := .venv-lsdb
LSDB_LOCK  := requirements/lsdb.lock
LSDB_STAMP := $(LSDB_VENV)/.stamp

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup fmt lint test fault interop interop-lsdb e2e bench docs demo demo-hatp32 demo-s82 demo-surveys check lock clean \
  lint-ruff lint-types lint-layers lint-docs

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## make .venv from the lock file (skipped when it is up to date)

# A venv without pip (Debian without python3-venv) is filled by the system's own pip.
$(STAMP): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'dvo needs Python 3.11 or newer; try: make PYTHON=python3.12 setup' >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || $(PYTHON) -m venv --clear --without-pip $(VENV)
	if test -x $(BIN)/pip; then $(BIN)/python -m pip install --quiet --require-hashes -r $(LOCK); \
	  else $(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r $(LOCK); fi
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

lock:  ## solve the dependencies again and write the lock file
	test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv; }
	.venv-lock/bin/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --upgrade --quiet -o $(LOCK)
	.venv-lock/bin/uv pip compile requirements/lsdb.in --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --upgrade --quiet -o $(LSDB_LOCK)

fmt: $(STAMP)  ## format, mend what ruff can, write the reference pages
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/python tools/docs_commands.py
	$(BIN)/python tools/docs_tables.py
	$(BIN)/python tools/docs_surveys.py
	$(BIN)/python tools/docs_faults.py
	$(BIN)/python tools/docs_public_tables.py

lint: lint-ruff lint-types lint-layers lint-docs  ## ruff, mypy, import-linter, numpydoc, reference pages

lint-ruff: $(STAMP)
	$(BIN)/ruff format --check --quiet --output-format concise
	$(BIN)/ruff check --output-format concise

lint-types: $(STAMP)
	$(BIN)/mypy

lint-layers: $(STAMP)
	$(BIN)/lint-imports --no-logo

lint-docs: $(STAMP)
	$(BIN)/python tools/check_docstrings.py dvo ipp_pipeline
	$(BIN)/python tools/docs_commands.py --check
	$(BIN)/python tools/docs_tables.py --check
	$(BIN)/python tools/docs_surveys.py --check
	$(BIN)/python tools/docs_faults.py --check
	$(BIN)/python tools/docs_public_tables.py --check

test: $(STAMP)  ## all fast tests
	$(BIN)/python -m pytest $(XDIST) -m 'not slow' --doctest-modules dvo ipp_pipeline \
	  $(wildcard tests/unit tests/property tests/architecture tests/e2e)

fault: $(STAMP)  ## crashes, full disks, hostile files
	$(BIN)/python -m pytest $(XDIST) tests/fault

interop: $(STAMP)  ## other FITS readers open our files, and we open theirs
	$(BIN)/python -m pytest $(XDIST) tests/interop

$(LSDB_STAMP): $(LSDB_LOCK)
	test -x $(LSDB_VENV)/bin/pip || $(PYTHON) -m venv $(LSDB_VENV) || $(PYTHON) -m venv --clear --without-pip $(LSDB_VENV)
	if test -x $(LSDB_VENV)/bin/pip; then $(LSDB_VENV)/bin/python -m pip install --quiet --require-hashes -r $(LSDB_LOCK); \
	  else $(PYTHON) -m pip --python $(LSDB_VENV)/bin/python install --quiet --require-hashes -r $(LSDB_LOCK); fi
	@touch $@

interop-lsdb: $(STAMP) $(LSDB_STAMP)  ## LSDB opens the HATS catalogs we write, and we those of LSDB
	DVO_LSDB_PYTHON=$(abspath $(LSDB_VENV)/bin/python) $(BIN)/python -m pytest tests/interop_lsdb

e2e: $(STAMP)  ## the commands on a synthetic sky whose truth is known, the bench, all slow tests
	$(BIN)/python -m pytest $(XDIST) $(wildcard tests/e2e tests/bench)
	$(BIN)/python -m pytest $(XDIST) -m slow tests/unit tests/property

bench: $(STAMP)  ## measure speeds and sizes; writes bench/report.json
	$(BIN)/python tools/bench/run.py

docs: $(STAMP)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

demo: $(STAMP)  ## real and simulated surveys become a database; writes demo/
	$(BIN)/python tools/demo.py

demo-surveys: $(STAMP)  ## four real surveys of the whole sky become databases and are merged
	$(BIN)/python tools/demo_surveys.py

demo-hatp32: $(STAMP)  ## 48 real exposures of HAT-P-32, calibrated, and its light curve
	$(BIN)/python tools/demo_hatp32.py

demo-s82: $(STAMP)  ## real RR Lyrae stars of SDSS Stripe 82, their amplitudes and periods
	$(BIN)/python tools/demo_s82.py

check: lint test fault interop interop-lsdb e2e docs  ## everything

clean:  ## remove what was made, and the environment
	rm -rf $(VENV) $(LSDB_VENV) .venv-lock build dist site demo demo-data bench *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find dvo ipp_pipeline tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
