# make quick: minutes, to a first report. make study: the whole study. make test: every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A real S3 server for the tests of object stores.
S3_VERSION := v1.8.0
S3_SERVER := .tools/versitygw-$(S3_VERSION)
# A real Ollama for the tests of people's own servers. Its llama-server is the pinned xllamacpp.
OLLAMA_VERSION := 0.32.15
OLLAMA := .tools/ollama-$(OLLAMA_VERSION)/bin/ollama
# What Snakemake cannot read, the check names. It says what went wrong, and no more; its own log
# has the rest. The options of profiles/default stand here, since it announces itself.
MEASURED = . $(BIN)/activate && tandembench check config/$(1).yaml \
  && snakemake --cores 1 --quiet all --workflow-profile none --rerun-incomplete --scheduler greedy --configfile config/$(1).yaml \
  && tandembench show results/$(1)

.DEFAULT_GOAL := help
.PHONY: help setup quick study report pdf test faults soak test-page test-full test-s3 s3-server test-ollama ollama-server clean named

help:
	@echo "make quick   which topology finishes sooner here? An answer, and reports/quick/ (minutes)"
	@echo "make study   the whole study: an answer, and reports/study/ (an hour)"
	@echo "make report STUDY=results/quick  render a dataset (or baseline) again; measures nothing"
	@echo "make pdf STUDY=results/quick     the same, and as PDF; needs Chromium"
	@echo "make test    every check: format, lint, types, tests (minutes)"
	@echo "make faults  48 things that go wrong, which tests show what comes of them, and the result"
	@echo "make soak    30 minutes of blocks, one request in twenty failing; SOAK_S=3600 for an hour"
	@echo "make test-page  pages in a real browser alone; needs Chromium"
	@echo "make test-full  the same with the longest tests, such as twenty kills (many minutes)"
	@echo "make test-s3    object stores against a real S3 server; needs Go, which builds it in .tools"
	@echo "make test-ollama  studies on a real Ollama (minutes); needs Go and gcc, which build it in .tools"

setup: $(READY)

# pip as the lock says and nothing else: no resolver, hashes checked, no build of unknown origin.
$(READY): requirements.lock requirements-build.lock pyproject.toml | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-build-isolation -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: system
system:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || [ "$$(uname -s)" != Linux ] || \
	  { echo "make: libgomp.so.1 is missing: install the package libgomp1 (Debian, Ubuntu) or libgomp (Fedora)" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libstdc++.so.6")' 2>/dev/null || [ "$$(uname -s)" != Linux ] || \
	  { echo "make: libstdc++.so.6 is missing: install the package libstdc++6 (Debian, Ubuntu) or libstdc++ (Fedora)" >&2; exit 1; }

quick: $(READY)
	@$(call MEASURED,quick)

study: $(READY)
	@$(call MEASURED,study)

report: named $(READY)
	@$(BIN)/tandembench report "$(STUDY)" --page

# The report that the repository shows: of the quick study as it was last measured here.
.PHONY: example
example: $(READY)
	$(BIN)/tandembench report results/quick --page --output reports/example/technical_report.md

pdf: named $(READY)
	@report="$$($(BIN)/tandembench report "$(STUDY)")" && echo "$$report" && $(BIN)/tandembench page "$$report" --pdf

named:
	@[ -n "$(STUDY)" ] || { echo "make: no study: name one, such as STUDY=results/quick, or a baseline" >&2; exit 1; }

test: $(READY)
	. $(BIN)/activate && sh tests/check.sh

# Part of make test, which ends with the same table.
faults: $(READY)
	. $(BIN)/activate && pytest -n 2 --dist worksteal --faults

soak: $(READY)
	. $(BIN)/activate && SOAK_S="$${SOAK_S:-1800}" pytest tests/measure/test_soak.py

test-page: $(READY)
	TANDEMBENCH_CHROMIUM="$${TANDEMBENCH_CHROMIUM:-chromium}" $(BIN)/pytest tests/page

test-full: $(READY)
	. $(BIN)/activate && sh tests/check.sh -m "full or not full"

s3-server: $(S3_SERVER)

$(S3_SERVER):
	@command -v go >/dev/null || { echo "make: Go is missing, which builds the S3 server: install it (go.dev, or golang-go)" >&2; exit 1; }
	GOBIN="$(CURDIR)/.tools" go install github.com/versity/versitygw/cmd/versitygw@$(S3_VERSION)
	@mv .tools/versitygw $@

test-s3: $(READY) $(S3_SERVER)
	. $(BIN)/activate && TANDEMBENCH_S3_SERVER="$(CURDIR)/$(S3_SERVER)" pytest tests/dataset/test_stores.py

ollama-server: $(OLLAMA)

# It looks for what it runs, and for the copy that it makes of a file, in ../lib/ollama.
$(OLLAMA): | $(READY)
	@command -v go >/dev/null || { echo "make: Go is missing, which builds Ollama: install it (go.dev, or golang-go)" >&2; exit 1; }
	@command -v gcc >/dev/null || { echo "make: gcc is missing, which builds Ollama: install the package gcc" >&2; exit 1; }
	mkdir -p $(@D) $(@D)/../lib/ollama
	for name in llama-server llama-quantize; do \
	  printf '#!/bin/sh\nexec "%s" "%s" "$$@"\n' "$(CURDIR)/$(BIN)/python" "$(CURDIR)/tests/real_ollama/llama_server.py" > $(@D)/../lib/ollama/$$name && \
	  chmod +x $(@D)/../lib/ollama/$$name || exit 1; \
	done
	GOBIN="$(CURDIR)/$(@D)" CGO_ENABLED=1 go install -ldflags "-X=github.com/ollama/ollama/version.Version=$(OLLAMA_VERSION)" github.com/ollama/ollama@v$(OLLAMA_VERSION)

test-ollama: $(OLLAMA)
	. $(BIN)/activate && TANDEMBENCH_OLLAMA="$(CURDIR)/$(OLLAMA)" pytest tests/real_ollama

clean:
	rm -rf $(VENV) .tools .snakemake .mypy_cache .pytest_cache .ruff_cache .hypothesis
