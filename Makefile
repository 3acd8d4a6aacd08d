# Each target makes what it needs. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help book test lab serve lint notebooks experiments mutants clean

BIN := .venv/bin
CHAPTERS := $(sort $(wildcard book/*/*.ipynb))
# The chapter that CHAPTER=4 names, if it is given.
ONE := $(if $(CHAPTER),$(firstword $(wildcard book/*/$(CHAPTER)_*.ipynb book/*/0$(CHAPTER)_*.ipynb)))

# One thread: sums are then added in the same order on every machine, and the numbers agree.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

book: .venv/ready ## build the website into _build/html
	@$(BIN)/python book/_tools/build.py

test: lint book ## check everything: code, chapters, site
	@echo "running the unit tests"
	@$(BIN)/python -m pytest -q -n 2 --cov --cov-report=term:skip-covered tests adam_tutorial --ignore=tests/book
	@echo "running the chapters and comparing their outputs"
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=300 $(CHAPTERS)
	@echo "looking at the site"
	@$(BIN)/python -m pytest -q -n 2 tests/book

lab: .venv/lab-ready ## open JupyterLab on the chapters; CHAPTER=4 opens one
	@$(BIN)/jupyter lab $(or $(ONE),book)

serve: book ## build the website and serve it on http://localhost:8000
	@echo "serving on http://localhost:8000, stop with Ctrl-C"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

lint: .venv/ready ## check style, types and stored notebook outputs
	@echo "checking style, types and stored outputs"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "ruff format would change the files above: run .venv/bin/ruff format ."; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python book/_tools/notebooks.py check $(CHAPTERS)

notebooks: .venv/ready ## run the chapters and store their outputs; CHAPTER=4 runs one
	@$(BIN)/python book/_tools/notebooks.py run $(or $(ONE),$(CHAPTERS))

.PHONY: stills
stills: .venv/ready ## redraw the still pictures of the explorables
	@$(BIN)/python book/_tools/stills.py

experiments: .venv/ready ## repeat the long runs (two hours or so) and store their results
	@$(BIN)/python -m adam_tutorial.study.experiments.images --out adam_tutorial/study/results/images.json
	@$(BIN)/python -m adam_tutorial.study.experiments.text --out adam_tutorial/study/results/text.json
	@$(BIN)/python -m adam_tutorial.study.experiments.pains --out adam_tutorial/study/results/pains.json
	@$(BIN)/python -m adam_tutorial.study.experiments.decay --out adam_tutorial/study/results/decay.json
	@$(BIN)/python -m adam_tutorial.study.experiments.hyperparameters --out adam_tutorial/study/results/hyperparameters.json

mutants: .venv/ready ## list small changes of the code that no test notices; MODULE=theory: one area
	@$(BIN)/python -m tests.mutants $(MODULE)

clean: ## remove the environment and everything that was built
	@rm -rf .venv _build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage *.egg-info

.venv/ready: pyproject.toml constraints.txt book/_web/package-lock.json
	@sh .ci/setup.sh

.venv/lab-ready: .venv/ready
	@echo "installing JupyterLab"
	@$(BIN)/python -m pip install --constraint constraints.txt --editable '.[notebooks]' >.venv/setup.log 2>&1 || { \
		tail -n 5 .venv/setup.log; \
		echo "Installing JupyterLab failed (all in .venv/setup.log). Is there a network? Try again with: make lab"; exit 1; }
	@touch $@
