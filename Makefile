# The front door: `make` lists what can be done. Everything runs in .venv, made from requirements.txt.

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# What is installed only when it is asked for: storages of dvc push and pull, Ray, GPUs
EXTRAS := azure cuda gs ray s3 ssh webdav

# The first Python that this project supports; PYTHON=… takes another
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help repro review seeds experiments stale test test-slow faults verify bench check format lock plots-page

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 20

repro: $(VENV)/installed  ## Set up the environment, get the data and run the pipeline: dvc repro
	@python -m json.tool .dvc/tmp/rwlock >/dev/null 2>&1 || rm -f .dvc/tmp/rwlock # broken if DVC was killed in writing it
	dvc repro

STORAGE := $(firstword $(subst ://, ,$(URL)))
remote: $(patsubst %,extra-%,$(patsubst webdavs,webdav,$(filter azure gs s3 ssh webdav webdavs,$(STORAGE))))  ## Share data and models: URL=s3://bucket/path, ssh://…, webdavs://…, gs://…, azure://…, /folder
	@test -n "$(URL)" || { echo 'error: name the storage with URL=…' >&2; exit 1; }
	dvc remote add --force --default storage "$(URL)"

$(EXTRAS:%=extra-%): extra-%: $(VENV)/extra-%

BASE ?= main
HEAD ?= workspace
review: $(VENV)/installed  ## Tell what changed since BASE=main, and whether it is real: report/report.html
	python -m review "$(BASE)" "$(HEAD)"

N ?= 5
JOBS ?= 1
WHERE := $(if $(CLUSTER),--cluster "$(CLUSTER)",--jobs "$(JOBS)")
RAY := $(if $(CLUSTER),$(VENV)/extra-ray)
seeds: $(VENV)/installed $(RAY)  ## Train the current params with N=5 seeds, to know what chance does; CLUSTER=address
	python -m experiments.seeds --count "$(N)" $(WHERE)

experiments: $(VENV)/installed $(RAY)  ## Train the experiments of experiments.yaml that are missing, and write their table
	python -m experiments $(WHERE)

stale: $(VENV)/installed  ## Fail unless the committed results belong to the committed code and params
	python -m review.stale HEAD

test: $(VENV)/installed check  ## Lint, check types and run the fast tests
	pytest

test-slow: $(foreach extra,ray s3 ssh webdav,$(VENV)/extra-$(extra))  ## Run the slow tests: reproduce the committed results, walk through the README
	pytest -m slow -rP

faults: $(VENV)/installed  ## Kill, break, fill and lie, and tell how the pipeline took it
	python -m tests.faults

verify: $(VENV)/installed  ## Reproduce the committed results in a fresh clone and compare them bit by bit
	python -m review.verify

bench: $(VENV)/installed  ## Compare the training's speed with a plain Keras script's, and time and memory as the data grows
	dvc repro --quiet prepare
	python -m benchmarks.training
	python -m benchmarks.scale

check: $(VENV)/installed  ## Lint, format check and type check
	ruff check
	ruff format --check
	mypy

format: $(VENV)/installed  ## Format the code and mend what lint can mend
	ruff format
	ruff check --fix

LOCK := uv pip compile --quiet --universal --fork-strategy fewest --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' pyproject.toml --output-file
lock: $(VENV)/installed  ## Lock the newest versions of all dependencies with their hashes
	$(LOCK) requirements.txt --upgrade --group dev --all-extras # versions that go together
	cp requirements.txt $(VENV)/all.txt
	$(LOCK) requirements.txt --group dev
	for extra in $(EXTRAS); do \
		$(LOCK) requirements/$$extra.txt --extra $$extra --constraint $(VENV)/all.txt \
			$$(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' requirements.txt); done

plots-page: $(VENV)/installed  ## Make the offline page of dvc plots again
	python -m review.plots_page

$(VENV)/installed: requirements.txt
	@test -n "$(PYTHON)" || { echo 'error: Python 3.11, 3.12 or 3.13 is needed; name one with PYTHON=…' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	pip install --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

$(VENV)/extra-%: requirements/%.txt $(VENV)/installed
	pip install --disable-pip-version-check --require-hashes --no-deps --requirement requirements/$*.txt
	@touch $@
