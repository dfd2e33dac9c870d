PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What pip installs first, such as TORCH="torch==2.13.0". docs/install.md says where builds for the CPU alone are.
TORCH ?=
INSTALL := $(BIN)/python -m pip install --quiet --no-compile

.DEFAULT_GOAL := help
.PHONY: help demo test device check mutants bench gpu site tutorials clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(if $(TORCH),$(INSTALL) $(TORCH))
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-report: pyproject.toml | $(VENV)/bin/python
	$(if $(TORCH),$(INSTALL) $(TORCH))
	$(INSTALL) --editable ".[report]"
	touch $(VENV)/installed $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	$(if $(TORCH),$(INSTALL) $(TORCH))
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(VENV)/installed $(VENV)/installed-report $@

demo: $(VENV)/installed-report  ## distil the embedded digits to one image per class, evaluate, and make a page to look at
	$(BIN)/ddapps distill digits --method random --ipc 1 --seed 0 --quiet --overwrite --out out/demo/random
	$(BIN)/ddapps distill digits --method dm --ipc 1 --steps 500 --seed 0 --snapshots 10 --overwrite --out out/demo/dm
	$(BIN)/ddapps evaluate out/demo/dm --data digits --quiet
	$(BIN)/ddapps show out/demo/dm
	$(BIN)/ddapps report out/demo/dm out/demo/random --data digits --runs 3 --quiet --out out/demo/report.html

test: $(VENV)/installed-dev  ## run all tests, in three processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

device: $(VENV)/installed-dev  ## every method on a pretend device: mixed devices, waits, transfers (needs a C++ compiler)
	DDAPPS_DEVICE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/device

mutants: $(VENV)/installed-dev  ## put bugs in, one at a time, and say which ones no test catches
	$(BIN)/python -m tests.mutants

check: $(VENV)/installed-dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev  ## time one step of DM, DC and DSA on 28 px images: ratios, floor, peak memory
	$(BIN)/python -m benchmarks.distribution_step
	$(BIN)/python -m benchmarks.matching_step

gpu: $(VENV)/installed-dev  ## everything that needs a GPU, in ten minutes of it: parity, waits, step times
	$(BIN)/python -m benchmarks.gpu $(if $(DATA),--data $(DATA))

$(VENV)/installed-docs: pyproject.toml | $(VENV)/bin/python
	$(if $(TORCH),$(INSTALL) $(TORCH))
	$(INSTALL) --editable ".[docs]"
	touch $(VENV)/installed $@

site: $(VENV)/installed-docs  ## build the site, strict, to out/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "out/site/index.html (search needs a server: python3 -m http.server --directory out/site)"

tutorials: $(VENV)/installed-dev  ## run the tutorials' notebooks and write back what they print and draw
	$(BIN)/python -m benchmarks.tutorials

clean:  ## remove the environment and results of runs
	rm -rf $(VENV) out
