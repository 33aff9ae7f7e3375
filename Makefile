# Two commands are all a fresh machine needs: make run, make test.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SUPERSET := .venv-superset/.ready
DATA := $(or $(FEEDBACK_DATA_DIR),data)
SITE := site

.PHONY: run test check dashboard dev superset docs notebook answers setup sample generate format lock bench chaos fuzz mutation soak clean

run: $(READY) ## compute and publish; lays out sample exports in an empty data directory
	@test -e "$(DATA)/shops.csv" || test -d "$(DATA)/landing" || $(BIN)/feedback sample "$(DATA)"
	@$(BIN)/feedback run --data-dir "$(DATA)"

test: $(READY) ## lint, types, all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml dagster_project
	$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models
	$(BIN)/pytest --cov -n auto --dist loadfile --no-loadscope-reorder

check: $(READY) ## the same without the slow ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow" -n auto

dashboard: $(READY) ## look at what is published, on http://127.0.0.1:8501
	@$(BIN)/feedback dashboard --data-dir "$(DATA)"

dev: $(READY) ## the Dagster UI on localhost
	@$(BIN)/feedback dev --data-dir "$(DATA)"

superset: $(READY) $(SUPERSET) ## Apache Superset on localhost over what is published; PORT=8088
	@$(BIN)/feedback superset --data-dir "$(DATA)" $(if $(PORT),--port "$(PORT)")
docs: $(READY) ## the documentation as a site, in site/, with dbt's page of models and metrics
	FEEDBACK_WAREHOUSE=:memory: $(BIN)/dbt --quiet docs generate --static --empty-catalog --project-dir dbt_project \
		--profiles-dir dbt_project --target-path target/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --config-file docs/mkdocs.yml \
		--site-dir $(abspath $(SITE))
	@echo "Open $(SITE)/index.html; to search in it: python3 -m http.server -b 127.0.0.1 -d $(SITE)"

notebook: $(READY) ## a notebook on what is published, in the browser
	@FEEDBACK_DATA_DIR="$(DATA)" MARIMO_SKIP_UPDATE_CHECK=1 \
		$(BIN)/marimo edit --host 127.0.0.1 docs/notebooks/rates.py

answers: $(READY) ## the answers of docs/twenty-questions.md, from the bundled sample
	@sample=$$(mktemp -d) && trap 'rm -rf "$$sample"' EXIT && $(BIN)/feedback sample "$$sample" \
		&& $(BIN)/feedback run --data-dir "$$sample" && $(BIN)/python docs/answers.py "$$sample"

bench: $(READY) ## the figures of benchmarks/README.md; LINES=100_000_000 for one size, WORK= to keep data
	$(BIN)/python benchmarks/run_time.py
	$(BIN)/python benchmarks/ingest_speed.py
	$(BIN)/python benchmarks/review_reasons.py
	$(BIN)/python benchmarks/scale.py $(if $(LINES),--lines $(LINES)) $(if $(WORK),--work $(WORK))
	$(BIN)/python benchmarks/plot.py

chaos: $(READY) ## faults thrown at runs and readers, and what became of them; an hour
	$(BIN)/python benchmarks/chaos.py

mutation: $(READY) ## small faults put into models and lib/; do the tests notice? hours
	$(BIN)/python benchmarks/mutate_sql.py
	$(BIN)/python benchmarks/mutate_lib.py

soak: fuzz chaos mutation ## all three

fuzz: $(READY) ## 20,000 damaged files through ingest; some minutes
	$(BIN)/python benchmarks/fuzz_files.py

generate: $(READY) ## dbt sources and seeds, the page of rules, the data dictionary
	$(BIN)/python -m dagster_project.lib.generated

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## pin all packages anew; upgrade on purpose
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet -o requirements.lock
	$(BIN)/uv pip compile requirements-superset.in --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet -o requirements-superset.lock

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (a minute or two, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

$(SUPERSET): requirements-superset.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
		|| { echo "Superset needs Python 3.11 or 3.12; name one with make superset PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv-superset (a minute or two, once)"
	@rm -rf .venv-superset
	@$(PYTHON) -m venv .venv-superset
	@.venv-superset/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r requirements-superset.lock
	@touch $(SUPERSET)

clean: ## remove the environments, the site and what dbt compiled; never data
	rm -rf .venv .venv-superset .venv-clients dbt_project/target site
