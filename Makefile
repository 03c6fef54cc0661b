# One place for everything one types. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
W ?= w1
N ?=

# Container images often forbid Python to keep compiled files; pytest would then rewrite every assertion at every start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## The virtual environment in .venv, from the lock file

.PHONY: demo
demo: install ## A real control plane, certwright, and Certificates becoming Ready
	$(BIN)/python -m devcluster.demo

.PHONY: check
check: install ## Lint, types, layers, generated files and unit tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target style mypy pyright layers crds
	@$(MAKE) --no-print-directory unit

.PHONY: style mypy pyright layers crds unit
style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
mypy:
	$(BIN)/mypy
pyright:
	$(BIN)/pyright
layers:
	$(BIN)/lint-imports
crds:
	$(BIN)/python -m certwright.api.crdgen --check crds
# Not together with the above: some measure time.
unit:
	$(BIN)/pytest -q -m "not e2e and not slow" --ignore=tests/e2e --numprocesses=auto --maxprocesses=4 --dist=worksteal

.PHONY: programs
programs: install ## What the tests run against (API server, Vault ...), built once; a new machine takes a quarter of an hour
	$(BIN)/python -m devcluster build

.PHONY: test
test: check programs ## Everything, the tests against real components included
	$(BIN)/pytest -m "e2e or slow"

.PHONY: bench
bench: install ## A workload: make bench W=w1 N=1000 (w1 burst, w2 restart, w4 ACME, w6 one issuance, w7 Ingresses)
	$(BIN)/python -m bench $(W) $(if $(N),--count $(N))

.PHONY: generate
generate: install ## Write crds/ from the models in operator/certwright/api
	$(BIN)/python -m certwright.api.crdgen crds

.PHONY: format
format: install ## Format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: install ## Renew the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group build --constraint requirements-dev.lock --output-file requirements-build.lock

.PHONY: clean
clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
