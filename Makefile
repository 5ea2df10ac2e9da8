# make demo: the whole study on a simulated cohort.  make test: every test.  Each sets up .venv first.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH

.PHONY: demo test bench lint lock

demo: $(READY)
	@snakemake --cores all --quiet rules
	@echo "Done. Open results/demo/report/report.html"

bench: $(READY) # after make demo
	PYTHONPATH=src python tests/benchmarks/write_benchmarks.py
	PYTHONPATH=src python tests/benchmarks/measure_occlusion.py
	PYTHONPATH=src python tests/benchmarks/measure_intervals.py
	PYTHONPATH=src MPLBACKEND=Agg python tests/benchmarks/draw_cohort.py

test: $(READY)
	python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: $(READY)
	ruff check src tests
	ruff format --check src tests
	snakefmt --check Snakefile workflow
	snakemake --lint

$(READY): requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name it: make demo PYTHON=python3.12')"
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 1; }
	@echo "installing the packages of requirements.txt into $(VENV); this takes some minutes once"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement requirements.txt
	@touch $(READY)

lock: $(READY) # write requirements.txt anew from pyproject.toml
	python -m pip freeze --exclude heatproof > requirements.txt
