#!/usr/bin/env bash
# Says what a machine lacks before anything is installed. Usage: check_machine.sh PYTHON
set -u
python=${1:-python3}
lacks() { echo "This machine lacks $1. On Debian or Ubuntu: apt-get install $2" >&2; exit 1; }

command -v "$python" >/dev/null || lacks "Python 3.11 or newer" "python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "Python 3.11 or newer is needed; $python is $("$python" -V). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null || lacks "Python's venv module" "python3-venv"
command -v "${CXX:-c++}" >/dev/null || lacks "a C++ compiler" "g++"
"$python" -c 'import sysconfig, os, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
    lacks "Python's C headers" "python3-dev"
