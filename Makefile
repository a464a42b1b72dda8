# A bare Python from 3.11 on and a C++ compiler are all that these need. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
.DEFAULT_GOAL := help
.NOTPARALLEL:
# The tests are shared among processes, one a core, up to as many as fit into 8 GB; see tests/schedule.py.
SHARED := --numprocesses=logical --maxprocesses=4 --dist=loadfile
# They start lorebook hundreds of times: it is compiled once, whatever is usual on the machine.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help python install dev demo lab test bench models pytest traintest frontend frontcheck lint format type imports dist lock tree clean

help: ## what can be typed
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | sort

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "lorebook needs Python 3.11 or later; $(PYTHON) is not. Type: make demo PYTHON=python3.11" >&2; exit 1; }

install: python ## make .venv/ with lorebook and its daemon
	@$(PYTHON) -m scripts.install

dev: python ## the same, with what linting and testing need
	@$(PYTHON) -m scripts.install --dev

demo: install ## from nothing to a cited answer about samples/
	@$(BIN)/python -m scripts.demo

lab: python ## JupyterLab on samples/, with the panel and a tour
	@$(PYTHON) -m scripts.install --lab
	@$(PYTHON) -m scripts.frontend
	@$(BIN)/python -m scripts.lab

test: lint type imports frontcheck pytest ## everything that CI checks; the tests come last

frontend: python ## build the JupyterLab panel and the widgets; wants Node.js
	@$(PYTHON) -m scripts.frontend

frontcheck: python ## the same, with its types, lint and unit tests; passed over without Node.js, but not in CI
	@$(PYTHON) -m scripts.frontend --check

models: dev
	@$(BIN)/python -m scripts.models

pytest: dev models
	@$(BIN)/python -m pytest $(SHARED)

traintest: dev models ## the tests that need torch and PEFT, which this brings first
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt 'peft>=0.18' 'torch>=2.6'
	@$(BIN)/python -m pytest -m train

lint: dev ## ruff, rules and format
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

format: dev ## let ruff format and mend what it can
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

type: dev ## mypy, strict
	@$(BIN)/python -m mypy

imports: dev ## which room may import which
	@$(BIN)/lint-imports

bench: dev models ## the benchmarks, each a process of its own: ratios within one run
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	@$(BIN)/python -m benchmarks

dist: dev frontend ## source archive and wheel in dist/, checked
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist
	@$(BIN)/python -m scripts.check_dist dist

lock: dev ## write constraints.txt anew, with the newest versions that fit
	@$(BIN)/python -m scripts.constraints

tree: python ## redraw the map of the code in CONTRIBUTING.md, and the table in docs/settings.md
	@$(PYTHON) -m scripts.tree

clean: ## remove what was built here; models, indexes and kept wheels stay
	@rm -rf .venv .lorebook-build dist
