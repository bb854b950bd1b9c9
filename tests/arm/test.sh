#!/usr/bin/env bash
# The SDK on an emulated aarch64: test.sh FOLDER [MODEL PHOTOS [COUNT]], run by `make test-arm`. docs/arm.md explains it.
# FOLDER keeps what takes long to make. With MODEL and PHOTOS (a data set), COUNT of its photos are compared with this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "$1")
model=${2:-} photos=${3:-} count=${4:-20}
export PYTHON=${PYTHON:-python3} PYTHONDONTWRITEBYTECODE=1

missing=""
for tool in qemu-aarch64-static aarch64-linux-gnu-g++ cmake apt-get; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "test-arm needs$missing: apt-get install qemu-user-static g++-aarch64-linux-gnu cmake, on Debian or Ubuntu." >&2
    exit 1
fi

test -f "$folder/version" || bash tests/arm/root.sh "$folder"
version=$(cat "$folder/version")
emulator="qemu-aarch64-static -cpu cortex-a72 -L $folder/root"
arm_litert=$folder/site/ai_edge_litert/libLiteRt.so

echo "== libderm: cross-compiled, its vectors and its border"
cmake -S . -B "$folder/native" -DCMAKE_TOOLCHAIN_FILE="$PWD/tests/arm/toolchain.cmake" -DDERM_ARM_ROOT="$folder/root" > /dev/null
cmake --build "$folder/native" --parallel 2 > /dev/null
DERM_LITERT=$arm_litert ctest --test-dir "$folder/native" --output-on-failure

echo "== Python: the definition and the compiled core, its vectors"
mkdir -p "$folder/tree"
ln -sfn "$PWD/tests" "$folder/tree/tests"
ln -sfn "$PWD/docs" "$folder/tree/docs"
rm -rf "$folder/tree/derm_sdk" && cp -r derm_sdk "$folder/tree/" && rm -f "$folder"/tree/derm_sdk/_native*
aarch64-linux-gnu-g++ -std=c++17 -O3 -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Werror -shared -fPIC \
    -DPy_LIMITED_API=0x030B0000 -I "$folder/root/usr/include/$version" -idirafter "$folder/root/usr/include" \
    derm_sdk/native/src/preprocess.cpp derm_sdk/native/src/python_binding.cpp -o "$folder/tree/derm_sdk/_native.abi3.so"
arm_python() {
    (cd "$folder/tree" && PYTHONPATH="$folder/tree:$folder/site" $emulator "$folder/root/usr/bin/$version" "$@")
}
arm_python -c "from derm_sdk import preprocess; assert preprocess.native, 'the compiled core was not loaded'"
arm_python -m pytest -q -p no:cacheprovider -c /dev/null --rootdir . -W ignore \
    tests/sdk/test_preprocess.py tests/sdk/test_native.py -k "test_frozen or test_the_vectors"

echo "== The starter's self-test"
arm_python -c "from derm_sdk.cli import main; main()" selftest derm_sdk/models/starter.derm

if [ -n "$photos" ]; then
    echo "== $count photos of $photos with $model, from the file to the answer, in Python"
    model=$(realpath "$model") photos=$(realpath "$photos")
    "$PYTHON" tests/arm/answers.py "$model" "$photos" "$count" > "$folder/here.jsonl"
    arm_python tests/arm/answers.py "$model" "$photos" "$count" > "$folder/arm.jsonl"
    "$PYTHON" tests/arm/compare.py "$folder/here.jsonl" "$folder/arm.jsonl"
    echo "== The same in C, from the pixels"
    DERM_LITERT=$arm_litert "$PYTHON" benchmarks/native.py "$folder/native" "$model" "$photos" --limit "$count" --emulator "$emulator"
fi
