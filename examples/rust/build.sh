#!/bin/sh
# Builds rot13.wasm, or the file it is told: ./build.sh [FILE]. Debian: apt-get install rustc libstd-rust-dev-wasm32 lld; rustup: rustup target add wasm32-wasip1
set -eu
cd "$(dirname "$0")"
out=${1:-rot13.wasm}
# The first compiler that has the standard library for WASI; the target's name changed in Rust 1.78.
for rustc in "${RUSTC:-rustc}" /usr/bin/rustc; do
    for target in wasm32-wasip1 wasm32-wasi; do
        libs=$("$rustc" --print target-libdir --target "$target" 2>/dev/null) || continue
        [ -d "$libs" ] || continue
        exec "$rustc" --edition 2021 --target "$target" -O -C strip=symbols -o "$out" rot13.rs
    done
done
echo "no Rust compiler with a WASI target" >&2
exit 1
