# Each target sets up .venv first, once. `make help` lists them.
SHELL := /bin/bash
VENV := .venv
READY := $(VENV)/.ready
PYTHON := python3.11 python3.12 python3
PORT := $(or $(GRADIO_SERVER_PORT),7860)
DATA ?= data
WORK ?= work
WEIGHTS := assets/weights/compact
# Two processes of one thread each: threads of both would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile

.PHONY: help demo app check test lint quick docs weights wheel clean packages packages-test
help:
	@echo "make demo    the bundled photo and speech become out/demo.mp4"
	@echo "make app     open the app in the browser (GRADIO_SERVER_PORT, else 7860)"
	@echo "make check   the quick tier: style, types and the tests that are not slow"
	@echo "make test    all of it: style, types and every test"
	@echo "make docs    build the site of the documentation in site/, warnings are errors"
	@echo "make weights DATA=FOLDER   learn the compact weights again: docs/training.md"
	@echo "make wheel   build dist/*.whl"
	@echo "make clean   remove .venv and everything built"

demo: packages $(READY)
	@mkdir -p out
	@$(VENV)/bin/real3d-portrait animate --portrait assets/examples/portrait_1.jpg \
		--audio assets/examples/speech_1.wav --output out/demo.mp4
	@echo "Make your own in the app: make app, then open http://127.0.0.1:$(PORT)"

app: packages $(READY)
	$(VENV)/bin/python app.py

check: lint quick

test: lint packages packages-test
	$(PYTEST)

lint: $(READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

quick: packages $(READY)
	$(PYTEST) -m 'not slow'

docs: packages $(READY)
	$(VENV)/bin/mkdocs build --strict

# Hours on two cores; every step that takes long goes on from its checkpoint when started again.
weights: packages $(READY)
	$(VENV)/bin/python -m training.track --data $(DATA) --work $(WORK)
	$(VENV)/bin/python -m training.fit_face_model --work $(WORK) --output $(WEIGHTS)/face_model.safetensors
	$(VENV)/bin/python -m training.a2m --data $(DATA) --work $(WORK)
	$(VENV)/bin/python -m training.speech_enhancer --data $(DATA) --work $(WORK)
	$(VENV)/bin/python -m training.avatar_speech_encoder --data $(DATA) --output $(WEIGHTS)/avatar_speech_encoder.safetensors
	$(VENV)/bin/python -m training.head_model --heads $(DATA)/heads --output $(WEIGHTS)/head_model.safetensors
	$(VENV)/bin/python -m training.shading_pairs --data $(DATA) --work $(WORK)
	$(VENV)/bin/python -m training.shading --work $(WORK) --minutes 40 --output $(WEIGHTS)/shading.safetensors
	$(VENV)/bin/python -m training.occlusion --faces $(DATA)/faces --output $(WEIGHTS)/occlusion.safetensors
	$(VENV)/bin/python -m training.parsing_data --data $(DATA) --work $(WORK)
	$(VENV)/bin/python -m training.parsing --work $(WORK) --minutes 47 --output $(WEIGHTS)/parsing.safetensors

wheel: $(READY)
	$(VENV)/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf $(VENV) .venv-light build dist out site *.egg-info

# The product cannot run without its Debian packages; tests that need more of them skip themselves.
packages:
	@.ci/packages required packages.txt

packages-test:
	@.ci/packages optional packages-test.txt

$(READY): requirements.txt constraints.txt pyproject.toml setup.py
	@python=; for name in $(PYTHON); do \
		if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; \
		then python=$$name; break; fi; done; \
	[ -n "$$python" ] || { echo "Python 3.11 or 3.12 is needed. Run: sudo apt-get install -y python3 python3-venv" >&2; exit 1; }; \
	[ -x $(VENV)/bin/pip ] || $$python -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv is missing. Run: sudo apt-get install -y python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV), once; this takes a few minutes."
	@$(VENV)/bin/pip install -qq --constraint constraints.txt --requirement requirements.txt --editable '.[dev,docs,test]'
	@touch $@
