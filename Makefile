# make run     the whole system, set up on first use        make test   every check there is
# make demo    the same, on an invented feed and table      make db     the bundled MongoDB alone
# make serve   the page alone, for many readers            make flower the workers and their tasks, on a page
# make bench, conformance, format, lock, screenshot, clean: see CONTRIBUTING.md

SHELL := /bin/bash
.DELETE_ON_ERROR:

# The first Python that is new enough; name another with make PYTHON=...
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done; echo python3)

HAS_PYTHON = { command -v $(PYTHON) >/dev/null || { echo "feedmirror: no $(PYTHON): apt-get install python3 python3-venv" >&2; exit 1; }; }

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONUNBUFFERED := 1
SYSTEM := exec python -m feedmirror.system --end-with-parent
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: run demo serve db flower test screenshot conformance bench bench-scale bench-stored format lock clean

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
	pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

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
	@$(HAS_PYTHON) && $(PYTHON) feedmirror/preflight.py
preflight-serve:
	@$(HAS_PYTHON) && $(PYTHON) feedmirror/preflight.py serve

# The stamps are as new as what they were made from, so a second `make run` installs nothing.
$(VENV)/.run: requirements/run.txt
	@echo "Installing what Feedmirror needs into $(VENV) (once, about a minute)"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
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
