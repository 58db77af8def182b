# The developer interface: setup up quick test check sim chaos attack ledger fleet reboot-drill deb
# bench reference ci clean.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := coordinator daemonkit locksmith skydns confd vulcan fleet slashetc
JOBS ?= $(shell echo $$((2 * $$(nproc))))
RUN ?= run
# The store of `make up`: coordinator, or a real etcd (Debian's etcd-server); CLUSTER=3 starts three
# coordinators.
BACKEND ?= coordinator
CLUSTER ?= 1
STORES := coordinator etcd m1 m2 m3
STORE := $(if $(filter 3,$(CLUSTER)),m1 m2 m3,$(BACKEND))
THREE := http://127.0.0.1:2379,http://127.0.0.1:2479,http://127.0.0.1:2579
ENDPOINTS := $(if $(filter 3,$(CLUSTER)),$(THREE),http://127.0.0.1:2379)
comma := ,
SPACE := $(subst ,, )
IDLE := $(subst $(SPACE),$(comma),$(patsubst %,%=0,$(filter-out $(STORE),$(STORES))))

.PHONY: setup up quick test check sim chaos attack ledger fleet reboot-drill deb bench reference ci \
  clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@echo 'Installing what this needs into $(VENV)/. This takes a minute or two, once.'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --progress-bar off --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The demo keeps its state in $(RUN)/; `make clean` removes it. What daemons keep of a store is apart
# for each store. Ctrl-C is how the demo ends, and no error.
up: setup
	@mkdir -p $(RUN)/confdir/conf.d
	@sed 's|@RUN@|$(abspath $(RUN))|' demo/confd/conf.d/app.toml >$(RUN)/confdir/conf.d/app.toml
	@ln -sfn $(CURDIR)/demo/confd/templates $(RUN)/confdir/templates
	@trap : INT; \
	  RUN=$(RUN) STATE=$(RUN)/daemons/$(if $(filter 3,$(CLUSTER)),cluster,$(BACKEND)) \
	  BACKEND=$(BACKEND) ENDPOINTS=$(ENDPOINTS) PATH="$(CURDIR)/$(BIN):$$PATH" \
	  $(BIN)/honcho --procfile Procfile start --concurrency $(IDLE) || [ $$? -eq 130 ]

# ARGS=--all-stores runs every daemon's tests on every kind of store; LONG=1 uses larger counts;
# FRESH=1 starts every process in a fresh interpreter. Most tests wait for processes most of the
# time, so JOBS is twice the number of cores. Small chunks keep a worker with slow tests from being
# the last one by minutes.
# Tests that measure a client's waits run after the others. 5 is pytest's code for "no such test".
test: setup
	$(BIN)/pytest --numprocesses $(JOBS) --maxschedchunk 4 -m 'not alone' $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/pytest -m alone $(ARGS) || [ $$? -eq 5 ]

# The tests of the pure code, in less than a minute. Run these while you write code.
quick: setup
	$(BIN)/pytest --quiet --numprocesses auto tests/*/core tests/*/*/core $(ARGS)

# Simulate the production replica under faults. SEEDS=n runs n seeds, SECONDS=n makes them longer,
# SEED=n runs one. A failure prints its seed, and that seed fails again in the same way.
sim: setup
	SIM_SEEDS=$(or $(SEEDS),1000) SIM_SECONDS=$(or $(SECONDS),10) $(if $(SEED),SIM_SEED=$(SEED)) \
	  $(BIN)/pytest --numprocesses auto --quiet --override-ini console_output_style=classic \
	  tests/coordinator/simulation $(ARGS)

# Run real members in network namespaces under load and faults (needs root). It prints its seed.
# Options: CHAOS="--members 5 --seed 7 --faults kill,partition".
chaos: setup
	$(BIN)/python -m tests.coordinator.chaos --minutes $(or $(MINUTES),5) $(CHAOS)

# Attack live daemons: what once ended, blocked or filled one, and random bytes at every port for
# SECONDS each. It prints its seed when it fails; FUZZ_SEED=n repeats one.
attack: setup
	FUZZ_SECONDS=$(or $(SECONDS),60) $(BIN)/pytest --quiet --numprocesses $(JOBS) tests/attack $(ARGS)

# Boot hosts with systemd, the Debian package, until Ctrl-C (needs root).
fleet: setup
	$(BIN)/python -m drill fleet --hosts $(or $(HOSTS),5)

# Reboot all of them under load; fails if a client noticed. FAULT=leader, partition or lost-host
# injects a fault in the middle.
reboot-drill: setup
	$(BIN)/python -m drill reboot --hosts $(or $(HOSTS),5) --fault $(or $(FAULT),none) $(ARGS)

# Send requests with unique ids through vulcan and account for each one, while keys, servers,
# workers, program and store come and go. LEDGER_SEED=n repeats an order of events.
ledger: setup
	LEDGER_MINUTES=$(or $(MINUTES),5) $(BIN)/pytest --quiet --capture=no \
	  tests/vulcan/test_ledger.py $(ARGS)

# Make dist/slashetc_VERSION_amd64.deb for Debian 12, on Debian 12. VERSION=n gives it another version.
deb: setup
	$(BIN)/python -m deb $(if $(VERSION),--version $(VERSION)) $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet tests/conventions

bench: setup
	$(BIN)/python -m bench $(ARGS)

# Generate docs/reference/, and the man pages and shell completions in share/, from the code.
reference: setup
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.docs.commandline.generate

ci:
	.ci/run

clean:
	rm -rf $(VENV) $(RUN) .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
