# `make` lists the targets. All packages are installed into .venv, from requirements.txt with their hashes.

VENV := .venv
PY := $(VENV)/bin/python

# Optional packages: storages of dvc push and pull, CUDA, Ray; each has a lock, requirements/NAME.txt
EXTRAS := azure cuda gs ray s3 ssh webdav

# The first supported Python found; PYTHON=… selects another
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

# dvc runs the stages' `python -m …` in a shell, which must find the environment's python
WITH_PATH := PATH="$$PWD/$(VENV)/bin:$$PATH"

# uv does not compile packages to bytecode; Python does at the first import, and here always keeps it: compiling again
# costs 9 s of CPU time for each process that imports TensorFlow
unexport PYTHONDONTWRITEBYTECODE

# It would hide the modules of this folder
unexport PYTHONSAFEPATH

# Not from the environment, where WSL has the name of the machine
NAME :=

# User-given values are taken literally, and reach the shell as environment variables, never as code
ARGUMENTS := BASE CLUSTER FOLDER HEAD IMAGE JOBS N NAME SIZE URL
$(foreach name,$(ARGUMENTS),$(eval override $(name) := $$(value $(name))))
export $(ARGUMENTS)

.DEFAULT_GOAL := help
.PHONY: help install repro intact-cache check-data curves predict dataset review seeds experiments experiment remote stale test test-slow faults verify bench check format plots-page \
	lock $(EXTRAS:%=extra-%)

help:  ## List the targets
	@grep -E '^(# )?[A-Za-z-]+:.*## ' Makefile | sed -E 's/^(# )?([A-Za-z-]+):.*## (.*)/  make \2	\3/' | expand -t 20

install: $(VENV)/installed  ## Install the environment

repro: $(VENV)/installed intact-cache  ## Install the environment, get the data and run the pipeline: dvc repro
	$(WITH_PATH) $(VENV)/bin/dvc repro

intact-cache: $(VENV)/installed
	@$(PY) -m project.integrity --quiet # DVC itself trusts its cache

check-data: $(VENV)/installed  ## Hash DVC's cache and the outputs, and remove what is damaged
	$(PY) -m project.integrity

curves: $(VENV)/installed  ## Draw the learning curves of a training in progress into curves.png, after each epoch
	$(PY) -m project.curves

# IMAGE is one path, which may contain spaces, or several paths or patterns
predict: $(VENV)/installed  ## Classify IMAGE=photo.jpg, several pictures or a folder; writes predictions/predictions.png
	@test -n "$$IMAGE" || { echo 'error: no picture given; set IMAGE=…' >&2; exit 1; }
	@if test -e "$$IMAGE"; then set -- "$$IMAGE"; else set -- $$IMAGE; fi; $(PY) -m pictures.predict -- "$$@"

dataset: $(VENV)/installed  ## Make a dataset of FOLDER=photos, which has a subfolder per class; options: NAME="My things" SIZE=28
	@test -n "$$FOLDER" || { echo 'error: no folder given; set FOLDER=…' >&2; exit 1; }
	$(PY) -m pictures.dataset --name="$$NAME" --size="$${SIZE:-28}" -- "$$FOLDER"

review: $(VENV)/installed  ## Compare HEAD=workspace with BASE=main and test the difference for significance; writes report/report.html
	$(PY) -m review -- "$${BASE:-main}" "$${HEAD:-workspace}"

RUNNER := $(if $(CLUSTER),--cluster "$$CLUSTER",--jobs "$${JOBS:-1}")
RAY := $(if $(CLUSTER),$(VENV)/extra-ray)
seeds: $(VENV)/installed $(RAY)  ## Measure seed noise: train with N=5 seeds; JOBS=1 or CLUSTER=address
	$(PY) -m experiments.seeds --count "$${N:-5}" $(RUNNER)

experiments: $(VENV)/installed $(RAY)  ## Train the missing runs of experiments.yaml and update its table; JOBS=1 or CLUSTER=address
	$(PY) -m experiments $(RUNNER)

experiment: $(VENV)/installed intact-cache  ## Put NAME=resnet of experiments.yaml into the working tree, trained or restored from the cache
	@test -n "$$NAME" || { echo 'error: no experiment given; set NAME=…' >&2; exit 1; }
	$(PY) -m experiments.apply -- "$$NAME"

STORAGE := $(filter azure gs s3 ssh webdav,$(patsubst webdavs,webdav,$(firstword $(subst ://, ,$(URL)))))
remote: $(VENV)/installed $(STORAGE:%=extra-%)  ## Set the DVC remote to URL=s3://…, ssh://…, webdavs://…, gs://…, azure://… or a folder
	@test -n "$$URL" || { echo 'error: no storage given; set URL=…' >&2; exit 1; }
	@if printf %s "$$URL" | LC_ALL=C grep -q '[^ -~]'; then \
		echo 'error: DVC cannot save a URL with characters beyond ASCII; a relative path can avoid them' >&2; exit 1; fi
	$(VENV)/bin/dvc remote add --force --default -- storage "$$URL"
	$(VENV)/bin/dvc remote modify storage verify true # of each download, its hash

# extra-NAME:  ## Install optional packages; NAME is azure, cuda, gs, ray, s3, ssh or webdav
$(EXTRAS:%=extra-%): extra-%: $(VENV)/extra-%

stale: $(VENV)/installed  ## Fail if the committed results do not match the committed code and params; of HEAD=branch
	$(PY) -m project.stale -- "$${HEAD:-HEAD}"

test: $(VENV)/installed check  ## Lint, check types and run the fast tests
	$(VENV)/bin/pytest

test-slow: $(foreach extra,ray s3 ssh webdav,$(VENV)/extra-$(extra))  ## Run the slow tests, which reproduce the results and run the documented commands
	$(VENV)/bin/pytest -m slow -rP

faults: $(VENV)/installed  ## Inject faults (kills, corrupt inputs, a full disk, bad servers) and report the outcomes
	$(PY) -m tests.faults

verify: $(VENV)/installed  ## Reproduce the committed results in a fresh clone and compare them bit for bit
	$(PY) -m project.verify

bench: $(VENV)/installed  ## Compare training speed with a plain Keras script; measure time and memory by data size
	$(WITH_PATH) $(VENV)/bin/dvc repro --quiet prepare
	$(PY) -m benchmarks.training
	$(PY) -m benchmarks.scale

check: $(VENV)/installed  ## Lint, check formatting and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

format: $(VENV)/installed  ## Format the code and apply lint fixes
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

plots-page: $(VENV)/installed  ## Rebuild the offline page of dvc plots
	$(PY) -m tools.plots_page

LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'
lock: $(VENV)/installed  ## Lock the newest versions of all dependencies, with hashes
	$(LOCK) pyproject.toml --group dev --all-extras --upgrade --output-file $(VENV)/all.txt # compatible versions for all
	cp $(VENV)/all.txt $(VENV)/dev.txt
	$(LOCK) pyproject.toml --group dev --output-file $(VENV)/dev.txt
	mv $(VENV)/dev.txt requirements.txt
	$(LOCK) --group install --constraint requirements.txt --output-file requirements/uv.txt
	for extra in $(EXTRAS); do \
		$(LOCK) pyproject.toml --extra $$extra --constraint $(VENV)/all.txt --output-file requirements/$$extra.txt \
			$$(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' requirements.txt) || exit 1; done

# pip installs uv, and uv the other packages, several times faster than pip. With the build constraint, uv also checks
# the hash of setuptools, which builds the one package without a wheel. The stamp file is written last, so that an
# interrupted installation starts again. uv trusts the certificates of the system, as pip does.
INSTALL := $(VENV)/bin/uv pip install --system-certs --python $(PY) --require-hashes --build-constraint requirements.txt
INSTALLED_EXTRAS := $(notdir $(wildcard $(VENV)/extra-*))
$(VENV)/installed: requirements.txt requirements/uv.txt
	@$(or $(PYTHON),false) -c '$(SUPPORTED)' || \
		{ echo 'error: Python 3.11, 3.12 or 3.13 is required; set PYTHON=…' >&2; exit 1; }
	@test ! -L $(VENV) || rm $(VENV) # --clear would empty the folder that a link points to
	$(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	$(INSTALL) --requirement requirements.txt
	@touch $@
	$(if $(INSTALLED_EXTRAS),$(MAKE) $(INSTALLED_EXTRAS))

$(VENV)/extra-%: requirements/%.txt $(VENV)/installed
	$(INSTALL) --no-deps --requirement requirements/$*.txt
	@touch $@
