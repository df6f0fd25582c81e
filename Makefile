# make run     the whole system, set up on first use        make test, make test-long   every check
# make demo    the same, on an invented feed and table      make db     the bundled MongoDB alone
# make serve   the page alone, for many readers            make flower the workers and their tasks, on a page
# make bench, conformance, format, lock, screenshot, clean: see CONTRIBUTING.md

SHELL := /bin/bash
.DELETE_ON_ERROR:

# The first Python that is new enough; name another with make PYTHON=...
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done; echo python3)
endif

VENV := .venv

# A Python of another user's may be there and out of reach, by its name or behind a virtual environment.
define HAS_PYTHON
$(PYTHON) -c '' 2>/dev/null || { echo "feedmirror: no $(PYTHON) that this user can run: apt-get install python3" \
	"python3-venv, or name another: make PYTHON=/path/to/python3" >&2; exit 2; }
test ! -e $(VENV) -o -O $(VENV) || $(VENV)/bin/python -c '' 2>/dev/null || { \
	echo "feedmirror: the Python of $(VENV) ($$(readlink -m $(VENV)/bin/python)) cannot be run by this user:" \
	"run this as the user who made $(VENV), or in a copy of this directory without it" >&2; exit 2; }
endef

# One of this user's own whose Python is gone is made anew.
ifeq ($(shell test -O $(VENV) && ! $(VENV)/bin/python -c '' 2>/dev/null && echo broken),broken)
$(shell rm -f $(VENV)/.run $(VENV)/.test $(VENV)/.flower)
endif

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONUNBUFFERED := 1
SYSTEM := exec $(VENV)/bin/python -m feedmirror.system --end-with-parent
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes

PYTEST := pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

.PHONY: run demo serve db flower test test-long screenshot conformance bench bench-scale bench-stored format lock clean

run: preflight-serve $(VENV)/.run
	@$(SYSTEM) run

demo: preflight-serve $(VENV)/.run
	@FEEDMIRROR_DATA="$${FEEDMIRROR_DATA:-data/demo}" FEEDMIRROR_SOURCES="$${FEEDMIRROR_DATA:-data/demo}/sources.toml" \
	$(SYSTEM) demo

serve: preflight-serve $(VENV)/.run
	@$(SYSTEM) serve

db: preflight $(VENV)/.run
	@$(SYSTEM) db

flower: preflight $(VENV)/.flower
	@$(SYSTEM) flower

test: preflight $(VENV)/.test
	@tests/install-programs
	ruff check
	ruff format --check
	mypy
	$(PYTEST) -m "not long"

# What kills, stops and upgrades real processes again and again, and waits until all is polled again.
test-long: preflight $(VENV)/.test
	@tests/install-programs
	$(PYTEST) -m long

screenshot: $(VENV)/.test
	python -m tests.screenshot docs/screenshot.png docs/screenshot-table.png

# How much of other projects' own tests the parser agrees with; needs their feeds, which are no part of this project.
conformance: $(VENV)/.test
	python -m tests.conformance

# Ratios against a peer and a limit, within one run. The peers are installed into build/ at first; wrk and nginx must be
# there.
bench: $(VENV)/.test
	python -m bench.parse
	python -m bench.poll
	python -m bench.claims
	python -m bench.export
	python -m bench.update
	python -m bench.tables

# Ten thousand sources for ten minutes.
bench-scale: $(VENV)/.test
	python -m bench.scale

# Polls with ten million items stored, which takes half an hour and 10 GB in $TMPDIR.
bench-stored: $(VENV)/.test
	python -m bench.update --ten-million stored

format: $(VENV)/.test
	ruff check --fix
	ruff format

.PHONY: preflight preflight-serve
preflight:
	@$(HAS_PYTHON)
	@$(PYTHON) feedmirror/preflight.py
preflight-serve:
	@$(HAS_PYTHON)
	@$(PYTHON) feedmirror/preflight.py serve

# The stamps are as new as what they were made from, so a second `make run` installs nothing. An environment without a
# whole pip in it was interrupted while it was made.
$(VENV)/.run: requirements/run.txt
	@echo "Installing what Feedmirror needs into $(VENV) (once, about a minute)"
	@$(VENV)/bin/python -m pip install --help >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) -r $<
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) -r $<
	@touch $@

$(VENV)/.flower: requirements/flower.txt $(VENV)/.run
	@echo "Installing Flower into $(VENV)"
	@$(INSTALL) -r $<
	@touch $@

# Pins every dependency with its hashes, for every Python and platform at once.
lock:
	uv pip compile setup.cfg --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--quiet --output-file requirements/run.txt
	uv pip compile setup.cfg --extra test --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --quiet --output-file requirements/test.txt
	uv pip compile setup.cfg --extra flower --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --quiet --output-file requirements/flower.txt

clean:
	rm -rf $(VENV) build
