#!/usr/bin/env bash
# The whole way once, on drawn photos: draw, import, split, train, convert to int8, evaluate, classify. About 5 minutes.
set -eu
export KERAS_BACKEND=${KERAS_BACKEND:-tensorflow} TF_CPP_MIN_LOG_LEVEL=3
work=${1:-runs/demo}
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
mapfile -t unseen < <(awk -F, '$3 == "test" { print $2 }' "$work/data/splits.csv" | head -3)
step derm classify "${unseen[@]/#/$work/drawn/photos/}" --model "$work/demo.derm" --fitzpatrick IV
echo
echo "And one of them with the starter model, which was trained on real photos and has never seen a drawing:"
step derm classify "$work/drawn/photos/${unseen[0]}"
