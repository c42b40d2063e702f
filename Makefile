# Each target is the only command needed on a fresh Debian 12 with python3, python3-venv and make:
#   make demo    drive the reference vehicle in simulation for 30 seconds
#   make test    run all tests
#   make check   every gate that CI runs: lint, format, types, arrows, dependencies, tests
#   make safety  the tests of the bridge's core alone, with every line and branch of it run
#   make bench   measure everything beside its peers (an hour on a quiet machine; QUICK=1 for short runs)
#   make docs    the documentation as a site, below build/site
#   make format  rewrite the code in the shape that `make check` wants

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_EXTRAS := can,ort,record,sim
DEV_EXTRAS := $(RUN_EXTRAS),import,cuda,live,sign,token,cloud,dev
PACKAGES := runtime drivers engines firmware_bridge hw_profiles
# Each example and the benches are read as their user runs them: from inside their folder.
SCRIPTS := $(sort $(patsubst %/,%,$(dir $(wildcard examples/*/*.py benches/*.py docs/*.py docs/pictures/*.py packaging/ci/*.py))))

# What Python's own way of writing modules in C makes a compiler say.
USUAL_OF_PYTHON := -Wno-unused-parameter -Wno-cast-function-type -Wno-missing-field-initializers

# The tests that `make safety` counts lines and branches with; tests/firmware_bridge/coverage.ini names what they must cover.
SAFETY := additive codec codec_source counters dbc e2e engage envelope gate guard limits safe_stop stop_asked transmit_watch trust
SAFETY_TESTS := $(wildcard $(SAFETY:%=tests/firmware_bridge/test_%.py))

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check bench docs format lint types arrows dependencies safety pytest pytest-rest

demo: $(VENV)/.installed-run
	@$(BIN)/cardan up --for 30s

test: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory pytest

check: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory lint types arrows dependencies safety pytest-rest

bench: $(VENV)/.installed-dev $(VENV)-peers/.installed
	@PATH="$$PATH:$(abspath $(VENV)-peers)/bin" $(BIN)/python benches/report.py $(if $(QUICK),--quick) $(BENCHES)

docs: $(VENV)/.installed-dev
	@$(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# ------------------------------------------------------------------------------------------------ the gates, one by one

lint:
	@echo "== lint and format"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@headers=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	if command -v cc >/dev/null && [ -f "$$headers/Python.h" ]; then \
	    cc -std=c11 -O2 -fsyntax-only -Wall -Wextra -Werror $(USUAL_OF_PYTHON) -I"$$headers" */csrc/*.c */*/csrc/*.c; \
	else \
	    echo "the compiled parts are not looked at: no C compiler, or no Python.h"; \
	fi

types:
	@echo "== types"
	@$(BIN)/mypy -p cardan
	@$(BIN)/mypy tests
	@for folder in $(SCRIPTS); do \
	    echo "$$folder"; \
	    (cd "$$folder" && "$(abspath $(BIN))/mypy" --config-file "$(CURDIR)/pyproject.toml" \
	        --cache-dir "$(CURDIR)/.mypy_cache/$$folder" .) || exit 1; \
	done

arrows:
	@echo "== arrows between the folders"
	@$(BIN)/lint-imports --no-logo

dependencies:
	@echo "== dependencies"
	@$(BIN)/deptry $(PACKAGES)

safety: $(VENV)/.installed-dev
	@echo "== tests of the bridge's core, all lines and branches"
	@$(BIN)/pytest -q --cov --cov-config=tests/firmware_bridge/coverage.ini $(SAFETY_TESTS)

pytest:
	@echo "== tests"
	@$(BIN)/pytest -q

pytest-rest:
	@echo "== all other tests"
	@$(BIN)/pytest -q $(SAFETY_TESTS:%=--ignore=%)

# ------------------------------------------------------------------------------------------------------- installation

# Besides what is installed, the compiled parts are made again when their sources change.
SOURCES := pyproject.toml $(wildcard */csrc/* */*/csrc/*)

$(VENV)/.installed-run: $(SOURCES) | $(BIN)/pip
	@echo "installing cardan[$(RUN_EXTRAS)] into $(VENV) (once, about a minute) ..."
	@$(BIN)/pip install --quiet --editable ".[$(RUN_EXTRAS)]"
	@touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(BIN)/pip
	@echo "installing cardan[$(DEV_EXTRAS)] into $(VENV) (once, about a minute) ..."
	@$(BIN)/pip install --quiet --editable ".[$(DEV_EXTRAS)]"
	@touch $(VENV)/.installed-run $@

$(VENV)-peers/.installed: benches/peers.txt
	@echo "installing the peers of the benchmarks into $(VENV)-peers (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)-peers
	@$(VENV)-peers/bin/pip install --quiet --requirement benches/peers.txt
	@touch $@

$(BIN)/pip:
	@echo "making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
