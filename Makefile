# One virtual environment, made once; a second call of any target installs nothing again.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# Test processes; more than there are cores only makes timeouts likelier.
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)

.PHONY: quick test test-oldest lint format docs bench gpu clean help

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

quick: $(VENV)/.package  ## install into .venv and run the small sweep on whatever device there is
	$(BIN)/aabench sweep quick

test: $(VENV)/.test  ## run the test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-oldest:  ## the same suite against the oldest supported torch, in an environment of its own
	$(MAKE) test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt

bench: $(VENV)/.package  ## what aabench itself costs, and the attention forms against each other
	$(BIN)/python -m benchmarks.harness | tee results/bench-harness.md
	$(BIN)/python -m benchmarks.attention | tee results/bench-attention.md
	$(BIN)/python -m benchmarks.prediction --cases 100 | tee results/bench-prediction.md
	$(BIN)/python -m benchmarks.traced | tee results/bench-traced.md
	$(BIN)/python -m benchmarks.fitting | tee results/bench-fitting.md
	$(BIN)/python -m benchmarks.million | tee results/bench-million.md
	$(BIN)/python -m benchmarks.scale | tee results/bench-scale.md

gpu: $(VENV)/.test  ## check and measure everything on a CUDA card in 8 minutes; evidence goes to results/gpu-CARD-DATE
	$(BIN)/python -m benchmarks.gpu $(ARGS)

lint: $(VENV)/.lint  ## style and types, as continuous integration checks them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs  ## build the user guide into docs/_build; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

format: $(VENV)/.lint  ## put the code into its one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what the targets made, the environments included
	rm -rf .venv .venv-oldest build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "aabench needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.package: $(VENV)/.created pyproject.toml $(CONSTRAINTS)
	@echo "installing aabench and torch into $(VENV): some minutes and 6 GB the first time" >&2
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.package
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.docs: $(VENV)/.package
	$(PIP) --editable '.[docs]'
	@touch $@

$(VENV)/.lint: $(VENV)/.package
	$(PIP) --editable '.[lint]'
	@touch $@
