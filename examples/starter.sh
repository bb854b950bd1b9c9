#!/usr/bin/env bash
# The starter, derm_sdk/models/starter.derm: two networks, the flagship that they teach, its figures, and int8.
# About 3 hours on 2 CPU cores. What is finished is kept, and what was interrupted goes on, when it is run again.
#
#   make starter DATA=runs/both        DATA: a data set with its split, as docs/starter.md makes it
set -eu
export KERAS_BACKEND=${KERAS_BACKEND:-tensorflow} TF_CPP_MIN_LOG_LEVEL=3
data=${1:?name the data set: make starter DATA=runs/both}
work=${2:-runs/starter}
step() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }
train() { # CONFIG RUN [OPTION...]
    if [ -e "$2" ]; then step derm-toolkit train --resume --out "$2"; else step derm-toolkit train "$1" --data "$data" --out "$2" "${@:3}"; fi
}

mkdir -p "$work"
train hierarchical_plain "$work/plain"
train hierarchical_large "$work/large"
train hierarchical "$work/flagship" --set "training.teachers=[\"$work/plain\", \"$work/large\"]" \
    --set 'training.sizes=[160, 192, 224]' --set 'preprocessing.decode="reduced"'
step derm-toolkit evaluate "$work/flagship" --split test
step derm-convert "$work/flagship" --int8 -o "$work/starter.derm" --report "$work/parity.html" --id starter \
    --name "Starter: EfficientNet-Lite0 on atlas and phone photos" --model-version 3 \
    --licence "CC BY-NC-SA 3.0" --licence-file derm_sdk/models/LICENSE-starter.txt
step derm-toolkit evaluate "$work/starter.derm" --data "$data" --split test
step derm selftest "$work/starter.derm"
cp "$work/starter.derm" derm_sdk/models/starter.derm
