# The targets people and CI call. The work is done by small scripts in tests/servers/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help up down status clean-servers demo test faults lint fmt bench bench-quick perf-smoke simulation fuzz

help: ## this list
	@printf 'usage: make TARGET\n\n'
	@sed -n 's/^\([a-z_%*-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18
	@printf '%s\n' '' 'Servers of your own: set AXS_TEST_DATABASE_URL, AXS_TEST_REDIS_URL or' \
	  'AXS_TEST_KAFKA_BROKERS, and those are used instead of private ones.' \
	  'AXS_SERVERS_KAFKA=mock tries the fallback for Apache Kafka; =apache refuses it.'

up: ## start private PostgreSQL, Redis and Kafka, installing what is missing
	@tests/servers/up.sh

down: ## stop the private servers; their data stays
	@tests/servers/down.sh

status: ## show the private servers; fails unless all answer
	@tests/servers/status.sh

clean-servers: ## stop the private servers and remove their data
	@tests/servers/clean.sh

demo: ## run the main job end to end on real servers
	@tests/servers/demo.sh

test: ## run all tests on real servers
	@tests/servers/test.sh

faults: ## faults against promises, as a table (SEED=1 ROWS=part,of,names); restarts the servers
	@tests/servers/faults.sh

lint: ## formatting, clippy and buf, as far as they are installed
	@tests/servers/lint.sh

fmt: ## format the code
	@cargo fmt --all

FUZZ_SECONDS ?= 60

fuzz: ## what reads bytes from outside, each target for FUZZ_SECONDS=60
	@echo "Fuzzing each target for $(FUZZ_SECONDS) s."
	@BOLERO_RANDOM_TEST_TIME_MS=$$(($(FUZZ_SECONDS) * 1000)) \
	  cargo test -p axs-infrastructure --locked --lib fuzz:: -- --nocapture --skip is_caught

bench: ## measure the whole, up to an hour and a half (BENCH=part,of,names); writes bench/latest.json
	@tests/servers/measure.sh

bench-quick: ## the same in about 11 minutes: for a look; writes bench/quick.json
	@tests/servers/measure.sh --quick

perf-smoke: ## the bulk path beside the reference form: fails when it has lost a third
	@tests/servers/perf_smoke.sh

bench-change_log: ## compare schemas of the change log
	@tests/servers/with_servers.sh tests/bench/change_log/bench.py

bench-%: ## run one measurement: the example of that name, with servers
	@tests/servers/bench.sh $*

simulation: ## the application over simulated servers: SEEDS=10000 for many seeds, SEED=4711 for one
	@AXS_SIMULATION_SEEDS='$(SEEDS)' AXS_SIMULATION_SEED='$(SEED)' \
	  cargo test -p axs-application --test simulation --locked -- --nocapture
