# Shortcuts; everything works without make as well. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup check test kill demo golden bench
ENVIRONMENT := . deploy/environment.sh && prepare_environment test

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with everything that development needs
	@set -e; $(ENVIRONMENT)

check: ## Style, types and import contracts
	@set -e; $(ENVIRONMENT); check_source

test: ## Everything that must hold before a change is taken
	@sh deploy/test

kill: ## Kill the five processes at every step; no study may be lost or doubled
	@sh deploy/test tests/kill -s

demo: ## One study, end to end, on this machine
	@sh deploy/demo

golden: ## Compare drafts with the stored ones
	@sh deploy/test tests/golden

bench: ## Run every benchmark in deploy/benchmarks
	@set -e; $(ENVIRONMENT); for file in deploy/benchmarks/*.py; do "$$VENV/bin/python" "$$file"; done
