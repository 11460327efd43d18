# make run    set up, then build a small model end to end
# make test   set up, then run the test suite
# make book   set up, then make the book: dist/hornbook.pdf
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup run test test-all slurm book lint clean

setup: $(READY)

# torch comes first and by plain pip, so that a CPU build that is already there serves.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(READY)

run: setup
	$(BIN)/hornbook run hello

test: setup
	$(BIN)/python -m pytest -n 2 -m "not slow"

# A real Slurm for the tests that want one, where this machine lets us; else they skip.
slurm:
	@command -v slurmctld >/dev/null || { test "$$(id -u)" = 0 && \
	apt-get install -y -q --no-install-recommends slurm-wlm munge; } || true

test-all: setup slurm
	$(BIN)/python -m pytest -n 2

book: setup
	$(BIN)/python -m book.press.build

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) runs dist
