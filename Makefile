# Every target sets up what it needs in .venv: no root, no docker, only Python >= 3.10 and make.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip, with a line per package instead of its usual page.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
SHOW := 2>&1 | sed -u -n -e 's/^Collecting \([^ ]*\).*/    \1/p' -e '/^ERROR/p' -e 's/^Installing collected.*/    installing them/p'

.PHONY: help demo test fire soak test-matrix conformance seaweedfs conditions slow oracle bench lint types format clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: $(VENV)/demo-installed ## Run the demo pipeline on servers of its own
	@$(BIN)/s3kv demo

test: $(VENV)/dev-installed ## Run the tests
	@$(BIN)/pytest -n 2 --dist worksteal

fire: $(VENV)/dev-installed ## Run the tests on servers and networks that break: some three minutes
	@$(BIN)/pytest tests/fire -m fire -rs

SECONDS_OF_EACH ?= 300

soak: $(VENV)/dev-installed .ceph/complete ## Kill and stop workers on Ceph and SeaweedFS for ten minutes: SECONDS_OF_EACH=60 for two
	@$(BIN)/python -m tests.fire.soak --server ceph --server seaweedfs --seconds $(SECONDS_OF_EACH)

test-matrix: ## Run what hangs on Prefect and boto3 on the oldest and the newest of both, and of Python
	@$(PYTHON) -m tests.support.matrix -n 2 --dist worksteal

conformance: $(VENV)/dev-installed .ceph/complete ## Run the contracts of the store on real servers, and slow tests
	@$(BIN)/pytest -n 2 --dist worksteal tests/contracts --server ceph -m "not long" -rs
	@$(BIN)/pytest -n 2 --dist worksteal --ignore tests/contracts -m "slow and not long" -rs
	@test -z "$${S3KV_TEST_ENDPOINT:-}" || $(BIN)/pytest tests/contracts --server endpoint -rs

seaweedfs: $(VENV)/dev-installed ## Run all contracts of the store on SeaweedFS, also the slow ones
	@$(BIN)/pytest -n 2 --dist worksteal tests/contracts --server seaweedfs -m "slow or not slow" -rs

# What neither moto nor Ceph shows: conditions that hold in buckets with versions and locks.
CONDITIONAL := $(addprefix tests/contracts/test_, $(addsuffix .py, \
	capabilities conditions examination guard leases lock_races locks outputs))

conditions: $(VENV)/dev-installed ## Run the contracts that only SeaweedFS carries in full, on it: two minutes
	@$(BIN)/pytest -n 2 --dist worksteal $(CONDITIONAL) --server seaweedfs -rs

slow: $(VENV)/dev-installed .ceph/complete ## Run the tests that `make test` leaves out; on Ceph, those that `make conformance` does
	@S3KV_TEST_KILLS=10 $(BIN)/pytest -n 2 --dist worksteal -m slow -rs
	@$(BIN)/pytest -n 2 --dist worksteal tests/contracts --server ceph -m long -rs

oracle: $(VENV)/dev-installed .ceph/complete ## Hold plans over 20,000 objects against a brute force: some 40 minutes
	@S3KV_TEST_OBJECTS=20000 $(BIN)/pytest tests/contracts/test_cleanup_oracle.py --server ceph -m slow --timeout 0
	@S3KV_TEST_OBJECTS=20000 $(BIN)/pytest tests/contracts/test_cleanup_oracle.py -m slow --timeout 0

bench: $(VENV)/bench-installed .ceph/complete ## Compare with what else people use: most of an hour
	@$(BIN)/python -m tests.benchmarks.task_runs
	@$(BIN)/python -m tests.benchmarks.results
	@$(BIN)/python -m tests.benchmarks.tag_search
	@$(BIN)/python -m tests.benchmarks.cleanup
	@$(BIN)/python -m tests.benchmarks.checkpoints
	@$(BIN)/python -m tests.benchmarks.seals
	@$(BIN)/python -m tests.benchmarks.keys
	@$(BIN)/python -m tests.benchmarks.code_keys

.ceph/complete: | $(VENV)/dev-installed
	@echo "==> unpacking Ceph's Debian packages into .ceph: 66 MB, once"
	@$(BIN)/python -m tests.servers.ceph fetch

lint: $(VENV)/dev-installed ## Check style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/dev-installed ## Check types
	@$(BIN)/mypy

format: $(VENV)/dev-installed ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean: ## Remove what the other targets made
	@rm -rf $(VENV) .matrix build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "s3kv_flows needs Python 3.10 or newer: make PYTHON=python3.x ...")'
	@echo "==> making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo-installed: pyproject.toml | $(VENV)/bin/python
	@echo "==> installing s3kv_flows and what the demo needs: about a minute, once"
	@$(INSTALL) -e '.[demo]' $(SHOW)
	@touch $@

$(VENV)/dev-installed: pyproject.toml | $(VENV)/bin/python
	@echo "==> installing s3kv_flows and what its tests need: about a minute, once"
	@$(INSTALL) -e '.[dev]' $(SHOW)
	@touch $@ $(VENV)/demo-installed

$(VENV)/bench-installed: $(VENV)/dev-installed
	@echo "==> installing s3kv_flows and what the benchmarks compare it with: about three minutes, once"
	@$(INSTALL) -e '.[bench]' $(SHOW)
	@touch $@
