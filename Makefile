# What people type. Each target does its own set-up: on a clean clone any of them may be the first command.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
python := .venv/bin/python
export PYTHONDONTWRITEBYTECODE =

# ENV=local|paper|production. REHEARSE=1 plays the account on this machine; CONFIRM=NAME answers destroy's question.
ENV ?=
terraform = $(python) -m ops.terraform $(1) --env '$(ENV)' $(if $(REHEARSE),--rehearse)

.PHONY: help demo test bootstrap plan apply destroy drift cost build-images push local-aws check fmt bench matrix score drill docs schema lock hooks clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## Play the incident on the deployed system, on this machine; KEEP=1 leaves it running
	@$(python) -m ops.demo

test: .venv/ready ## Run all tests, or those of ONLY=tests/some/path
	@$(python) -m pytest -n auto --dist worksteal $(ONLY)

check: .venv/ready ## Look at format, lint, types and generated docs; runs no test
	@$(python) -m ruff format --check .
	@$(python) -m ruff check .
	@$(python) -m mypy images/base/pipeline $(filter-out images/base/,$(wildcard images/*/)) scripts/ops
	@$(python) -m ops.docs --check

fmt: .venv/ready ## Format the code and mend what the linter can
	@$(python) -m ruff format .
	@$(python) -m ruff check --fix .

bench: .venv/ready ## Measure speed and memory; writes docs/benchmarks.md
	@$(python) -m ops.bench

matrix: .venv/ready ## Replay the real days, each service out and killed in turn (hours, resumes); SAMPLE=1: 21
	@$(python) -m ops.matrix $(if $(SAMPLE),--sample)

score: .venv/ready ## Play every scenario: faults, faults at once, innocents (hours, resumes); ONLY='faults/row0*'
	@$(python) -m ops.score $(if $(ONLY),--only '$(ONLY)')

drill: .venv/ready ## RUNBOOK=…: play the trouble that a runbook is for, run it, and add what it cost to docs/drills.md
	@$(python) -m ops.drill --runbook '$(RUNBOOK)'

docs: .venv/ready ## Write the generated parts of README.md, runbooks/README.md and docs/ anew
	@$(python) -m ops.docs

schema: .venv/ready ## Write the schema that the healthcheck expects anew, from the migrations
	@$(python) -m ops.schema

lock: .venv/ready ## Resolve the dependencies and write the lock files (needs a network)
	@$(python) -m ops.lock

bootstrap: .venv/ready ## ENV=…: make the bucket and the key that Terraform's state lies in, once an account
	@$(call terraform,bootstrap)

plan: .venv/ready ## ENV=…: plan and keep the plan for review; FIRST=1: what takes images, PAUSED=1: no schedule on
	@$(call terraform,plan) $(foreach name,$(ALLOW_REMOVAL),--allow-removal $(name)) $(if $(FIRST),--first) $(if $(PAUSED),--paused) || { code=$$?; [ $$code = 3 ] || exit $$code; }

apply: .venv/ready ## ENV=…: apply exactly the plan that was reviewed
	@$(call terraform,apply)

destroy: .venv/ready ## ENV=…: destroy everything there, once its name has been typed
	@$(call terraform,destroy) $(if $(CONFIRM),--confirm '$(CONFIRM)') $(if $(UNPROTECT),--unprotect)

drift: .venv/ready ## ENV=…: compare what is live with state and code
	@$(python) -m ops.drift $(if $(ENV),--env '$(ENV)') $(if $(REHEARSE),--rehearse) $(if $(REPORT),--report '$(REPORT)')

cost: .venv/ready ## ENV=…: say what it costs a month; PLAN=1: by the plan that was made last
	@$(python) -m ops.cost $(if $(ENV),--env '$(ENV)') $(if $(PLAN),--plan) $(if $(REPORT),--report '$(REPORT)')

build-images: .venv/ready ## Build every image (docker, podman or buildah); BASE_FROM_DEBIAN=1 where no registry is in reach
	@scripts/build-images $(if $(BASE_FROM_DEBIAN),--base-from-debian)

push: .venv/ready ## ENV=…: push the images and write images.lock.json
	@scripts/push-images --env '$(ENV)' $(if $(REHEARSE),--rehearse)

local-aws: .venv/ready ## Start the private AWS on this machine and say how to reach it
	@$(python) -m ops.local.aws up

hooks: .venv/ready ## Have git run `make check` before each commit
	@.venv/bin/pre-commit install

clean: ## Remove all that the other targets made, the local database too
	@rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .setup.* bench-results drill-results

.venv/ready: requirements.lock pyproject.toml
	@scripts/ops/setup
