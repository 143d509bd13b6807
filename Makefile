# make run    simulate a small survey and run the whole chain on it (SIDE=512: smaller tiles)
# make test   check the code and run the tests
# make bench  time and weigh each stage on a 4096 x 4096 tile, and time the networks
# make external  measure the networks on real images (ARCLET_REAL_DATA names their folder)
# make slow   run the tests that `make test` leaves out
# make lock   renew requirements.lock from pyproject.toml
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := run
.PHONY: run test slow bench external lock setup
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || echo 2)
SIDE ?= 2048
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action ignore
DEMO := --configfile config/demo.yaml --config 'survey={"side": $(SIDE)}'
SNAKEMAKE := snakemake --cores $(CORES) --quiet host rules
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=

run: setup
	@echo "== Simulating a survey: four tiles of $(SIDE) x $(SIDE) pixels, one of them damaged;"
	@echo "   running the chain on it: ingest, detect, cut, five networks, catalog, report"
	@$(SNAKEMAKE) $(DEMO)
	@echo "== Done"
	@echo "   catalog  results/demo/catalog.fits and catalog.parquet"
	@echo "   report   results/demo/report.html"
	@echo "   tiles    results/demo/tiles/; those rejected: results/demo/rejected.csv"

test: setup
	@echo "== Checking the style of the code and of the rules"
	@ruff check --quiet .
	@ruff format --quiet --check .
	@snakefmt --check workflow rules
	@snakemake --configfile config/demo.yaml --lint
	@echo "== Running the tests"
	@python -m pytest --quiet -m "not slow" --numprocesses logical --maxprocesses 4 --dist loadfile

slow: setup
	@python -m pytest --quiet -m slow

bench: setup
	@echo "== Timing the chain on a tile of 4096 x 4096 pixels"
	@python benchmarks/chain.py --cores $(CORES)
	@echo "== Timing the networks"
	@python benchmarks/networks.py

external: setup
	@echo "== Measuring the networks on images that no training saw (ten minutes)"
	@python -m benchmarks.external

lock:
	@echo "== Resolving the versions anew"
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check uv
	@build/lock/bin/uv pip compile --quiet --upgrade --all-extras --generate-hashes --universal --no-header \
	  --python-version 3.11 --output-file requirements.lock pyproject.toml
	@git --no-pager diff --stat -- requirements.lock

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@echo "== Setting up .venv with the versions of requirements.lock (a few minutes, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "arclet needs Python 3.11 or newer: make PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "== Installed"
