# `make serve` starts a server, `make check` runs everything that a change must pass; both set up first.
# ARGS is handed on: make serve ARGS="--port 8080", make quick ARGS="tests/lake -k merge".

export CI
PYTHON := $(shell sh tools/python.sh)
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup serve check quick notebook seed-hll bench-load bench-lake environments lock format clean

help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup:           ## make .venv, install the locked dependencies and the project
	@sh tools/prerequisites.sh build
	@$(PYTHON) -m tools.setup

serve: setup     ## a local server on ./anabranch-data with the quickstart keys
	@exec $(BIN)/anabranch serve --data ./anabranch-data --quickstart $(ARGS)

check:           ## format, lint, import contracts, types, all tests
	@sh tools/prerequisites.sh check
	@$(PYTHON) -m tools.setup
	@exec $(BIN)/python -m tools.check all $(ARGS)

quick: setup     ## lint, types, unit tests, contracts, one client: the inner loop
	@exec $(BIN)/python -m tools.check quick $(ARGS)

notebook:        ## the Spark notebook against a fresh server, on both Sparks
	@sh tools/prerequisites.sh check
	@$(PYTHON) -m tools.setup
	@exec $(BIN)/python -m tests.notebook $(ARGS)

seed-hll: setup  ## the test of HLL loads against a fresh server, nine tables
	@exec $(BIN)/python -m tests.seed $(ARGS)

bench-lake: setup ## speed of the lake beside lakeFS, one table
	@exec $(BIN)/python -m bench.lake $(ARGS)

bench-load: setup ## speed of loading and folding beside other engines, one table
	@exec $(BIN)/python -m bench.load $(ARGS)

environments:    ## build the environments of all client programs under .cache/
	@sh tools/prerequisites.sh check
	@$(PYTHON) -m tools.setup
	@exec $(BIN)/python -m tests.support.environments $(ARGS)

lock:            ## compile requirements/*.in to hashed locks (ARGS=--upgrade for newer versions)
	@sh tools/prerequisites.sh python
	@$(PYTHON) -m tools.lock $(ARGS)

format: setup    ## format the sources and mend what ruff can
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format
	@cargo fmt --manifest-path native/Cargo.toml --all
	@cargo fmt --manifest-path bench/generator/Cargo.toml

clean:           ## remove everything that was built (not the data)
	rm -rf .venv .cache native/target .hypothesis src/anabranch/*.so
