# `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SHIPPED := $(wildcard *_spert.py)
DEMO_DIR := outputs/demo
MODEL ?= outputs/conll04-42
DATA_DIR ?= data
N ?= 60
SEED ?= 0
DEMO_SENTENCE := Vera Lund, who lives in Tromso with her husband Nils Lund, works for Polar Kayaks, the maker of the Sea Needle.

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast fuzz kills mutants style quality lint types benchmark clean

help: ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## The virtual environment .venv: the package, editable, with every optional part.

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

demo: install ## Train on the shipped corpus, score, and extract from a sentence: under five minutes on two cores.
	$(BIN)/accelerate launch --num_processes 1 --num_cpu_threads_per_process $$(nproc) --mixed_precision no \
	  --num_machines 1 --dynamo_backend no \
	  train_accelerate.py configs/gazette.yaml --model_name_or_path "$$($(BIN)/python examples/minilm.py)" \
	  --output_dir $(DEMO_DIR) --overwrite_output_dir
	$(BIN)/python examples/extract.py $(DEMO_DIR) "$(DEMO_SENTENCE)"

test: install ## All tests. SPERT_DATA_DIR names the real corpora; without it their tests are skipped.
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

fuzz: install ## Corrupt every field of every kind of file: a table of what was refused, read rightly, or went wrong.
	$(BIN)/python -m tests.fuzz

test-fast: install ## The tests that take seconds.
	$(BIN)/python -m pytest -n 2 -m "not slow"

kills: install ## Kill training and `spert predict` at many random moments: half an hour.
	$(BIN)/python -m pytest -m kills

mutants: install ## Try N small faults, sampled with SEED, and print those that no fast test notices (minutes).
	$(BIN)/python tests/mutants.py --number $(N) --seed $(SEED)

style: install ## Bring the code into shape.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: lint types ## What CI asks: lint, format, types.

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy cannot see that the root files are modules of the package: it gets a tree of links in which they are.
types: install
	@rm -rf .build/types && mkdir -p .build/types/spert
	@ln -s $(addprefix $(CURDIR)/,$(wildcard spert/*)) $(addprefix $(CURDIR)/,$(SHIPPED)) .build/types/spert/
	@ln -s $(CURDIR)/train_accelerate.py .build/types/
	cd .build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p spert -m train_accelerate

benchmark: install ## Print the tables of docs/performance.md for CPUs (half an hour); MODEL and DATA_DIR name what they run on.
	$(BIN)/python -m benchmarks.extraction_speed --model $(MODEL) --data_dir $(DATA_DIR)/conll04 --dense
	$(BIN)/python -m benchmarks.extraction_speed --model bert-base --data_dir $(DATA_DIR)/conll04 --sentences 96 --rounds 5
	$(BIN)/python -m benchmarks.extraction_speed --model $(MODEL) --dataset ade --split train --data_dir $(DATA_DIR)/ade \
	  --sentences 288 --rounds 5
	for words in 100 200 400; do \
	  $(BIN)/python -m benchmarks.extraction_speed --words $$words --sentences 32 --rounds 5 || exit 1; \
	done
	$(BIN)/python -m benchmarks.host_stages --model $(MODEL) --data_dir $(DATA_DIR)/conll04
	$(BIN)/python -m benchmarks.training_speed --data_dir $(DATA_DIR)/conll04
	$(BIN)/python -m benchmarks.training_speed --model bert-base --batch_size 2 --sentences 16 --data_dir $(DATA_DIR)/conll04
	$(BIN)/python -m benchmarks.model_choices --model $(MODEL) --data_dir $(DATA_DIR)/conll04
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.reduced_precision --model $(MODEL) --data_dir $(DATA_DIR)/conll04
	$(BIN)/python -m benchmarks.bulk_extraction --data_dir $(DATA_DIR)/conll04
	$(BIN)/python -m benchmarks.corpus_loading

clean: ## Remove what the other targets made.
	rm -rf $(VENV) .build build dist outputs .pytest_cache .hypothesis .mypy_cache .ruff_cache
