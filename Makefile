# Every target says what it does in the comment after "##"; "make help" prints them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SUPPORT := .support.json
RECORD := -p tests.support.plugin --support-record $(SUPPORT)

.PHONY: help venv test test-unit test-engine lint format demo bench docs support \
        site-up site-down site-shell site-status clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv with the project (editable) and its development tools

$(STAMP): pyproject.toml tests/setup-venv
	@tests/setup-venv "$(PYTHON)" "$(VENV)"
	@touch $@

test: lint test-unit test-engine ## Everything: lint, types, unit and golden tests, and real engines in the test site

test-unit: venv ## Unit and golden tests alone: seconds, nothing but Python needed
	@$(RUN) -m pytest tests/unit tests/golden -n 2

test-engine: venv ## Tests on the real Slurm, HTCondor, Apptainer and Ceph of the test site
	@rm -f $(SUPPORT)
	@$(RUN) -m pytest tests/site tests/engine -n 4 -m "not alone" $(RECORD)
	@$(RUN) -m pytest tests/engine -m alone $(RECORD)
	@$(RUN) -m tests.support $(SUPPORT)

lint: venv ## Ruff, mypy strict, packaging and generated documentation
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(RUN) docs/generate.py --check

format: venv ## Format the code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

docs: venv ## Write the generated pages of docs/reference
	@$(RUN) docs/generate.py

support: venv ## Write docs/reference/support.md from what the last "make test-engine" has shown
	@$(RUN) -m tests.support --write $(SUPPORT)

demo: venv ## Bring up the test site and run the tutorial on Slurm and HTCondor, showing every command
	@$(RUN) -m tests.demo

bench: venv ## Time each budgeted path beside its bare counterpart (BENCH="--quick --rows version,create-slurm")
	@$(RUN) -m tests.benchmarks $(BENCH)

site-up: ## Bring up the test site (Slurm, HTCondor, Ceph in containers), or refresh what it runs
	@tests/site/site up

site-down: ## Take the test site down, leaving its images for next time (all of it: tests/site/site down --all)
	@tests/site/site down

site-status: ## Show what of the test site is up
	@tests/site/site status

site-shell: ## A shell as an ordinary user on the site's login node
	@tests/site/site exec -- bash -l

clean: ## Remove what the build and the tests left in the checkout
	rm -rf build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
