# make demo   a real recording becomes a transcript, on this machine, without account, GPU or network
# make up     Dagster's UI with the pipeline running: drop recordings into .data/store/uploads/<your name>/
# make test   the whole test suite (make test ARGS="-m 'not e2e'" for the quick part)
# make faults what happens when things break: kills, reboots, full disks, hostile files; as a table in docs/faults.md

SHELL := /bin/sh
BIN := $(CURDIR)/.venv/bin
export TRANSCRIBE_HOME ?= $(CURDIR)/.data
export DAGSTER_HOME ?= $(TRANSCRIBE_HOME)/dagster
PORT ?= 3000

.PHONY: demo up test e2e faults audit lint benchmark setup setup-test lock clean

demo: setup
	@$(BIN)/transcribe demo

up: setup
	@echo "Dagster: http://127.0.0.1:$(PORT)    transcripts: http://127.0.0.1:3001" >&2
	@echo "Drop recordings into: $(TRANSCRIBE_HOME)/store/uploads/<your name>/" >&2
	@mkdir -p "$(TRANSCRIBE_HOME)/store/uploads"
	@$(BIN)/transcribe serve & pages=$$!; trap 'kill $$pages 2>/dev/null' EXIT; \
	    $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

# A test file stays in one process: its fixtures (servers, models, browsers) are made once. Each process may take 3 GB.
PYTEST = $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

test: setup-test lint
	@$(PYTEST) $(ARGS)

e2e: setup-test
	@$(PYTEST) -m e2e $(ARGS)

# Everything that breaks something on purpose, with what is too long for `make test`; publishes docs/faults.md.
faults: setup-test
	@$(PYTEST) $$($(BIN)/python -m tests.faults.matrix) --nightly --fault-table docs/faults.md $(ARGS)

# Known vulnerabilities of what is pinned. --strict: what cannot be asked about is a failure, not a pass.
audit: setup-test
	@for lock in bootstrap python models; do echo "$$lock.lock" >&2; \
	    $(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
	    -r requirements/$$lock.lock || exit 1; done

lint: setup-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

benchmark: setup
	@$(BIN)/python -m benchmarks.against_whisperx $(ARGS)

# Everything a run needs: tools, environment, ledger, and the first, compiling load of the models.
setup: .venv/.locks
	@deploy/scripts/apt-packages.sh
	@mkdir -p "$(DAGSTER_HOME)" && cp dagster.yaml "$(DAGSTER_HOME)/dagster.yaml"
	@$(BIN)/transcribe migrate
	@test -f .venv/.warm || { $(BIN)/transcribe doctor --warm >&2 && touch .venv/.warm; }

setup-test: .venv/.locks
	@deploy/scripts/apt-packages.sh test

.venv/.locks: requirements/bootstrap.lock requirements/python.lock requirements/models.lock pyproject.toml
	@deploy/scripts/apt-packages.sh
	@deploy/scripts/python-environment.sh
	@touch $@

lock:
	@cd requirements && for name in bootstrap models; do \
	    $(BIN)/uv pip compile -q $$name.in --no-deps --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o $$name.lock; done
	@$(BIN)/uv pip compile -q pyproject.toml --extra speech --extra parakeet --extra semantic --extra evaluation --extra dev --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	    --generate-hashes --no-emit-index-url --no-header -o requirements/python.lock

clean:
	rm -rf .venv .data
