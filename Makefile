# `make demo` and `make test` install what they need first; a second run starts at once.
# PYTHON=python3.12 picks another interpreter for a new .venv.

BIN := .venv/bin
DISPLAY_IF_NONE := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,xvfb-run -a)
# One collection for all; tests/conftest.py says what stays together and what comes first.
PARALLEL := -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
export PYTHON
# Set to 1, as in many container images, each of a thousand processes would compile all anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test lint screenshots clean distclean setup-use setup-dev

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: setup-use  ## Segment the sample slide, compare with its truth, open napari if there is a screen
	@$(BIN)/napari-histo demo

# One thread: tests are many small steps, and threads that wait for each other on a busy machine
# make some of them several times slower.
test: export OMP_NUM_THREADS ?= 1
# Where numba shares OpenMP with torch, its first loop would set two threads for both again.
test: export NUMBA_NUM_THREADS ?= 1
test: setup-dev lint  ## Style, types, import contracts, then all tests, the fast ones first
	$(BIN)/pytest $(PARALLEL)

lint: setup-dev  ## Style, types and import contracts only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

screenshots: setup-dev  ## Take the pictures of the documentation again
	$(DISPLAY_IF_NONE) $(BIN)/python docs/make_screenshots.py

clean:  ## Remove caches and results
	rm -rf build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove the environment too
	rm -rf .venv

setup-use:
	@scripts/setup.sh qt,openslide

setup-dev:
	@scripts/setup.sh qt,openslide,qupath,distributed,dev,parity xvfb xauth
