#!/bin/sh
# Builds reverse.wasm, or the file it is told: ./build.sh [FILE]. Needs Node.js with npm.
set -eu
cd "$(dirname "$0")"
out=${1:-reverse.wasm}
[ -d node_modules ] || npm install --silent --no-package-lock --no-audit --no-fund
node_modules/.bin/asc reverse.ts --config node_modules/@assemblyscript/wasi-shim/asconfig.json -O -o "$out"
