#!/bin/sh
# Every check, in the order in which they are quick; the same here and in CI.
set -eu
ruff check .
ruff format --check .
snakefmt --check Snakefile workflow
snakemake --lint --configfile config/quick.yaml
MYPYPATH=workflow mypy -p tandembench
MYPYPATH=workflow mypy benchmarks/*.py
pytest -n 2 --dist worksteal --fault-table "$@"
