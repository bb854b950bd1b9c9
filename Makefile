# make demo   installs into .venv and shows the whole way once: drawn photos -> training -> int8 -> answers
# make test   installs into .venv and runs every check
# make test-wheel   builds the wheels into build/wheels/dist, audits them, and runs them in empty environments: docs/install.md
# make test-arm [MODEL=m.derm PHOTOS=data [COUNT=n]]   the SDK and its vectors on an emulated aarch64: docs/arm.md
# make starter DATA=runs/both   trains and converts the model that comes with the package, in hours: docs/starter.md
# make web    builds the browser's package and page into build/web: docs/web.md
# make benchmarks   those that need no data of yours; benchmarks/README.md has them all

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.cfg setup.py pyproject.toml $(wildcard derm_sdk/native/src/*)

.PHONY: demo test lint test-wheel test-arm starter web web-if-possible benchmarks clean

demo: $(VENV)/installed-all
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

starter: $(VENV)/installed-all
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/starter.sh "$(DATA)"

test: $(VENV)/installed-test lint web-if-possible
	$(BIN)/python -m pytest

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

web:
	emcmake cmake -S . -B build/wasm
	cmake --build build/wasm --parallel 2
	npm ci --prefix examples/web/package --no-audit --no-fund
	node examples/web/package/build.js build/wasm/examples/web/core/derm.wasm
	node examples/web/build.mjs build/web

# Without these tools the tests in the browser are skipped, and say so.
web-if-possible:
	@if command -v emcmake && command -v cmake && command -v npm; then $(MAKE) web; else echo "No build/web: emscripten, cmake or npm is missing."; fi

test-wheel:
	PYTHON=$(PYTHON) bash tests/wheels/test.sh build/wheels

test-arm: $(VENV)/installed-test
	PYTHON="$(CURDIR)/$(BIN)/python" bash tests/arm/test.sh build/arm $(MODEL) $(PHOTOS) $(COUNT)

benchmarks: $(VENV)/installed-test
	for name in preprocessing classify cache_memory training feeding; do $(BIN)/python benchmarks/$$name.py || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info runs derm_sdk/*.so

$(VENV)/installed-%: $(SOURCES)
	@bash examples/check_machine.sh $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
# Without its dependencies: its OpenCV would overwrite the files of ours. A test opens our files with it.
	test "$*" != test || $(BIN)/python -m pip install --quiet --no-deps "mediapipe >= 1.2"
	@touch $@
