#!/bin/sh
# Makes rootfs.tar: a small Debian with the tools that one wants at a prompt. Needs mmdebstrap (apt-get install
# mmdebstrap) and a Debian mirror; as an ordinary user also uidmap. Any name of a release can be given.
set -eu
cd "$(dirname "$0")"
# mmdebstrap goes by the suffix unless it is told: for any other than .tar it would make a folder.
mmdebstrap --format=tar --variant=minbase --include=vim-tiny,less,procps "${1:-bookworm}" rootfs.tar.new
mv rootfs.tar.new rootfs.tar
