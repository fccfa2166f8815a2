# `make demo` makes a video of two people, `make studio` starts a server with a page, `make test` checks everything. All
# of them set up what they need in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# The stamps carry the requirements' checksum: a changed pyproject.toml or constraints.txt installs again.
CHECKSUM := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/installed-$(CHECKSUM)
INSTALLED_STUDIO := $(VENV)/installed-studio-$(CHECKSUM)
INSTALLED_DEV := $(VENV)/installed-dev-$(CHECKSUM)

# One process a core, but no more than four, for each holds libraries and a model; a file's tests share their fixtures.
IN_PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

.DELETE_ON_ERROR:
.PHONY: demo studio setup lint test test-all fuzz gpu clean

demo: $(INSTALLED)
	@mkdir -p outputs
	@$(BIN)/ingredients generate \
		--photo ana=examples/ana.png --photo ben=examples/ben.png \
		--prompt "Two people wave on a beach, smiling." --seed 3 \
		--output outputs/demo.mp4 \
		--contact-sheet outputs/demo-frames.png --routing-map outputs/demo-routing.png --overwrite

# Ctrl-C ends it; videos stay in outputs/studio. Another port: make studio PORT=8000
PORT ?= 8080
studio: $(INSTALLED_STUDIO)
	@mkdir -p outputs
	@$(BIN)/ingredients serve --port $(PORT) --store outputs/studio --scale 4

setup: $(INSTALLED_DEV)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

test: lint
	$(BIN)/pytest $(IN_PARALLEL) -m "not slow and not gpu and not weights"

test-all: lint
	$(BIN)/pytest $(IN_PARALLEL)

# Thousands of bad inputs, other ones each time; a failure prints the line that repeats it.
FUZZ_FACTOR ?= 10
fuzz: $(INSTALLED_DEV)
	FUZZ_FACTOR=$(FUZZ_FACTOR) $(BIN)/pytest $(IN_PARALLEL) tests/fuzz

# On a machine with a GPU: the tests that need one, then what a video and a training step cost at the published size.
# It installs nothing, for such machines often have an own PyTorch and no network: PYTHON names theirs.
gpu:
	$(PYTHON) benchmarks/on_gpu.py --output outputs/gpu

clean:
	rm -rf $(VENV) outputs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, not " + \
		sys.version.split()[0] + "; name one with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): | $(BIN)/python
	@echo "Installing into $(VENV) (about two minutes, most of it torch) ..."
	@$(PIP) --editable .
	@touch $@

$(INSTALLED_STUDIO): | $(BIN)/python
	@echo "Installing into $(VENV), with the server (about two minutes, most of it torch) ..."
	@$(PIP) --editable ".[studio]"
	@touch $@ $(INSTALLED)

$(INSTALLED_DEV): | $(BIN)/python
	@echo "Installing into $(VENV), with the tools that check the code (about two minutes, most of it torch) ..."
	@$(PIP) --editable ".[dev]"
	@touch $@ $(INSTALLED) $(INSTALLED_STUDIO)
