#!/usr/bin/env bash
# Makes a directory tree with Debian 13 and these packages, for what Debian 12 does not have: once, as it
# takes a minute and 400 MB. A user `par`, number 12345, is for programs that root may not run. Nothing is
# mounted in it but in namespaces that end with their processes: it can be deleted like any other.
#
# usage: debian13.sh TREE PACKAGE...
. "$(dirname "$0")/lib.sh"

tree=${1:?which directory?}
[ ! -e "$tree/complete" ] || exit 0
mkdir -p "$(dirname "$tree")"
[ "${PAR_TREE_LOCK:-}" = "$tree" ] || PAR_TREE_LOCK=$tree exec flock -o -w 900 "$tree.lock" "$0" "$@"
[ ! -e "$tree/complete" ] || exit 0 # made by whom we waited for

need debootstrap
echo "${0##*/}: making $tree" >&2
rm -rf --one-file-system "$tree"
# From where this machine has its own packages.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -m 1 security)
timeout 900 debootstrap --variant=minbase --include=ca-certificates trixie "$tree" "$mirror" &> "$tree.log" \
    || give_up "$tree.log" debootstrap
echo 'par:x:12345:12345::/tmp:/bin/sh' >> "$tree/etc/passwd"
echo 'par:x:12345:' >> "$tree/etc/group"
# Services are started by hand.
install -m 755 /dev/stdin "$tree/usr/sbin/policy-rc.d" <<< $'#!/bin/sh\nexit 101'
cp /etc/resolv.conf /etc/hosts "$tree/etc/"
# shellcheck disable=SC2016
timeout 900 unshare --mount bash -c '
    mount -t proc proc "$1/proc"
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
    chroot "$1" apt-get update -q && chroot "$1" apt-get install -y -q --no-install-recommends "${@:2}"
    ' bash "$tree" "${@:2}" &>> "$tree.log" || give_up "$tree.log" "installing ${*:2}"
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
touch "$tree/complete"
