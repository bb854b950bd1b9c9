#!/usr/bin/env bash
# An aarch64 Python with what the SDK needs, in a folder: root.sh FOLDER
# Packages come through the apt and the pip that this machine is set up with; nothing is installed on it, and no file of the
# packages is run here but by the emulator.
set -euo pipefail
folder=$(realpath -m "$1")
packages="python3 libpython3-dev libstdc++6 libgomp1"
wheels="numpy ai-edge-litert>=2.3 pillow>=11 click>=8.1 pytest hypothesis"

mkdir -p "$folder"/state/lists/partial "$folder"/cache/archives/partial
: > "$folder/state/status" # nothing is installed there, so that apt fetches every dependency
settings=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false
    -o Dir::State="$folder/state" -o Dir::State::status="$folder/state/status" -o Dir::Cache="$folder/cache"
    -o APT::Sandbox::User=root -o Debug::NoLocking=true)
apt-get "${settings[@]}" -qq update
# shellcheck disable=SC2086
apt-get "${settings[@]}" -qq --yes --download-only install $packages > /dev/null
rm -rf "$folder/root" && mkdir "$folder/root"
for package in "$folder"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$folder/root"
done

# What the interpreter of TensorFlow Lite looks up: without it, it crashes under QEMU 7.2.
mkdir -p "$folder/root/proc"
for core in 0 1; do
    printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid\n' $core
    printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
done > "$folder/root/proc/cpuinfo"

# A wheel of another machine: pip must be told which Python, and which glibc at most.
version=$(cd "$folder/root/usr/bin" && echo python3.[0-9]* | tr ' ' '\n' | grep -m 1 -E '^python3\.[0-9]+$')
platforms=()
for glibc in 17 27 28 34; do
    platforms+=(--platform "manylinux_2_${glibc}_aarch64")
done
rm -rf "$folder/site"
# shellcheck disable=SC2086
"${PYTHON:-python3}" -m pip install -qq --no-warn-conflicts --disable-pip-version-check --target "$folder/site" --only-binary :all: \
    --implementation cp --python-version "${version#python}" "${platforms[@]}" --platform manylinux2014_aarch64 --platform any $wheels
rm -rf "$folder/state" "$folder/cache"
echo "$version" > "$folder/version"
