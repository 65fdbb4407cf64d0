# The book's commands. `make` alone lists them; README.md gives each one in plain pip and python.
# Needed beforehand: Python 3.10 or newer, git, make. Everything else goes into .venv/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= .

.PHONY: help book pdf test lint lab execute bench mutants dist clean

help:
	@echo 'make book     build the book and print the address of its first page'
	@echo 'make pdf      print the book into one PDF'
	@echo 'make test     check the code, the chapters, the built book and its pages in a browser'
	@echo 'make lab      open the chapters in JupyterLab'
	@echo 'make execute  run the chapters again and write their outputs'
	@echo 'make bench    time the recipes against their baselines'
	@echo 'make mutants  plant faults in the package and see that the tests notice each'
	@echo 'make dist     build the wheel and the source archive of the package'
	@echo 'make clean    remove what was built, and the environment'

# The stamp is newer than the two files that say what is needed, or the installation runs again.
$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "This book needs Python 3.10 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	       "Name a newer one: make book PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make a virtual environment: its venv module is not installed." \
	       "On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt -e .
	@touch $@

book: $(STAMP)
	$(BIN)/python book/build.py --out $(OUT)

pdf: book
	$(BIN)/python book/pdf.py --out $(OUT)

lint: $(STAMP)
	$(BIN)/ruff check .

# One pytest run: the package, the site and its pages, and every chapter once more, alone in an empty
# folder with the installed wheel and no network, compared with its committed outputs (nbval).
test: lint
	$(BIN)/python tests/browser.py
	$(BIN)/python -m pytest

lab: $(STAMP)
	$(BIN)/jupyter lab --notebook-dir notebooks

execute: $(STAMP)
	$(BIN)/python notebooks/execute.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks

mutants: $(STAMP)
	$(BIN)/python tests/mutants.py

dist: $(STAMP)
	$(BIN)/python -c 'from setuptools import build_meta as b; b.build_sdist("dist"); b.build_wheel("dist")' >/dev/null
	@ls -l dist

clean:
	rm -rf _build build dist *.egg-info .pytest_cache .ruff_cache $(VENV)
