# The commands of this repository. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build run test check model bench bench-instructions accept-main accept-codis accept-foreign accept-performance

# A CI run must use the versions in Cargo.lock; at a desk, cargo may add a line to it.
LOCKED := $(if $(filter true,$(CI)),--locked)

# What builds without C++ is tested in the dev profile, which checks overflow and debug assertions.
PURE := -p slipway-cluster -p slipway-protocol -p slipway-service -p slipway-proxy -p slipway-control -p slipway-codis -p slipway-doubles
# Whatever links RocksDB has one profile, release: each further profile would compile the C++ again.
WHOLE := -p slipway-node -p slipway -p slipway-tests -p slipway-benches

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the Debian packages that building and testing need (as root; otherwise say the line to run)
	@.ci/setup

build: ## leave the program at target/release/slipway
	cargo build --release $(LOCKED) -p slipway
	@# Cargo may have been told to build elsewhere; the place people look stays the same.
	@built=$$(cargo metadata --no-deps --offline --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/release/slipway; \
	mkdir -p target/release; \
	if [ ! "$$built" -ef target/release/slipway ]; then cp --remove-destination "$$built" target/release/slipway; fi

run: ## build, and start a whole cluster on this machine; ARGS="--listen 127.0.0.1:7000" passes options on
	@.ci/setup build
	@$(MAKE) --no-print-directory build
	target/release/slipway up $(ARGS)

# The tests read SLIPWAY_SIZE. small: what CI has time for. full: what the acceptance asks for.
test: export SLIPWAY_SIZE := $(or $(SIZE),small)
test: setup build ## run all tests; SIZE=full for the big ones
	cargo test $(LOCKED) $(PURE)
	cargo test --release $(LOCKED) $(WHOLE)

check: ## format, lints, documentation, scripts; nothing is run
	cargo fmt --all --check
	cargo clippy --release $(LOCKED) --workspace --all-targets -- -D warnings
	cargo clippy --release $(LOCKED) -p slipway --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --release $(LOCKED) --workspace --no-deps --document-private-items --quiet
	bash -n .ci/run .ci/setup tests/accept/*.sh tests/by-hand/*.sh
	@if command -v shellcheck >/dev/null; then shellcheck -x .ci/run .ci/setup tests/accept/*.sh tests/by-hand/*.sh; else echo "shellcheck is not installed: scripts are only parsed"; fi

model: ## explore the state machines of a migration in the bigger sizes
	MODEL_SIZE=big cargo test --release $(LOCKED) -p slipway-cluster --test model -- --nocapture

# CASES="get64,mget10" and SUBJECTS="proxy,predixy" choose; peers are found on the PATH or by PREDIXY=, CODIS_PROXY=, PIKA= and so on.
bench: export BENCH_SIZE := $(or $(SIZE),small)
bench: export BENCH_CASES := $(CASES)
bench: export BENCH_SUBJECTS := $(SUBJECTS)
bench: build ## proxy and node beside the peers that are found (docs/BENCH.md); SIZE=full for every case
	cargo run --release $(LOCKED) -p slipway-benches --bin bench -- $(ARGS)

bench-instructions: ## count the instructions of the hot functions with valgrind; WRITE=1 keeps the counts as those to hold
	$(if $(WRITE),BENCH_WRITE=1) cargo test --release $(LOCKED) -p slipway-benches --test instructions -- --nocapture

accept-main: setup build ## PASS or FAIL for each thing the main job must show; SIZE=small for a quick look
	SIZE=$(or $(SIZE),full) tests/accept/main.sh

accept-codis: setup build ## PASS or FAIL for each thing we must show in codis-proxy's place; SIZE=small for a quick look
	SIZE=$(or $(SIZE),full) tests/accept/codis.sh

accept-foreign: setup build ## PASS or FAIL for each thing we must show in front of Pika and codis-server; SIZE=small for a quick look
	SIZE=$(or $(SIZE),full) tests/accept/foreign.sh

accept-performance: setup build ## PASS or FAIL for each pass line of proxy and node beside the peers that are found; SIZE=small for a quick look
	SIZE=$(or $(SIZE),full) tests/accept/performance.sh
