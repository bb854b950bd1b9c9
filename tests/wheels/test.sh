#!/usr/bin/env bash
# Builds the distributions, audits them, and runs them where nothing else is installed: test.sh FOLDER, run by `make test-wheel`.
# FOLDER gets dist/: the source distribution, the wheel of this platform, and the pure wheel that runs everywhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "$1")
PYTHON=${PYTHON:-python3}
rm -rf "$folder" && mkdir -p "$folder"

empty() { # a Python with nothing but what a distribution declares: empty NAME DISTRIBUTION
    "$PYTHON" -m venv "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet "$2"
}
installed() { # run from outside the source tree: installed NAME KIND
    cp tests/wheels/installed.py "$folder/$1/"
    (cd "$folder/$1" && env -u PYTHONPATH -u DERM_SDK_NATIVE bin/python installed.py "$2")
}

echo "== Build: the source distribution, and the wheels from it"
"$PYTHON" -m venv "$folder/tools"
"$folder/tools/bin/python" -m pip install --quiet build
if [ "$(uname -s)" = Linux ]; then
    "$folder/tools/bin/python" -m pip install --quiet auditwheel abi3audit
fi
"$folder/tools/bin/python" -m build --outdir "$folder/dist" . > "$folder/build.log" 2>&1 || { tail -20 "$folder/build.log" >&2; exit 1; }
sdist=$(echo "$folder"/dist/*.tar.gz)
wheel=$(echo "$folder"/dist/*-abi3-*.whl)
DERM_SDK_PURE=1 "$folder/tools/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$folder/dist" "$sdist"
pure=$(echo "$folder"/dist/*-none-any.whl)

echo "== Contents"
"$PYTHON" tests/wheels/contents.py "$wheel" "$sdist"
"$PYTHON" tests/wheels/contents.py "$pure" "$sdist"

if [ "$(uname -s)" = Linux ]; then
    echo "== Audit"
    "$folder/tools/bin/auditwheel" show "$wheel"
    "$folder/tools/bin/abi3audit" --strict "$wheel"
fi

echo "== The wheel in an empty environment"
empty compiled "$wheel"
"$folder/compiled/bin/python" -m pip list --format freeze
installed compiled compiled
echo "== The vectors, with the installed wheel"
"$folder/compiled/bin/python" -m pip install --quiet pytest hypothesis
cp -r tests docs "$folder/compiled/"
mkdir -p "$folder/compiled/derm_sdk/native" && cp -r derm_sdk/native/include "$folder/compiled/derm_sdk/native/" # and no Python
(cd "$folder/compiled" && bin/python -m pytest -q -p no:cacheprovider -c /dev/null --rootdir . -W ignore \
    tests/sdk/test_preprocess.py tests/sdk/test_native.py -k "test_frozen or test_the_vectors")

echo "== The pure wheel in an empty environment"
empty pure "$pure"
installed pure pure

echo "== The source distribution where no compiler works"
CC=/bin/false CXX=/bin/false empty broken "$sdist"
installed broken pure
