#!/bin/sh
# Installs what `make test-arm` needs, on Debian or Ubuntu: gcc and libc for 64-bit Arm, and qemu's user
# mode to run what they build. Elsewhere it says what to look for. Uses sudo unless it runs as root.
set -eu
packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
if ! command -v apt-get >/dev/null; then
    echo "install_arm: no apt-get here. Needed: a C compiler for aarch64-linux with a static libc, and" >&2
    echo "qemu-aarch64; then make test-arm ARM_CC=... ARM_AR=... ARM_RUN=..." >&2
    exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
if ! apt-cache show gcc-aarch64-linux-gnu >/dev/null 2>&1; then
    $sudo apt-get update
fi
# shellcheck disable=SC2086
$sudo apt-get install -y --no-install-recommends $packages
