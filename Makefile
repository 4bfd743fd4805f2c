# Two commands set everything up: `make fleet` and `make test`. Both need Python 3.11 or newer and nothing else.

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3 python python3.14 python3.13 python3.12 python3.11

# The first Python that is new enough; `make PYTHON=/path/to/python fleet` chooses another.
define make_environment
	@python="$(PYTHON)"; \
	for candidate in $(if $(PYTHON),,$(PYTHONS)); do \
	    if [ -z "$$python" ] && $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "Deltaic needs Python 3.11 or newer; make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; \
	fi; \
	version='import sys; print("%d.%d" % sys.version_info[:2])'; \
	here=$$($$python -c "$$version"); \
	if [ -e $(BIN)/python ] && there=$$($(BIN)/python -c "$$version") && [ "$$there" != "$$here" ]; then \
	    echo "$(VENV) has Python $$there, and this is Python $$here: \`make clean\` removes it, then call make again" >&2; \
	    echo "(or go on with that Python: make PYTHON=python$$there $(MAKECMDGOALS))" >&2; exit 1; \
	fi; \
	echo "Making the environment in $(VENV); this takes a minute, once"; \
	$$python -m venv $(VENV)
endef

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help fleet test fuzz sim soak bench probe lint types contracts rooms docs blocking proto dist clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

fleet: $(VENV)/.runtime ## Start the fleet: embedded Valkey, five replicas, RQ workers and cron; Ctrl-C ends all of it
	@$(BIN)/deltaic fleet

# What one file needs is started once: a file's tests run in one process. Both parts run, whatever the first one found.
# Exit code 5: there are no such tests. The variable is emptied because the tests start hundreds of workers, each of which
# would compile its modules anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev ## Run every test, on fixed seeds
	failed=0; \
	$(BIN)/pytest -n auto --dist loadfile --durations 20 -m "not serial" || failed=1; \
	$(BIN)/pytest --durations 20 -m serial || [ $$? -eq 5 ] || failed=1; \
	exit $$failed

SECONDS := 60
fuzz: $(VENV)/.dev ## Feed corrupt bytes to every parser, with fresh seeds, for SECONDS=60; a finding says how to replay it
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

SEEDS := 1000
FIRST = $(shell date +%s)000

sim: $(VENV)/.dev ## Simulate fleets with faults, one per fresh seed; FIRST=0 SEEDS=1000: these seeds
	$(BIN)/python -m tests.sim --seeds $(SEEDS) --first $(FIRST)

soak: $(VENV)/.dev ## Run five nodes through faults under load: make soak SECONDS=3600 SEED=1
	$(BIN)/python -m tests.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

ROUNDS := 5
bench: $(VENV)/.runtime ## Measure beside raw Valkey: make bench CASES=incr-p1,get-p16 ROUNDS=5; QUICK=1: only try it
	$(BIN)/python -m bench --cases "$(CASES)" --rounds $(ROUNDS) \
	    $(if $(QUICK),--quick,--output bench/results --page docs/performance.md)

KEYS := 1000000
probe: $(VENV)/.runtime ## Print the slowest answer while KEYS=1000000 keys are joined, given back, restored and flushed
	$(BIN)/python -m bench.probe --keys $(KEYS)

lint: $(VENV)/.dev ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## Check the types
	$(BIN)/mypy

contracts: $(VENV)/.dev ## Check that the layers import only what they may
	$(BIN)/lint-imports

rooms: $(VENV)/.dev ## Show every module with its room; fail on an import circle, an unlisted module or one without a test
	$(BIN)/python tools/rooms.py

docs: $(VENV)/.runtime ## Write the tables of commands in docs/redis.md from their rows
	$(BIN)/python -m workers.resp.commands.page docs/redis.md

blocking: $(VENV)/.dev ## Make the blocking client in deltaic/ from the asyncio one
	$(BIN)/python -m tools.blocking

proto: $(VENV)/.dev ## Generate workers/rpc from the gRPC contract
	$(BIN)/python -m grpc_tools.protoc -Iworkers/rpc=proto/deltaic/v1 --python_out=. --pyi_out=. --grpc_python_out=. \
	    proto/deltaic/v1/deltaic.proto

dist: $(VENV)/.dev ## Build wheel and sdist into dist/
	$(BIN)/python -m build

clean: ## Remove the environment and the caches; the fleet's data in .deltaic stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: pyproject.toml
	$(make_environment)
	@$(PIP) install --editable ".[server]"
	@touch $@

# pip knows dependency groups since 25.1.
$(VENV)/.dev: $(VENV)/.runtime
	@echo "Adding what the tests need"
	@$(PIP) install --upgrade pip
	@$(PIP) install --editable ".[server]" --group dev
	@touch $@
