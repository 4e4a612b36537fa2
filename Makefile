# Every command that people and CI run. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
CODE := shared services embedded tools tests conftest.py

.venv/run: requirements/all.txt
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/all.txt
	@touch $@

.venv/dev: requirements/dev.txt .venv/run
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: help run demo stack env migrate test chaos soak lint format types schemas lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

run: .venv/run ## everything in one process, nothing to install: http://127.0.0.1:8000 (PORT=, DATA_DIR=)
	@exec $(PY) -m embedded

demo: .venv/run ## play the source document's flow against a running `make run`
	@$(PY) -m tools.demo

stack: .venv/run ## separate processes on the local PostgreSQL, RabbitMQ and Redis (EXECUTORS=2)
	@exec $(PY) -m tools.stack

env: .venv/run ## print the environment that the processes need
	@$(PY) -m tools.environment

migrate: .venv/run ## bring the database schemas of DATABASE_URL to their newest version
	@$(PY) -m tools.migrate

test: .venv/dev ## every test; brings up PostgreSQL, RabbitMQ and Redis where they do not answer
	@bash tools/servers.sh
	@$(PY) -m pytest -q -n $${TEST_WORKERS:-4} --dist loadfile

chaos: .venv/dev ## kill 200 processes of a running system, break much else, check that nothing is lost, doubled or unprotected
	@bash tools/servers.sh
	@CHAOS_KILLS=$${CHAOS_KILLS:-200} $(PY) -m pytest -q -s tests/chaos

soak: .venv/dev ## play with executors in slow motion for long (SOAK_EXAMPLES=1000, SOAK_STEPS=100)
	@SOAK_EXAMPLES=$${SOAK_EXAMPLES:-1000} SOAK_STEPS=$${SOAK_STEPS:-100} $(PY) -m pytest -q -s \
	  services/executor/tests/test_executor_soak.py

lint: .venv/dev ## ruff and the architecture's import rules
	@$(PY) -m ruff check $(CODE)
	@$(PY) -m ruff format --check $(CODE)
	@.venv/bin/lint-imports

format: .venv/dev ## put the code into shape
	@$(PY) -m ruff check --fix $(CODE)
	@$(PY) -m ruff format $(CODE)

types: .venv/dev ## mypy, strict
	@$(PY) -m mypy $(CODE)

schemas: .venv/dev ## rewrite the golden JSON Schemas of the messages after a wanted change
	@$(PY) -m tools.schemas

lock: ## resolve and pin all dependencies anew, with hashes (needs uv)
	@for extra in all dev; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate pyproject.toml --extra all \
	  $$([ $$extra = dev ] && echo --group dev) -o requirements/$$extra.txt; done

clean: ## remove the virtual environment and the data of `make run`
	rm -rf .venv .data
