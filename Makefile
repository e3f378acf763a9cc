# Every target makes the virtual environment by itself and is quick when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A process of tests for each core; whole files and classes go to one, so what they share is made once.
SHARED := -n auto --dist loadscope --no-loadscope-reorder

.PHONY: demo test test-fast lint package bench docs clean

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; torch is large)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,examples,bench]'
	@touch $@

demo: $(READY)
	$(BIN)/python -m examples.digits

test: $(READY)
	$(BIN)/python -m pytest $(SHARED)

test-fast: $(READY)
	$(BIN)/python -m pytest $(SHARED) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

package: $(READY)
	$(BIN)/python scripts/package.py

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
