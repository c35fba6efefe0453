# Everything the project can do. The two commands of the README are `make run` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys,venv,ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(p))))
PY := .venv/bin/python
CLOUD := $(PY) -m local_cloud
LESSONS := $(PY) -m runner.lessons
BOOK := .local/tools/book
PYTEST := $(PY) -m pytest
TEST_HOME := $(CURDIR)/.local/test
IN_TEST := env -u RAW_PATH -u PIPELINE_USER PIPELINE_TARGET=local LOCAL_CLOUD_HOME="$(TEST_HOME)"
LOCKED := --require-hashes --no-deps -r
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-annotate
TWO_FILES := -n 2 --dist loadfile --no-loadscope-reorder

# Always: a backend that the reader has exported would leave the lessons without their charts.
export MPLBACKEND := module://matplotlib_inline.backend_inline
# Packages are compiled at their first use. If nothing were kept, every start of a program would do it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help newest setup spark run test test-fast soak up down status reset lab lesson outputs tear-down lint format bench book databricks pins clean no-aws

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'

# The project's folder for this environment's Python; in ASCII, since the file is read in the locale's encoding.
define LINK
import os, site
with open(site.getsitepackages()[0] + "/pinterest_pipeline.pth", "w") as file:
    file.write(f"import sys; sys.path.append({ascii(os.getcwd())})\n")
endef
export LINK

# $(call install,FILE,FOLDER): have this environment, and in it what FILE names, each checked by its hash.
define install
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found. Install one (Debian: apt-get install python3-venv; macOS: brew install python@3.11), or say: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "  Python packages: installing those of $(1) into $(2) ($$($(PYTHON) --version))"
	@test -x $(2)/bin/python || $(PYTHON) -m venv $(2)
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(2)/bin/python $(LOCKED) $(1); else $(2)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(LOCKED) $(1); fi
	@$(2)/bin/python -c "$$LINK"
endef

.venv/ready: requirements.txt requirements-local.txt constraints.txt requirements.lock
	$(call install,requirements.lock,.venv)
	@touch $@ .venv/lessons

# Lessons 08 to 10 on files: without the local cloud, half of the packages is enough.
.venv/lessons: requirements.txt requirements-lessons.lock
	$(call install,requirements-lessons.lock,.venv)
	@touch $@

pins:  ## write constraints.txt and the lock files anew (needs uv)
	@$(COMPILE) --no-header requirements-local.txt -o constraints.txt
	@{ echo '# Every pin of the whole tree, made by `make pins`.'; cat constraints.txt; } > .constraints.part
	@mv .constraints.part constraints.txt
	@$(COMPILE) --generate-hashes --custom-compile-command "make pins" -c constraints.txt requirements-local.txt -o requirements.lock
	@$(COMPILE) --generate-hashes --custom-compile-command "make pins" -c constraints.txt requirements.txt -o requirements-lessons.lock
	@$(COMPILE) --generate-hashes --custom-compile-command "make pins" -c constraints.txt book/requirements.txt -o book/requirements.lock

newest: .venv/ready  # for the weekly workflow: newer packages than the pins, within what belongs together
	@mkdir -p .local
	@sed -E '/^-r/d; s/^(pandas|pyspark|delta-spark|apache-airflow)==/\1~=/; s/==/>=/' requirements.txt requirements-local.txt > .local/newest.txt
	@$(PY) -m pip install --quiet --upgrade --upgrade-strategy eager -r .local/newest.txt

setup: .venv/ready  ## fetch everything once: packages, Java if missing, jars, the database program
	@$(CLOUD) setup

no-aws:
	@test "$${PIPELINE_TARGET:-local}" = local || { echo "PIPELINE_TARGET=$$PIPELINE_TARGET: this command runs the whole series, which on AWS costs money. Run the lessons one by one there: make lesson N=00"; exit 1; }

run: no-aws setup  ## the whole pipeline: every lesson in order, then a summary and HTML pages
	@$(CLOUD) up
	@$(LESSONS) run

test: no-aws setup lint  ## every test; the notebooks must reproduce their committed outputs
	@$(PYTEST) $(TWO_FILES) --durations=30 --durations-min=20 -m "not soak" tests

test-fast: setup  ## the inner loop: unit and style tests
	@$(PYTEST) tests/unit tests/style

soak: setup  ## the long fault tests
	@$(PYTEST) -m soak tests

up: setup  ## start the cloud on this machine
	@$(CLOUD) up

down: .venv/ready  ## stop it and keep its data
	@$(CLOUD) down

reset: .venv/ready  ## stop it and delete its data
	@$(CLOUD) reset

status: .venv/ready  ## ask every part whether it works
	@$(CLOUD) status

lab: up  ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab --MappingKernelManager.transport_encryption=required notebooks

spark: .venv/lessons  # what a lesson on files needs, and no more
	@$(PY) -m local_cloud.tools spark

lesson: $(if $(RAW_PATH),spark,setup)  ## run one lesson from the present state: make lesson N=09
	@test -n "$(N)" || { echo "Which lesson? For instance: make lesson N=09"; exit 1; }
	@$(LESSONS) lesson $(N)

outputs: no-aws setup  ## run every lesson on a fresh test cloud and rewrite the committed outputs that changed
	@$(IN_TEST) $(CLOUD) reset
	@$(IN_TEST) $(CLOUD) up
	@$(IN_TEST) $(LESSONS) outputs; result=$$?; $(IN_TEST) $(CLOUD) down; exit $$result

tear-down: .venv/ready  ## run the last lesson: delete everything the lessons made
	@$(LESSONS) tear-down

lint: .venv/ready  ## ruff and mypy
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

format: .venv/ready  ## let ruff put the code in form
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

bench: no-aws setup  ## measure speed and memory; writes benchmarks/results.json
	@$(PY) -m benchmarks.run

$(BOOK)/ready: book/requirements.txt book/requirements.lock
	@mkdir -p -m 700 .local
	$(call install,book/requirements.lock,$(BOOK))
	@touch $@

book: $(BOOK)/ready  ## the lessons as a site with search, in .local/book
	@$(BOOK)/bin/python -m book.build

databricks:  ## write the Databricks lessons as notebooks that run alone, into .local/databricks
	@$(PYTHON) -m runner.single

clean: .venv/ready  ## stop everything; delete data, programs and packages
	@$(CLOUD) reset
	@$(IN_TEST) $(CLOUD) reset
	@rm -rf .local .venv dist
