# Every target makes the environment that it needs: `make demo` or `make test` is all a fresh checkout takes.
#
#   PYTHON=python3.12       the interpreter for a new environment
#   TEST_PROCESSES=4        how many processes share the tests; each takes about 2 GB
#   TORCH_INDEX=URL         where `make test-torch` looks for PyTorch besides the package index; with PyTorch's index
#                           of CPU builds it downloads about 200 MB on Linux, without it several GB

PYTHON ?= python3
TEST_PROCESSES ?= 2
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

VENV := .venv
TORCH_VENV := .venv-torch
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
TORCH_STAMP := $(TORCH_VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test test-slow test-torch lint format docs clean

help:
	@echo "make demo        train on real images of cell nuclei, evaluate, draw (under 10 minutes on 2 cores)"
	@echo "make test        all but the slow tests, on TensorFlow, and those of the network again on JAX"
	@echo "make test-slow   the slow tests"
	@echo "make test-torch  the tests of the network on PyTorch, in an environment of its own"
	@echo "make lint        ruff: rules and formatting;  make format  lets ruff mend them"
	@echo "make docs        docs/lint_rules.md from the rules of the linter"
	@echo "make clean       remove environments, caches and build output"

demo: $(RUNTIME)
	$(BIN)/python samples/nucleus/demo.py

test: $(DEVELOPMENT)
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m "not slow"
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m "backend and not slow and not slow_on_jax"

test-slow: $(DEVELOPMENT)
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m slow
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m "backend and (slow or slow_on_jax)"

test-torch: $(TORCH_STAMP)
	KERAS_BACKEND=torch $(TORCH_VENV)/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup -m "backend and not slow"

lint: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEVELOPMENT)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(RUNTIME)
	$(BIN)/python -m mrcnn_plus lint --list-rules --format markdown --output docs/lint_rules.md

clean:
	rm -rf $(VENV) $(TORCH_VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(TORCH_VENV)/bin/python:
	$(PYTHON) -m venv $(TORCH_VENV)

$(RUNTIME): pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV); TensorFlow is a large download, this can take some minutes."
	$(BIN)/python -m pip install --editable .
	$(call working_opencv,$(BIN)/python)
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	$(BIN)/python -m pip install --editable '.[test]'
	$(call working_opencv,$(BIN)/python)
	@touch $@

$(TORCH_STAMP): pyproject.toml | $(TORCH_VENV)/bin/python
	@echo "Installing into $(TORCH_VENV); TensorFlow and PyTorch are large downloads, this can take some minutes."
	$(TORCH_VENV)/bin/python -m pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)'
	$(TORCH_VENV)/bin/python -m pip install --editable '.[albumentations]' 'pytest>=8' 'pytest-xdist>=3.5'
	$(call working_opencv,$(TORCH_VENV)/bin/python)
	@touch $@

# opencv-python, which imgaug asks for, needs the system library libGL. Servers without a screen may lack it: there the
# headless build of the same module takes its place. Every installation has to be followed by this, since pip puts back
# what it misses.
define working_opencv
@$(1) -c "import cv2" 2>/dev/null || { \
	echo "cv2 cannot be imported here (no libGL?): replacing opencv-python by opencv-python-headless."; \
	$(1) -m pip uninstall --yes opencv-python && \
	$(1) -m pip install --force-reinstall --no-deps 'opencv-python-headless>=4.10' && $(1) -c "import cv2"; }
endef
