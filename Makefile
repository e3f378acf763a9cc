# Every target makes the virtual environment by itself and is quick when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A process of tests for each core; whole files and classes go to one, so what they share is made once.
SHARED := -n auto --dist loadscope --no-loadscope-reorder

.PHONY: demo test test-fast lint house package matrix gpu-check bench clean

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

# A dry run of what docs/gpu.md runs on a GPU.
gpu-check: $(READY)
	$(BIN)/python scripts/fetch_wheels.py
	scripts/gpu_check.sh --python $(BIN)/python --device cpu --quick
	scripts/gpu_check.sh --python $(BIN)/python --device meta --quick --skip benchmark

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

house:
	$(PYTHON) scripts/house.py

package: $(READY)
	$(BIN)/python scripts/package.py

# An environment for each version of torch, several GB each, one after the other; writes docs/compatibility.md.
matrix: $(READY)
	$(BIN)/python scripts/matrix.py $(TORCH)

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
