# `make demo` and `make test` set up everything they need in .venv.

PYTHON ?= python3
VENV ?= .venv
# Installed first, on its own, so that the choice of build (CPU or CUDA) stays with you.
TORCH ?= torch==2.13.0
# What runs the tests; CI measures coverage with it.
PYTEST ?= $(VENV)/bin/python -m pytest
# Not the two modules that are imported by i-PI and under mpiexec only.
DOCTESTS = --doctest-modules pet_driver --ignore=pet_driver/engines/ipi/pes.py \
	--ignore=pet_driver/engines/ipi/mpi.py
INSTALLED = $(VENV)/.installed

.PHONY: demo test test-all rehearsal lint clean

demo: $(INSTALLED)
	$(VENV)/bin/python benchmarks/demo.py

test: lint rehearsal
	$(PYTEST) -q $(DOCTESTS)
	$(PYTEST) -q -m "not slow"

# On a GPU that is pretended, which has to be there before torch is: in a process of its own.
rehearsal: $(INSTALLED)
	PYTHONPATH=tests/rehearsal $(PYTEST) -q -p pretended_gpu tests/rehearsal

test-all: lint rehearsal
	$(PYTEST) -q $(DOCTESTS)
	$(PYTEST) -q

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --upgrade pip
	$(VENV)/bin/python -m pip install "$(TORCH)"
	$(VENV)/bin/python -m pip install -e ".[ipi,lammps,train,plot,test]"
	touch $@

clean:
	rm -rf $(VENV) demo_output
