# make setup | run | test | bench | hardness | lint | accuracy | exactly-once        PYTHON=python3.12 chooses the interpreter (3.10 to 3.13)
PYTHON ?= python3
VENV   ?= .venv
CT     ?= Resources/SampleData/CTQA-phantom/dicom
OUT    ?= out
VIEWER ?= 1

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PINS := pyproject.toml constraints.txt

.PHONY: setup run test bench hardness lint accuracy exactly-once
.DELETE_ON_ERROR:

setup: $(VENV)/.run-ready

# torch goes first and by its exact version, so that pip takes the build at hand (CPU where there is one) as it is.
$(VENV)/.run-ready: $(PINS)
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info[:2] <= (3, 13) else "Error: Python 3.10 to 3.13 is needed. Try make PYTHON=python3.12.")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e '.[all]'
	touch $@

$(VENV)/.test-ready: $(VENV)/.run-ready
	$(PIP) -e '.[test]'
	touch $@

run: $(VENV)/.run-ready
	$(BIN)/ctqa assess "$(CT)" --out "$(OUT)"
	@if [ "$(VIEWER)" = 0 ]; then echo "Open $(OUT)/index.html in a browser, or $(OUT)/scene.mrb in 3D Slicer."; \
	else $(BIN)/ctqa view "$(OUT)"; fi

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

# One thread a worker: two workers with a thread pool each fight for the same cores. Tests of a group share one server.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup -q || { code=$$?; [ $$code = 1 ] || exit $$code; \
	echo "Once more, alone: what failed beside other work."; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none; }

# The last one fails where a ratio of speeds has dropped by more than 15 % from ratios.json. It counts the processor's
# seconds on one thread, which say the same on a busy machine; without --processor it measures all cores by the clock.
bench: $(VENV)/.run-ready
	$(BIN)/python -m Testing.benchmarks.spine "$(CT)"
	$(BIN)/python -m Testing.benchmarks.memory
	$(BIN)/python -m Testing.benchmarks.physical_measures "$(CT)"
	$(BIN)/python -m Testing.benchmarks.denoising "$(CT)"
	$(BIN)/python -m Testing.benchmarks.speed --processor --slices 30 --check Testing/benchmarks/ratios.json

# Ten thousand broken inputs, and their table in Testing/hardness/README.md; what is done is in build/hardness.
hardness: $(VENV)/.test-ready
	OMP_NUM_THREADS=1 nice -n 10 $(BIN)/python -m Testing.hardness --table

# Needs the simulated data set (python -m Training.data.build --out build/simulated). glibc would give back and fetch
# anew the memory of every slice, which takes most of the time.
accuracy: $(VENV)/.test-ready
	OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 $(BIN)/python -m Training.accuracy

# 300 series on a real archive and cluster whose parts are killed at random; a quarter of an hour, on a busy computer
# half an hour or more. Needs Orthanc. Runs are recorded in Testing/pacs/README.md.
exactly-once: $(VENV)/.test-ready
	OMP_NUM_THREADS=1 $(BIN)/python -m Testing.pacs.exactly_once --series 300 --kills 15 --seed 1
