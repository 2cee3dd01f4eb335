# `make` alone lists what can be done. Nothing is installed outside .venv, .venv-clients and tests/sdk/node.

VENV := .venv
BIN := $(VENV)/bin
# Programs that people use with the gateway, which the tests drive; their dependencies never meet the gateway's.
CLIENTS := .venv-clients
NODE := tests/sdk/node
# The locks are complete, so nothing is resolved here; every file must match its hash.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
STAMPS := $(VENV)/.stamp-run $(VENV)/.stamp-test $(VENV)/.stamp-dev
SOURCES := src tests $(wildcard bench)

# An environment that was copied here from elsewhere points at its old place: make it anew.
ifneq ($(shell cat $(VENV)/.home 2>/dev/null),$(CURDIR))
.PHONY: $(STAMPS)
endif
ifneq ($(shell cat $(CLIENTS)/.home 2>/dev/null),$(CURDIR))
.PHONY: $(CLIENTS)/.stamp
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # one installation at a time
.PHONY: help run test setup check format screenshots bench audit lock clean \
	check-format check-lint check-types check-layers check-tidy

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: setup ## install what is needed and serve a demo: a local model, a balance, a key
	$(BIN)/ruapi demo

test: $(VENV)/.stamp-test $(CLIENTS)/.stamp $(NODE)/node_modules/.stamp ## install what the tests need and run them all (ARGS='-k ledger')
	@tools/get-chromium
	@# In the order of their names the short files of tests/unit come last, so that no core waits long for another.
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

setup: $(VENV)/.stamp-run ## make .venv/bin/ruapi; instant when nothing changed

check: check-format check-lint check-types check-layers check-tidy ## formatting, lint, types, layers, tidiness

check-format: $(STAMPS)
	$(BIN)/ruff format --check $(SOURCES)

check-lint: $(STAMPS)
	$(BIN)/ruff check $(SOURCES)

check-types: $(STAMPS)
	$(BIN)/mypy

check-layers: $(STAMPS)
	$(BIN)/lint-imports --no-logo

check-tidy: $(STAMPS)
	$(BIN)/python -m pytest -q tests/unit/test_tidy.py

format: $(VENV)/.stamp-dev ## rewrite the code as `check` wants it
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

screenshots: $(VENV)/.stamp-test ## photograph every page of the console into build/screenshots
	@tools/get-chromium
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

bench: $(VENV)/.stamp-test ## measure, and print the figures
	$(BIN)/python -m bench $(ARGS)

audit: $(VENV)/.stamp-dev ## look every locked package up in the public list of vulnerabilities
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.txt

# dev.txt holds everything; the other two are parts of it at the same versions. UPGRADE=--upgrade takes the
# newest releases, UPGRADE='--upgrade-package NAME' one of them.
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'
COMPILE = $(LOCK) pyproject.toml requirements/run.in
lock: $(VENV)/.stamp-dev ## resolve the dependencies anew (UPGRADE=--upgrade for the newest)
	$(COMPILE) --all-extras $(UPGRADE) -o requirements/dev.txt
	$(COMPILE) --extra local --extra test -c requirements/dev.txt $(UPGRADE) -o requirements/test.txt
	$(COMPILE) --extra local -c requirements/dev.txt $(UPGRADE) -o requirements/run.txt
	$(LOCK) --python-version 3.11 requirements/clients.in $(UPGRADE) -o requirements/clients.txt
	npm install --prefix $(NODE) --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit

clean: ## remove the environments and every cache
	rm -rf $(VENV) $(CLIENTS) $(NODE)/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist

$(VENV)/.stamp-run: requirements/run.txt pyproject.toml tools/make-venv
	@tools/make-venv $(VENV)
	@echo 'Installing the gateway, llama.cpp and a small model into $(VENV) (about 120 MB, once) ...'
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL) --no-index --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-test: requirements/test.txt $(VENV)/.stamp-run
	@echo 'Installing what the tests need ...'
	@$(INSTALL) --require-hashes -r requirements/test.txt
	@touch $@

$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-run
	@echo 'Installing the checkers ...'
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

$(CLIENTS)/.stamp: requirements/clients.txt tools/make-venv
	@tools/make-venv $(CLIENTS)
	@echo 'Installing the clients that the tests drive into $(CLIENTS) (about 330 MB, once) ...'
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		--require-hashes -r requirements/clients.txt
	@touch $@

# No package's own script is run: nothing is fetched but what the lock names.
$(NODE)/node_modules/.stamp: $(NODE)/package.json $(NODE)/package-lock.json
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		echo 'Installing the Node clients that the tests drive into $(NODE) (about 750 MB, once) ...' && \
		npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; \
	else \
		echo 'There is no node or no npm here: the tests of the Node clients are skipped.'; \
	fi
