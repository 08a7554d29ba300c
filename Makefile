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
# What touches the libraries: checkpoints, models, commands. Other versions round the recorded sums of one otherwise.
LOWEST := tests/core/checkpoints tests/core/pipeline/test_language_model.py tests/tui/commands \
	--ignore tests/tui/commands/test_inspect.py

.PHONY: help train setup test test-slow check bench docs dist release hashes lowest clean

help:
	@sed -n '/^#  /s/^# *//p' Makefile
	@echo 'Also: make setup, test-slow, check, bench, docs, dist, release, hashes, lowest, clean'

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

# The site in build/site: pictures of the apps as they are now, then the pages. Broken links end it.
docs: $(DEV)
	rm -rf docs/pictures
	PYTHONPATH=tests:tests/tui $(BIN)/python tests/recorded/pictures.py docs/pictures
	$(BIN)/uvx --from 'zensical==0.0.73' zensical build --strict --clean

# The tools that check and upload are run by uv, apart from ours: docs/release.md.
dist: $(DEV)
	rm -rf build dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/uvx --from 'twine==7.0.0' twine check --strict dist/*
	$(BIN)/uvx --from 'check-wheel-contents==0.6.3' check-wheel-contents dist/*.whl
	UV_TOOL_DIR=build/uv UV_TOOL_BIN_DIR=build/uv-bin $(BIN)/uv tool install --quiet dist/*.whl
	build/uv-bin/arc-tui --version
	PIPX_HOME=$(CURDIR)/build/pipx PIPX_BIN_DIR=$(CURDIR)/build/pipx-bin \
		$(BIN)/uvx --from 'pipx==1.8.0' pipx install --quiet dist/*.whl
	build/pipx-bin/arc-tui --version

release: VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
release:
	@test -z "$$(git status --porcelain)" || { echo 'The tree has changes: commit them.'; exit 1; }
	@git tag --points-at HEAD | grep -qx 'v$(VERSION)' || { echo 'This commit is not tagged v$(VERSION).'; exit 1; }
	@grep -Eq '^## \[$(VERSION)\] - [0-9]{4}-' CHANGELOG.md || { echo 'CHANGELOG.md has no date for $(VERSION).'; exit 1; }
	@grep -qx 'version: $(VERSION)' CITATION.cff || { echo 'CITATION.cff has another version than $(VERSION).'; exit 1; }
	@grep -q '^\[project.urls\]' pyproject.toml || { echo 'pyproject.toml has no [project.urls].'; exit 1; }
	$(MAKE) dist
	$(BIN)/uvx --from 'twine==7.0.0' twine upload dist/*

# torch has builds for the CPU and for GPUs under one version, so it stands in no list of hashes.
hashes: $(DEV)
	sed '/^torch==/d' constraints.txt | $(BIN)/uv pip compile --quiet --no-deps --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --output-file hashes.txt -

# torch comes first and by pip, so that the build that suits the machine is taken; uv leaves it as it is.
lowest: $(DEV)
	rm -rf build/lowest
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/pip install --quiet -c constraints.txt torch
	$(BIN)/uv pip install --quiet --no-build --python build/lowest/bin/python --resolution lowest-direct \
		-r pyproject.toml --extra dev
	build/lowest/bin/pip install --quiet --no-deps -e .
	build/lowest/bin/python -m pytest -m "not slow" -W ignore::DeprecationWarning $(LOWEST)

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
