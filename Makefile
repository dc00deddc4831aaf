# Headstart's own commands. `make` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
INSTALLED := $(VENV)/.installed
# the tests of a file stay together: they share a service
QUICK := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile
HOME_FOLDER ?= $(CURDIR)/.headstart

.PHONY: help install quickstart up down test test-slow browser check bench lock

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Make the environment and fetch the demo backbones and data (the only step that needs a network)

$(INSTALLED): $(LOCK) pyproject.toml server/pyproject.toml headstart/demos.py $(wildcard headstart/demo_assets/*.py)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Headstart needs Python 3.11 with venv (Debian: apt-get install python3.11-venv)."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e ./server
	$(BIN)/python -m headstart.demos fetch
	@touch $@

quickstart: install ## Start the service, adapt a real model to real data, and leave it running
	@$(BIN)/headstart up --detach --home $(HOME_FOLDER)
	@$(BIN)/python examples/quickstart.py --home $(HOME_FOLDER)

up: install ## Run the service in the foreground
	$(BIN)/headstart up --home $(HOME_FOLDER)

down: ## Stop the service
	@test ! -x $(BIN)/headstart || $(BIN)/headstart down --home $(HOME_FOLDER)

test: install ## Run the tests (ten minutes at most on two cores)
	$(QUICK)

test-slow: install ## Run the long suites: faults and matrices
	$(BIN)/python -m pytest -m slow

browser: ## Install Debian's Chromium for the tests that look at the pages (needs root and Debian)
	@test -x /usr/bin/chromium || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }

check: install ## All that CI asks of a change: format, lint, types, imports, stale files, tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/openapi.py --check
	$(BIN)/python tools/references.py --check
	$(QUICK)

bench: install ## Measure, on an otherwise idle machine
	$(BIN)/python -m benchmarks.second_job
	$(BIN)/python -m benchmarks.fine_tuning speed
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.append_rows
	$(BIN)/python -m benchmarks.cache
	$(BIN)/python -m benchmarks.cached_training

lock: ## Compile the lock files in requirements/ anew from the pyproject files
	$(BIN)/python tools/lock.py
