# Every target sets up what it needs; nothing but Python 3.11 or newer has to be there.
#   make demo    upscale a real clip and show where the result lies
#   make test    the whole test suite
#   make check   format, lint, types, import contracts, quick tests: before every commit
#   make bench   how fast each stage runs on this machine
#   make faults  break everything that can break, some thousand times, and write docs/reliability.md (half an hour)
#   make cluster the tests on a Ray cluster of two nodes and an S3 server, both on this machine (two minutes)
#   make soak    an hour of video: memory, open files and threads must not grow (some minutes)
#   make fidelity  every container, codec and timing through the program, and docs/fidelity.md (a minute)
#   make media FOLDER=folder   every media file of a folder, held against its source twice
#   make fuzz MINUTES=5 SEED=1   damaged files: nothing may hang, crash, or leave a half-made result
#   make scores TESTSETS=folder   measure the shipped weights again, beside the figures in their cards
#   make docs    docs/cli.md from the commands
#   make setup   .venv only;  make clean  what was made, but .venv

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The pinned versions are tested on 3.11, so it comes first where there are several.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Two test processes with a team of threads each would fight for the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

.PHONY: setup demo test check bench scores docs clean faults soak cluster fidelity media fuzz
.DEFAULT_GOAL := test

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "vsr needs Python 3.11 or newer. Install it, or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) makes no virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV): a minute or two, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)
	@$(BIN)/python demo/demo.py

test: $(READY)
	$(PYTEST) -m "not slow"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow" tests/unit tests/architecture

faults: $(READY)
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && VSR_FAULTS_LOG=$$log $(PYTEST) --dist worksteal -m "slow or not slow" tests/faults \
		--deselect "tests/faults/test_faults_soak.py::test_nothing_grows_with_the_length" && \
		$(BIN)/python -m tests.faults.table "$$log" docs/reliability.md

fidelity: $(READY)
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT; VSR_MATRIX_LOG=$$log $(PYTEST) -m "slow or not slow" tests/matrix; ended=$$?; \
		$(BIN)/python -m tests.matrix.table "$$log" docs/fidelity.md && exit $$ended

media: $(READY)
	@test -n "$(FOLDER)" || { echo "name a folder of media files: make media FOLDER=/path/to/media" >&2; exit 2; }
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.fidelity "$(FOLDER)" $(if $(PAGE),--page "$(PAGE)")

fuzz: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run --minutes $(or $(MINUTES),5) --seed $(or $(SEED),1)

cluster: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or not slow" -k "ray or s3" tests/cluster tests/contracts/test_executor.py

soak: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.soak

bench: $(READY)
	@$(BIN)/vsr bench

scores: $(READY)
	@test -n "$(TESTSETS)" || { echo "name a folder that holds set5, set14, bsd100: make scores TESTSETS=/path/to/testsets" >&2; exit 2; }
	@$(BIN)/python recipes/score.py $(TESTSETS) $(if $(WRITE),--write)

docs: $(READY)
	$(BIN)/vsr reference > docs/cli.md

clean:
	rm -rf out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
