# The whole developer interface: setup up quick test check sim chaos ledger fleet reboot-drill
# bench reference ci clean.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := coordinator daemonkit locksmith skydns confd vulcan fleet
RUN ?= run
# What `make up` runs below the daemons: coordinator, or etcd for a real one (Debian's etcd-server);
# with CLUSTER=3 three coordinators.
BACKEND ?= coordinator
CLUSTER ?= 1
STORES := coordinator etcd m1 m2 m3
STORE := $(if $(filter 3,$(CLUSTER)),m1 m2 m3,$(BACKEND))
THREE := http://127.0.0.1:2379,http://127.0.0.1:2479,http://127.0.0.1:2579
ENDPOINTS := $(if $(filter 3,$(CLUSTER)),$(THREE),http://127.0.0.1:2379)
comma := ,
SPACE := $(subst ,, )
IDLE := $(subst $(SPACE),$(comma),$(patsubst %,%=0,$(filter-out $(STORE),$(STORES))))

.PHONY: setup up quick test check sim chaos ledger fleet reboot-drill bench reference ci clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# The state of the demo lives in $(RUN)/ and survives; `make clean` forgets it.
up: setup
	mkdir -p $(RUN)/confdir/conf.d
	sed 's|@RUN@|$(abspath $(RUN))|' demo/confd/conf.d/app.toml >$(RUN)/confdir/conf.d/app.toml
	ln -sfn $(CURDIR)/demo/confd/templates $(RUN)/confdir/templates
	RUN=$(RUN) BACKEND=$(BACKEND) ENDPOINTS=$(ENDPOINTS) PATH="$(CURDIR)/$(BIN):$$PATH" \
	  $(BIN)/honcho --procfile Procfile start --concurrency $(IDLE)

# ARGS=--all-stores for every daemon's tests on every kind of store, LONG=1 for larger counts.
test: setup
	$(BIN)/pytest --numprocesses auto $(ARGS)

# The tests of the pure code, in under a minute: run these while you write.
quick: setup
	$(BIN)/pytest --quiet --numprocesses auto tests/*/core tests/*/*/core $(ARGS)

# The production replica in a world of faults. SEEDS=n for so many seeds, SECONDS=n for longer ones,
# SEED=n for one: a failure prints its seed, and the same seed fails the same way.
sim: setup
	SIM_SEEDS=$(or $(SEEDS),1000) SIM_SECONDS=$(or $(SECONDS),10) $(if $(SEED),SIM_SEED=$(SEED)) \
	  $(BIN)/pytest --numprocesses auto --quiet --override-ini console_output_style=classic \
	  tests/coordinator/simulation $(ARGS)

# Real members, each in a network namespace of its own, under load and faults (needs root); it
# prints its seed. CHAOS="--members 5 --seed 7 --faults kill,partition" for others.
chaos: setup
	$(BIN)/python -m tests.coordinator.chaos --minutes $(or $(MINUTES),5) $(CHAOS)

# Hosts with a systemd of their own, the wheel and its units on each, until Ctrl-C (needs root).
fleet: setup
	$(BIN)/python -m drill fleet --hosts $(or $(HOSTS),5)

# All of them reboot while clients ask and write; fails if anybody noticed. FAULT=leader, partition
# or lost-host for one in the middle.
reboot-drill: setup
	$(BIN)/python -m drill reboot --hosts $(or $(HOSTS),5) --fault $(or $(FAULT),none) $(ARGS)

# Requests with unique ids through vulcan, all counted, while keys, servers, workers, binary and
# store come and go; the store is away for a third of the time. LEDGER_SEED=n for the same order.
ledger: setup
	LEDGER_MINUTES=$(or $(MINUTES),5) $(BIN)/pytest --quiet --capture=no \
	  tests/vulcan/test_ledger.py $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet tests/conventions

bench: setup
	$(BIN)/python -m bench $(ARGS)

# docs/reference/, and the man pages and shell completions in share/, made from the code.
reference: setup
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.docs.commandline.generate

ci:
	.ci/run

clean:
	rm -rf $(VENV) $(RUN) .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
