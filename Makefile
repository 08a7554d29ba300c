# Sets itself up: a machine needs make and Python 3.11 or newer (with venv) and a way to PyPI.
#
#     make train                       train the tiny preset on ARC-AGI-2
#     make train ARGS="--epochs 3"     the same with options of `arc-tui train`
#     make test                        the test suite without its slow tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
ARGS ?=

.PHONY: help train setup test test-slow check bench clean

help:
	@sed -n '/^#  /s/^# *//p' Makefile
	@echo 'Also: make setup, test-slow, check, bench, clean'

train: $(RUNTIME)
	$(BIN)/arc-tui train $(ARGS)

setup: $(DEV)

# One thread: the suite's tensors are tiny, and threads that wait for each other cost more than they bring.
test: export OMP_NUM_THREADS ?= 1
test: $(DEV)
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/basedpyright
	$(BIN)/vulture

bench: $(DEV)
	$(BIN)/python -m benchmarks.throughput $(ARGS)

# Editable, so that what is trained is what stands here. The stamps keep a set-up from being repeated.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(RUNTIME) $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "arc-tui needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# What was made by tools; runs/ stays.
clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find arc_core arc_tui tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
