# What people type. Each target does its own set-up: on a clean clone any of them may be the first command.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test check fmt bench matrix docs lock hooks clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## Show the whole pipeline at work: one session, an outage in its middle, and what came of it
	@$(PYTHON) -m ops.demo

test: .venv/ready ## Run all tests
	@$(PYTHON) -m pytest -n auto --dist worksteal

check: .venv/ready ## Format, lint, types, docs up to date: all that needs no test run
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy images/base/pipeline $$(ls -d images/*/ | grep -v base) scripts/ops
	@$(PYTHON) -m ops.docs --check

fmt: .venv/ready ## Format the code and mend what the linter can
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

bench: .venv/ready ## Measure speed; writes docs/benchmarks.md and bench-results/latest.json
	@$(PYTHON) -m ops.bench

docs: .venv/ready ## Write again the parts of the docs that are generated
	@$(PYTHON) -m ops.docs

lock: .venv/ready ## Resolve the dependencies anew and write the lock files
	@$(PYTHON) -m ops.lock

hooks: .venv/ready ## Install the pre-commit hook
	@.venv/bin/pre-commit install

clean: ## Remove what the other targets made, the local database included
	@rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-results

.venv/ready: requirements.lock pyproject.toml
	@scripts/ops/setup
