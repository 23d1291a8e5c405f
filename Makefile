# make demo | test | lint | bench | serve | compiled: a virtual environment and one command each
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

.PHONY: demo test lint bench serve compiled pure lock openapi

demo: .venv/core
	$(BIN)/hutong demo $(ARGS)

serve: .venv/core
	$(BIN)/hutong init && $(BIN)/hutong serve $(ARGS)

test: .venv/dev
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv/dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# In a copy with its hot modules compiled where there is a compiler, as in the image; the first line says whether.
bench: .venv/dev .venv/compile
	rm -rf build/bench && mkdir -p build/bench
	cp -r app benchmarks connectors docs migrations openapi pyproject.toml build/bench
	-$(BIN)/python -m tools.compiled build/bench
	for figure in ingest store memory depth monitor csv csv_memory; do \
	  (cd build/bench && ../../$(BIN)/python -m benchmarks.$$figure) || exit 1; done

# The hot modules from the same sources by mypyc; needs a C compiler and Python's headers.
compiled: .venv/compile
	$(BIN)/python -m tools.compiled

pure:
	$(PYTHON) -m tools.compiled --remove

openapi: .venv/dev
	$(BIN)/hutong openapi > openapi/hub.json

# Needs uv; the files carry hashes and no address of an index.
lock:
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header pyproject.toml -o requirements/core.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header pyproject.toml --extra postgres -o requirements/postgres.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header pyproject.toml --extra postgres --group dev --group e2e -o requirements/dev.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --no-header --group compile -o requirements/compile.txt

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/core: requirements/core.txt pyproject.toml | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/core.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/dev: requirements/dev.txt .venv/core
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

.venv/compile: requirements/compile.txt .venv/core
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/compile.txt
	touch $@
