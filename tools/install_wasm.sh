#!/bin/sh
# Installs what `make wasm` needs, on Debian or Ubuntu: clang, lld, the wasm32 runtime and wasi-libc.
# Elsewhere it says what to look for. Uses sudo unless it runs as root.
set -eu
packages="clang-19 lld-19 libclang-rt-19-dev-wasm32 wasi-libc brotli"
if ! command -v apt-get >/dev/null; then
    echo "install_wasm: no apt-get here. Needed: clang and wasm-ld 19 or newer, compiler-rt for wasm32," >&2
    echo "wasi-libc and brotli; then make wasm WASM_CC=clang WASM_LD=wasm-ld WASM_SYSROOT=..." >&2
    exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
if ! apt-cache show clang-19 >/dev/null 2>&1; then
    $sudo apt-get update
fi
# shellcheck disable=SC2086
$sudo apt-get install -y --no-install-recommends $packages
