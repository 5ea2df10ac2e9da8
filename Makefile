# make demo: the whole study on a simulated cohort.  make test: the tests.  make cluster-test: those that need Slurm or
# the environments of envs/.  Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export NO_MKDOCS_2_WARNING := 1
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH

.PHONY: demo test coverage cluster-test bench docs lint lock niivue

demo: $(READY)
	@snakemake --cores all
	@echo "Done. Open results/demo/report/report.html"

bench: $(READY) # after make demo
	PYTHONPATH=src python tests/benchmarks/write_benchmarks.py
	PYTHONPATH=src python tests/benchmarks/measure_occlusion.py
	PYTHONPATH=src:tests/workflow python tests/benchmarks/measure_comparison.py
	PYTHONPATH=src python tests/benchmarks/measure_intervals.py
	PYTHONPATH=src MPLBACKEND=Agg python tests/benchmarks/draw_cohort.py
	python tests/benchmarks/picture_answer.py
	PYTHONPATH=src:tests/workflow python tests/benchmarks/write_scale.py
	PYTHONPATH=src:tests/workflow python tests/benchmarks/kill_study.py

test: $(READY)
	python -m pytest

coverage: $(READY) # the tests once more, a third slower, and the lines that none of them runs
	python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

cluster-test: $(READY) $(patsubst %,.venv-%/.ready,head ants torch analysis)
	python -m pytest -m cluster -rs tests/workflow

docs: .venv-docs/.ready # the site, in site/
	.venv-docs/bin/mkdocs build --strict

lint: $(READY)
	ruff check src tests envs docs
	ruff format --check src tests envs docs
	snakefmt --check Snakefile workflow
	snakemake --lint

$(READY): requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name it: make demo PYTHON=python3.12')"
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 1; }
	@echo "installing the packages of requirements.txt into $(VENV); this takes some minutes once"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement requirements.txt
	@touch $(READY)

.venv-%/.ready: envs/%.yaml envs/make_venv.py $(READY) # without conda: the same packages from PyPI
	@echo "installing the packages of $< into $(@D)"
	@python envs/make_venv.py $< $(@D)
	@touch $@

.venv-docs/.ready: docs/requirements.txt
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement $<
	@touch $@

lock: $(READY) # write requirements.txt anew from pyproject.toml
	python -m pip freeze --exclude heatproof > requirements.txt

NIIVUE := 0.69.0
niivue: # fetch the pages' viewer from npm and write it and its licences anew; src/heatproof/report/niivue/README.md
	sh src/heatproof/report/niivue/fetch.sh $(NIIVUE) src/heatproof/report/niivue
