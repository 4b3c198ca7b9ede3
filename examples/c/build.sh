#!/bin/sh
# Builds wordcount.wasm, or the file it is told: ./build.sh [FILE]. Debian: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32
set -eu
cd "$(dirname "$0")"
out=${1:-wordcount.wasm}
${CC:-clang} --target=wasm32-wasi -O2 -Wall -Wextra -Werror -s -o "$out" wordcount.c
