#!/bin/sh
# Everything this project needs from Debian. Safe to run again; needs root (or sudo) only if something is missing.
#   apt-packages.sh         what the pipeline needs
#   apt-packages.sh test    also what its tests need
set -eu

# setpriv and prlimit confine the media tools; python3-venv makes the virtual environment.
packages="ffmpeg libimage-exiftool-perl util-linux python3-venv"
if [ "${1:-}" = test ]; then
    # nginx: the reverse proxy of deploy/ is tried out; gcc: processes get a clock that is wrong.
    packages="$packages postgresql fonts-dejavu-core chromium poppler-utils nginx-light gcc libc6-dev"
fi

missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of packages is meant
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
