PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: fleet test lint types contracts proto clean

# Starts the fleet of the fleet file: embedded Valkey, replicas, RQ workers and cron. Ctrl-C ends all of it.
fleet: $(VENV)/.ready
	@$(BIN)/deltaic fleet

