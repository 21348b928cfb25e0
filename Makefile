# What a developer runs. All of it works on a fresh machine with Python 3.11 or later and make: the first target that
# needs one makes an environment in .venv, the next ones add to it.

PYTHON ?= python3
DATA ?= ../shared/data/fer2013/trainval.parquet
RUN ?= runs/shipped
YUNET ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
VERSION = $(shell $(BIN)/python -c 'import mien; print(mien.__version__)')
MODEL = src/mien/assets/models/$(VERSION).onnx
PAGE := src/mien/service/page/index.html.gz
NPM = PATH="$(abspath $(BIN)):$$PATH" npm

# Tests wait for much, so four processes fill two CPUs: TEST="-n 0" runs them in one, TEST="-k words" some of them.
# A process that crashes ends the run: xdist would wait for ever. The slow tests start clusters and ranks of their own, so
# they run one after the other.
PARALLEL = --numprocesses 4 --dist loadfile --max-worker-restart 0
PYTEST = $(BIN)/python -m pytest

.PHONY: help demo test test-slow test-all check docs page serve npm release-check model bench bench-photos vendor clean

help:
	@echo "make demo    read the emotion off a photo, and draw it"
	@echo "make test    run the tests, but for the slow ones"
	@echo "make test-slow  run the slow tests; make test-all runs both"
	@echo "make check   formatting, lint, types, import contracts"
	@echo "make docs    build the site of the docs, build/docs/index.html"
	@echo "make page    build the page of mien serve (TypeScript, by the Node.js that pip installs)"
	@echo "make serve   build the page and serve it at http://127.0.0.1:8000"
	@echo "make npm     build the npm package of the page's engine, dist/mien-faces-*.tgz"
	@echo "make release-check  build sdist and wheel, install and use them; RELEASE=\"--python python3.11 python3.13\""
	@echo "make model   data to shipped model and its card: trains on DATA=$(DATA), hours on a CPU"
	@echo "make bench   time Mien beside other tools, and write the tables and the chart of docs/performance.md"
	@echo "make bench-photos  measure crops, detection and emotions on photos of ../shared"
	@echo "make vendor  put YuNet into the package where a build cannot: from the OpenCV zoo, or from YUNET=FILE"
	@echo "make clean   remove what the other targets made, but no training run"

demo: $(VENV)/.demo
	@photo=$$($(BIN)/python -c "from importlib.util import find_spec; from pathlib import Path; \
	  print(Path(find_spec('skimage').origin).parent / 'data' / 'astronaut.png')") && \
	  $(BIN)/mien predict "$$photo" --out demo
	@test -f demo/astronaut.png && echo "The drawn picture: demo/astronaut.png"

test: $(VENV)/.dev $(PAGE)
	@$(PYTEST) $(PARALLEL) -m "not slow" $(TEST)

test-slow: $(VENV)/.dev $(PAGE)
	@$(PYTEST) -m slow $(TEST)

test-all: test test-slow

check: $(VENV)/.dev web/node_modules/.installed
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd web && $(NPM) run --silent check

# Strict: a link that leads nowhere is an error. Never with --quiet, by which warnings are not counted. The variable
# silences an advertisement for other generators.
docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The docs: build/docs/index.html"

page: $(PAGE)

serve: $(PAGE)
	@$(BIN)/mien serve --open

# The engine of the page as an npm package: docs/javascript.md.
npm: web/node_modules/.installed
	@$(BIN)/python scripts/npm_package.py dist

# The page of `mien serve`: git ignores what is built, wheels hold it.
$(PAGE): web/node_modules/.installed $(wildcard web/*.html web/*.ts web/*.json web/public/*/* web/src/* web/src/*/*) \
  $(wildcard src/mien/assets/emoji/*.svg)
	@echo "Building the page ..."
	@cd web && $(NPM) run --silent build

web/node_modules/.installed: $(VENV)/.page web/package-lock.json
	@cd web && $(NPM) ci --silent
	@touch $@

# Without releasing anything. CONTRIBUTING.md says what comes then.
release-check: $(VENV)/.release $(PAGE)
	@$(BIN)/python scripts/release_check.py $(RELEASE)

# A deeper teacher, an AlexNet from random weights, and a student that begins with the AlexNet and learns from the teacher.
# BESIDE="--unlabeled FILE --outliers DIR" adds faces without labels, and pictures without faces
# (scripts/fetch_outliers.py). A run that was stopped goes on where it stood; one that is done is left as it is.
resumed = $(if $(wildcard $(1)/last.safetensors),--resume)
model: $(VENV)/.dev
	mkdir -p $(dir $(MODEL)) docs/results
	$(PIP) install --group teacher
	$(BIN)/mien train --recipe teacher --data $(DATA) --drop-leaks --seed 3 --set trunk_rate=0.3 --out $(RUN)-teacher \
	  --init "$$(find $(VENV)/ -name dlib_face_recognition_resnet_model_v1.dat)" $(call resumed,$(RUN)-teacher)
	$(BIN)/mien train --data $(DATA) --drop-leaks --seed 0 --out $(RUN)-begun $(call resumed,$(RUN)-begun)
	$(BIN)/mien distill $(RUN)-teacher --recipe robust --init $(RUN)-begun --data $(DATA) --drop-leaks --seed 4 $(BESIDE) \
	  --out $(RUN) $(call resumed,$(RUN))
	$(BIN)/mien export $(RUN) --int8 --data $(DATA) --model-version $(VERSION) -o $(MODEL)
	$(BIN)/mien evaluate $(MODEL) --data $(DATA) --protocol all --json > docs/results/shipped.json.part
	mv docs/results/shipped.json.part docs/results/shipped.json
	$(BIN)/python scripts/model_card.py docs/results/shipped.json $(MODEL)

# Each tool gets an environment in .bench the first time (about 3 GB, minutes of downloads). BENCH="--only start" measures
# a part, BENCH="--env fer=FOLDER" takes an environment that is there.
bench: $(VENV)/.bench
	@$(BIN)/python benchmarks/speed.py --json docs/results/performance.json --markdown docs/performance.md \
	  --chart docs/images/performance.png $(BENCH)

bench-photos: $(VENV)/.bench
	@for name in crop_frame detection photos; do echo "benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || exit 1; done

# Builds do this themselves where they reach PyPI (hatch_build.py). It needs nothing installed.
vendor:
	@PYTHONPATH=src $(PYTHON) scripts/vendor_yunet.py $(if $(YUNET),--from $(YUNET))

clean:
	rm -rf $(VENV) web/node_modules src/mien/service/page src/mien/assets/vendor/*.onnx .venv-light .bench build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -type d -prune -exec rm -rf {} +

# The environment. pip before 25.1 does not know dependency groups.
$(VENV)/.pip:
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	  'Mien needs Python 3.11 or later, $(PYTHON) is %d.%d: make ... PYTHON=python3.12' % v[:2])"
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.pip pyproject.toml hatch_build.py constraints.txt
	@echo "Installing Mien into $(VENV) (about 600 MB) ..."
	@$(PIP) install -c constraints.txt -e . --group demo
	@touch $@

$(VENV)/.page: $(VENV)/.pip pyproject.toml hatch_build.py constraints.txt
	@echo "Installing Mien, what serves it and Node.js into $(VENV) (about 600 MB) ..."
	@$(PIP) install -c constraints.txt -e '.[serve]' --group page
	@touch $@

$(VENV)/.release: $(VENV)/.pip pyproject.toml hatch_build.py constraints.txt
	@$(PIP) install -c constraints.txt -e . --group release
	@touch $@

$(VENV)/.docs: $(VENV)/.pip pyproject.toml hatch_build.py constraints.txt
	@echo "Installing Mien and what builds its docs into $(VENV) (about 550 MB) ..."
	@$(PIP) install -c constraints.txt -e . --group docs
	@touch $@

$(VENV)/.bench: $(VENV)/.pip pyproject.toml hatch_build.py constraints.txt
	@echo "Installing Mien and what its benchmarks need into $(VENV) (about 900 MB) ..."
	@$(PIP) install -c constraints.txt -e . --group bench
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: $(VENV)/.pip pyproject.toml hatch_build.py constraints.txt
	@echo "Installing Mien, PyTorch and the tools of development into $(VENV) (about 2.3 GB) ..."
	@$(PIP) install -c constraints.txt -e '.[train,tables,serve,ray]' --group dev
	@touch $@ $(VENV)/.demo $(VENV)/.docs $(VENV)/.page $(VENV)/.bench
