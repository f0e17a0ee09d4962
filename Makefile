# Everything runs in a virtual environment of its own; PYTHON names the interpreter to make it with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# By file, because a file's tests share what they set up, such as a Prometheus with history; in the
# order of tests/conftest.py, because pytest-xdist would begin the files with few but long tests last.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
UPGRADE := --upgrade
# For every platform, and not younger than a week: until then, others notice what was tampered with.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --exclude-newer '7 days' \
  --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' $(UPGRADE)
# Tests start the exporter some hundred times, which takes half as long with its bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo lint audit lock test test-quick reliability faults fuzz soak bench bench-quick backtest generate record release site screenshot format clean

# Only what the locks name, as its authors published it: see docs/security.md.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(PIP) --require-hashes --only-binary :all:

$(VENV)/.runtime: pyproject.toml requirements/runtime.txt requirements/build.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11 or newer: name one that is, such as PYTHON=python3.13" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(LOCKED) --requirement requirements/runtime.txt --requirement requirements/build.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(LOCKED) --requirement requirements/dev.txt
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.txt
	$(LOCKED) --requirement requirements/fuzz.txt
	@touch $@

demo: $(VENV)/.runtime ## simulated Sentry and exporter together, nothing to configure
	@exec $(BIN)/sentry-stats-exporter demo

lint: $(VENV)/.dev ## ruff, mypy strict, bandit, and the locks against known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/interrogate --quiet tests
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive .
	$(BIN)/python -m tools.audit --where-possible

audit: $(VENV)/.dev ## the locks against known vulnerabilities; fails if nobody can be asked
	$(BIN)/python -m tools.audit

lock: $(VENV)/.dev ## renews requirements/; UPGRADE= changes only what pyproject.toml needs
	$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	$(LOCK) --group pyproject.toml:build --output-file requirements/build.txt
	$(LOCK) pyproject.toml --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(LOCK) --group pyproject.toml:fuzz --constraint requirements/dev.txt --output-file requirements/fuzz.txt

test: $(VENV)/.dev ## all tests
	$(BIN)/pytest $(PARALLEL)

test-quick: $(VENV)/.dev ## all tests but the slow ones, one to two minutes
	$(BIN)/pytest $(PARALLEL) -m 'not slow' --hypothesis-profile quick

reliability: $(VENV)/.dev ## faults, bad input and a short soak; prints README's table
	$(BIN)/pytest $(PARALLEL) -m 'reliability or hypothesis'

fuzz: $(VENV)/.fuzz ## coverage-guided, SECONDS for each target; prints how many inputs ran
	$(BIN)/python -m tests.reliability.fuzz --seconds $(or $(SECONDS),120) $(TARGETS)

soak: $(VENV)/.dev ## thirty simulated days, up to half an hour; writes build/soak/report.md and soak.svg
	$(BIN)/python -m tests.reliability.soak

faults: $(VENV)/.dev ## every fault of Sentry and the network at every time, much longer than make test
	FAULTS=all $(BIN)/pytest $(PARALLEL) tests/reliability/upstream

bench: $(VENV)/.dev ## every figure against what it is measured by, some minutes; BASE=<rev> measures that too
	$(BIN)/python -m bench $(if $(BASE),--base $(BASE))

bench-quick: $(VENV)/.dev ## the same at small sizes, about a minute
	$(BIN)/python -m bench --quick $(if $(BASE),--base $(BASE))

backtest: $(VENV)/.dev ## forecasts of quotas against what happened afterwards, about a minute
	$(BIN)/python -m bench.backtest

generate: $(VENV)/.dev ## what is made from other files: reference, schema, dashboards, rules for Kubernetes and jsonnet, chart
	$(BIN)/python -m tools.reference docs/metrics.md
	$(BIN)/python -m tools.config_schema docs/config.schema.json
	$(BIN)/python -m deploy.grafana.generator
	$(BIN)/python deploy/kubernetes/prometheusrules.py
	$(BIN)/python deploy/mixin/rules.py
	$(BIN)/python -m tools.helm_chart

release: $(VENV)/.dev ## wheel, sdist, SBOM and sums of the last commit in dist
	$(BIN)/python -m tools.release dist

site: $(VENV)/.dev ## the documents as a static site in build/site; fails for a link that leads to nothing
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

record: $(VENV)/.dev ## at a release: what it promises, in docs/metrics.json and docs/settings.json
	$(BIN)/python -m tools.record docs

screenshot: $(VENV)/.dev ## docs/status-page.png, with Debian's chromium
	$(BIN)/pytest -q tests/end_to_end/test_end_to_end_status_page.py -k readme
	cp build/screenshots/readme.png docs/status-page.png

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
