# Every target makes the virtual environment by itself and is quick when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-fast gpu-check lint bench docs clean

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; torch is large)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,examples,bench]'
	@touch $@

demo: $(READY)
	$(BIN)/python -m examples.digits

test: $(READY)
	$(BIN)/python -m pytest

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow"

# A dry run of what docs/gpu.md runs on a GPU.
gpu-check: $(READY)
	$(BIN)/python scripts/fetch_wheels.py
	scripts/gpu_check.sh --python $(BIN)/python --device cpu --quick
	scripts/gpu_check.sh --python $(BIN)/python --device meta --quick --skip benchmark

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
