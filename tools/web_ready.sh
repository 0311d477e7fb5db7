#!/bin/sh
# Says in one line what the browser side lacks here; nothing if it can be built and tested. As root on
# Debian or Ubuntu it first installs what is missing: the WebAssembly toolchain and Chromium (without
# which the tests in a browser skip themselves).
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p build
log=build/web_ready.log
: >"$log"

has_toolchain() {
    ${MAKE:-make} -s --no-print-directory wasm-check >>"$log" 2>&1
}

may_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

node=${NODE:-node}
major=$("$node" -p 'process.versions.node.split(".")[0]' 2>>"$log" || echo 0)
if [ "$major" -lt 20 ] || ! command -v npm >/dev/null; then
    echo "Node.js 20 or later with npm is missing"
    exit 0
fi
has_toolchain || { may_install && sh tools/install_wasm.sh >>"$log" 2>&1; }
if ! has_toolchain; then
    grep '^wasm: ' "$log" | tail -n 1 | sed 's/^wasm: //'
    exit 0
fi
if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ] && may_install; then
    apt-get install -y --no-install-recommends chromium >>"$log" 2>&1 ||
        { apt-get update >>"$log" 2>&1 && apt-get install -y --no-install-recommends chromium >>"$log" 2>&1; }
fi
${MAKE:-make} -s --no-print-directory js/node_modules/.package-lock.json >>"$log" 2>&1 ||
    echo "npm ci failed: see $log"
exit 0
