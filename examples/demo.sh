#!/usr/bin/env bash
# The whole way once, on drawn photos: draw, import, split, train, convert to int8, evaluate, classify. About 5 minutes.
set -eu
export KERAS_BACKEND=${KERAS_BACKEND:-tensorflow} TF_CPP_MIN_LOG_LEVEL=3
work=runs/demo
step() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

rm -rf "$work"
mkdir -p "$work"
step derm-toolkit data synth "$work/drawn" --photos 900 --seed 7
step derm-toolkit data import "$work/drawn/photos.csv" --photos "$work/drawn/photos" -o "$work/data"
step derm-toolkit data split "$work/data" --seed 7
step derm-toolkit train two_step_demo --data "$work/data" --out "$work/run"
step derm-convert "$work/run" --int8 -o "$work/demo.derm"
step derm-toolkit evaluate "$work/demo.derm" --data "$work/data" --split test

# Three photos that no training has seen.
unseen=$(awk -F, -v folder="$work/drawn/photos/" '$3 == "test" { print folder $2 }' "$work/data/splits.csv" | head -3)
# shellcheck disable=SC2086  # three words, without spaces in them
step derm classify $unseen --model "$work/demo.derm" --fitzpatrick IV
echo
echo "And one of them with the starter model, which was trained on real photos and has never seen a drawing:"
step derm classify "${unseen%%$'\n'*}"
