#!/bin/bash
# Writes what fuzz-decompress starts from into a folder: small archives as the tools of each format make them, behind the
# two bytes that choose how they are cut into pieces.
set -euo pipefail
cd "$1"

text() { seq 1 700; }
run() { head -c 3000 /dev/zero; }
seed() {
  local name=$1
  shift
  { printf '\x20\x10' && text | "$@" -c; } >"$name-text"
  { printf '\x02\x40' && run | "$@" -c && text | head -c 100 | "$@" -c; } >"$name-two"
}
seed gzip-fast gzip -1
seed gzip-best gzip -9
seed gzip-fixed pigz --huffman
seed zstd-fast zstd -q -1
seed zstd-best zstd -q -19 --no-check
seed zstd-long zstd -q --long=27
seed xz xz -0
seed xz-crc32 xz -6 --check=crc32 --block-size=1000
seed xz-odd xz --check=none --lzma2=preset=1,dict=4KiB,lc=1,lp=2,pb=4
seed bzip2 bzip2 -1
