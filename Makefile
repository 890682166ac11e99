# Shortcuts; everything works without make as well. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup check test kill demo golden bench
ENVIRONMENT := . deploy/environment.sh && prepare_environment test

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with everything that development needs
	@set -e; $(ENVIRONMENT)

check: ## Style, types and import contracts
	@set -e; $(ENVIRONMENT); check_style; "$$VENV/bin/mypy"

test: ## Everything that must hold before a change is taken
	@sh deploy/test

kill: ## Kill the five processes, 20 runs of 20 studies; none may be lost or doubled
	@WETREAD_KILL_RUNS=$${WETREAD_KILL_RUNS:-20} sh deploy/test tests/kill -s

demo: ## One study, end to end, on this machine
	@sh deploy/demo

golden: ## Write the golden files anew; their diff is what a reviewer reads
	@WETREAD_WRITE_GOLDEN=1 sh deploy/test tests/unit/reports

bench: ## Run every benchmark in deploy/benchmarks
	@set -e; $(ENVIRONMENT); for file in deploy/benchmarks/*.py; do "$$VENV/bin/python" "$$file"; done
