# Each target makes what it needs. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help book test unit lab serve lint notebooks handouts stills experiments mutants faults clients gpu clean

BIN := .venv/bin
CHAPTERS := $(sort $(wildcard book/*/*.ipynb))
# The chapter that CHAPTER=weight_decay names, if it is given.
ONE := $(filter %/$(CHAPTER).ipynb,$(CHAPTERS))
ifneq ($(CHAPTER),)
ifeq ($(ONE),)
$(error There is no chapter $(CHAPTER); there are $(basename $(notdir $(CHAPTERS))))
endif
endif
# What is tested apart from the product.
APART := adam_tutorial/study tests/study tests/equations tests/distributed tests/mutants \
  tests/badday tests/faults

# Long runs, large tables and programs of their own, that reach few lines which the other
# tests do not reach: measuring them costs time only. Coverage is therefore somewhat
# understated.
LONG := tests/laws tests/peers tests/libraries/test_paths.py tests/test_precision.py \
  tests/test_imports.py \
  $(addprefix tests/optim/test_, capturable.py compile.py differentiable.py dtypes.py \
  drop_in.py fused_safety.py layouts.py nonfinite.py torch_material.py)

# Settings of the reader's own Python have no part in what is built here.
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES)))
# One thread: sums are then added in the same order on every machine, and the numbers agree.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

# A process that has done its tests takes some of the other's.
TEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal
# The coverage that is required is stated in pyproject.toml.
MEASURED := --cov --cov-report= --cov-fail-under=0

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

book: .venv/ready ## build the website into _build/html
	@$(BIN)/python book/_tools/build.py $(BUILD)

test: .venv/ready ## check everything: code, chapters, site
	@# The types are checked by one process, for as long as a fifth of the tests take.
	@$(MAKE) --no-print-directory -j 2 lint unit
	@echo "testing the laboratory, the equations, and what goes wrong on a bad day"
	@$(TEST) $(APART)
	@echo "running the chapters and comparing their outputs"
	@$(BIN)/python book/_tools/compare.py $(CHAPTERS)
	@echo "building the site, and testing the optimizers in all settings"
	@# The pages are written by one process. A shell lets it ignore Ctrl-C.
	@trap 'kill $$!' INT; failed=; $(BIN)/python book/_tools/build.py & \
	$(TEST) $(LONG) || failed=1; wait $$! && test -z "$$failed"
	@echo "looking at the site"
	@# A page that is at fault is so at every visit; a browser that a busy machine kept
	@# waiting is not. The report names what was tried twice.
	@$(TEST) -n 3 --dist loadgroup --reruns 1 -rfER tests/book

unit: .venv/ready ## test the optimizers and what belongs to them
	@echo "testing the optimizers"
	@$(TEST) $(MEASURED) tests adam_tutorial $(addprefix --ignore=,$(APART) $(LONG) tests/book tests/clients)
	@$(BIN)/coverage report --omit 'adam_tutorial/study/*,adam_tutorial/distributed/*'

lab: .venv/lab-ready ## open JupyterLab on the chapters; CHAPTER=weight_decay opens one
	@$(BIN)/jupyter lab --notebook-dir=book $(ONE)

serve: book ## build the website and serve it on http://localhost:8000, or on PORT
	@$(BIN)/python book/_tools/serve.py $(or $(PORT),8000)

lint: .venv/ready ## check style, types and stored notebook outputs
	@echo "checking style, types and stored outputs"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "ruff format would change the files above: run .venv/bin/ruff format ."; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python book/_tools/notebooks.py check $(CHAPTERS)

notebooks: .venv/ready ## run the chapters and store their outputs; CHAPTER=weight_decay runs one
	@$(BIN)/python book/_tools/notebooks.py run $(or $(ONE),$(CHAPTERS))

handouts: .venv/ready ## write the chapters for students: no solutions, but checks; _build/handouts
	@$(BIN)/python book/_tools/handouts.py

stills: .venv/ready ## redraw the still pictures of the explorables
	@$(BIN)/python book/_tools/stills.py

RESULT := adam_tutorial/study/results/$(STUDY).json
experiments: .venv/ready ## list the long runs with their times; STUDY=decay does one, and goes on if it was ended
	@$(BIN)/python -m adam_tutorial.study.experiments$(addprefix .,$(STUDY)) $(if $(STUDY),--out $(RESULT))

mutants: .venv/ready ## list small changes of the code that no test notices; MODULE=theory: one area
	@$(BIN)/python -m tests.mutants $(MODULE)

faults: .venv/ready ## kill training runs, damage checkpoints: 1,200 and 1,000 times
	@FAULTS=long $(BIN)/python -m pytest -q -o timeout=3600 tests/faults

clients: .venv/ready ## train with other libraries' programs; installs them
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[clients]'
	@$(BIN)/python -m pytest -q tests/clients

# With the reader's own Python: it has the PyTorch that fits the GPU.
gpu: ## test and measure the optimizers on a GPU, with $PYTHON or python3; installs nothing
	@$(or $(PYTHON),python3) tests/gpu/run.py

clean: ## remove the environment and everything that was built
	@rm -rf .venv _build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage *.egg-info

.venv/ready: pyproject.toml constraints.txt book/_web/package-lock.json
	@sh .ci/setup.sh everything

# What the chapters need, and no more: where all is installed, JupyterLab is added.
.venv/lab-ready: pyproject.toml constraints.txt
	@sh .ci/setup.sh lab

# An environment knows its folder by name: in one that was moved or copied, and where its
# Python is gone, it is made anew.
ifneq ($(shell { .venv/bin/python -I -c "" && cat .venv/folder; } 2>/dev/null),$(CURDIR))
.PHONY: .venv/ready .venv/lab-ready
endif
