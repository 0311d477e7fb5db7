#!/bin/sh
# Installs what the GPU tests need on Debian or Ubuntu (x86-64), with no GPU in the machine: Mesa's
# software Vulkan (lavapipe) and, into build/gpu, Dawn as a shared library (npm; pinned and checked by
# tests/gpu/package-lock.json). Elsewhere it says what to look for. Uses sudo unless it runs as root.
set -eu
cd "$(dirname "$0")/.."
needed="a Vulkan driver (Mesa 24 or later for lavapipe), libvulkan1 and Dawn's library, which INGLE_DAWN names"
if ! command -v apt-get >/dev/null || [ "$(uname -m)" != x86_64 ]; then
    echo "install_gpu: not Debian or Ubuntu on x86-64. Needed: $needed" >&2
    exit 1
fi
if ! command -v npm >/dev/null; then
    echo "install_gpu: npm is missing" >&2
    exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"

# Debian 12's own Mesa lacks 16-bit floats and subgroups of a fixed size: there it comes from backports,
# from the same place and with the same key as the system's packages.
suite=""
. /etc/os-release
if [ "${VERSION_CODENAME:-}" = bookworm ]; then
    suite="-t bookworm-backports"
    from=/etc/apt/sources.list.d/debian.sources
    if ! apt-cache policy | grep -q bookworm-backports; then
        awk 'BEGIN { RS = "" } NR == 1' "$from" | sed 's/^Suites:.*/Suites: bookworm-backports/' |
            $sudo tee /etc/apt/sources.list.d/backports.sources >/dev/null
        $sudo apt-get update
    fi
fi
if ! apt-cache show mesa-vulkan-drivers >/dev/null 2>&1; then
    $sudo apt-get update
fi
# shellcheck disable=SC2086
$sudo apt-get install -y --no-install-recommends $suite mesa-vulkan-drivers libvulkan1

mkdir -p build/gpu
cp tests/gpu/package.json tests/gpu/package-lock.json tests/gpu/.npmrc build/gpu/
cd build/gpu
npm ci --ignore-scripts --loglevel=error
ls node_modules/*/*.so
