# Two commands do all: `make demo` sets up and runs the demo, `make test` sets up and tests.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready
WORKERS ?= 2

.PHONY: help setup demo serve worker test check format bench schema states examples columns lock clean

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Make the virtual environment with the pinned packages

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Python 3.11 or later is needed, this is %d.%d: make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## Run the demo: two customers, two years, then the API on port 8000
	$(BIN)/leasing demo

serve: $(READY) ## Answer HTTP
	$(BIN)/leasing serve

worker: $(READY) ## Run jobs when they are due
	$(BIN)/leasing worker

test: $(READY) ## Run all tests
	$(BIN)/pytest -n $(WORKERS)

check: $(READY) ## Lint, types, import order
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Measure speed and memory against floors taken in the same run
	$(BIN)/python -m bench

schema: $(READY) ## Write docs/schema.sql anew from the migrations
	$(BIN)/python -m tests.house.snapshot

states: $(READY) ## Write docs/states.md anew from the tables of states
	$(BIN)/python -m tests.house.states

examples: $(READY) ## Record the examples of the API and docs/tour.md anew
	$(BIN)/python -m tests.docs.story

columns: $(READY) ## Write the tables of docs/imports.md anew from the columns of sheets
	$(BIN)/python -m tests.sheets.page

lock: ## Pin every dependency with hashes (needs uv)
	uv pip compile pyproject.toml --extra dev --extra pdf --extra mqtt --extra parquet --extra routing --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
