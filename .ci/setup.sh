#!/bin/sh
# Make .venv ready. Called by make when it is missing, older than what it is made from, or
# made for another folder.
#
#   setup.sh everything   for `make book` and `make test`
#   setup.sh lab          for `make lab`: JupyterLab and what the chapters import
set -eu
purpose=$1
log=.venv/setup.log
folder=$(pwd -P)

fail() {
    echo "$1" >&2
    exit 1
}
trap 'echo "Interrupted. The same command goes on from here." >&2; exit 130' INT TERM

# The newest Python that is known to work, or the one that PYTHON names.
python=""
set -- python3 python3.13 python3.12 python3.11 python3.14 python
[ -z "${PYTHON:-}" ] || set -- "$PYTHON"
for candidate; do
    "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || continue
    python=$candidate
    break
done
[ -n "$python" ] || fail "Python 3.11 to 3.14 is needed and was not found. Install it from your system or python.org, or name it: make PYTHON=/path/to/python3.12 book"

mkdir -p .venv && touch .venv/lock || fail "This folder cannot be written to: take one of your own, or if another user left .venv: sudo rm -r .venv"
exec 9>>.venv/lock
# The lock is this shell's, and is free when the shell ends, however it ends.
lock() { "$python" -c "import fcntl; fcntl.flock(9, $1)" 2>/dev/null; }
lock 6 || { echo "waiting for another set-up in this folder to finish"; lock 2; }

says() { grep -qiE "$1" "$log" 2>/dev/null; }
away='name resolution|Network is unreachable|EAI_AGAIN|ENOTFOUND|ENETUNREACH'
network="$away|NewConnectionError|ReadTimeout|ConnectTimeout|ConnectionError|ProxyError|Connection (broken|refused|reset)|ECONNRE|ETIMEDOUT"

# Run a command; where it fails, say why and what to do.
try() {
    what=$1
    shift
    "$@" >"$log" 2>&1 && return
    # Package registries drop connections now and then: a second try is cheap.
    if says "$network" && ! says "$away"; then
        sleep 5
        "$@" >"$log" 2>&1 && return
    fi
    if says 'No space left|ENOSPC|quota exceeded' || ! head -c 65536 /dev/zero 2>/dev/null >.venv/room; then
        fail "$what failed: the disk is full. It takes 2.5 GB here (with CUDA 8 GB), and for a moment as much in ${TMPDIR:-/tmp}. Make room, or set TMPDIR, and try again."
    elif says "$network"; then
        fail "$what failed: there is no network, or the package registry did not answer. Try again, or set up pip's proxy."
    elif says 'ensurepip'; then
        fail "$what failed: this Python lacks a part. On Debian or Ubuntu: apt install python3-venv"
    elif says 'Permission denied|EACCES|Read-only file system'; then
        fail "$what failed: this folder cannot be written to, or another user left .venv. Then: sudo rm -r .venv"
    fi
    grep -iE '^(npm )?error' "$log" | grep -v 'ResolutionImpossible' | tail -n 1 | cut -c -300 >&2 || :
    if says 'ResolutionImpossible|conflicting dependencies'; then
        fail "$what failed: the versions in constraints.txt contradict other demands. See the constraints of your own (pip config list); or another Python may do: make PYTHON=python3.13 book"
    elif says 'No matching distribution|requires a different Python'; then
        fail "$what failed: there is no such version for $("$python" --version). Another may do: make PYTHON=python3.13 book"
    fi
    fail "$what failed, see $log. Then try again."
}

# Is it whole, and made here? The file is written when all is installed.
if [ "$(cat .venv/folder 2>/dev/null)" != "$folder" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "creating .venv with $("$python" --version)"
    # The web packages may be there already, and stay; a broken environment goes.
    rm -rf .venv/bin .venv/lib .venv/lib64 .venv/include .venv/pyvenv.cfg .venv/ready .venv/lab-ready
    try "Creating .venv" "$python" -m venv .venv
fi
rm -f .venv/folder

# Settings that would install elsewhere do not hold; proxies and mirrors do.
unset PIP_TARGET PIP_PREFIX PIP_ROOT
install() {
    try "Installing the Python packages" .venv/bin/python -m pip install \
        --disable-pip-version-check --progress-bar off --retries 5 --timeout 60 \
        --no-user --target= --constraint constraints.txt --editable "$1"
    echo "$folder" >.venv/folder
}

echo "installing Python packages (PyTorch is large: minutes the first time)"
[ "$purpose" = everything ] || { install '.[notebooks]' && touch .venv/lab-ready && exit; }
install '.[book,test,peers,fast,experiments]'

echo "installing web packages"
mkdir -p .venv/web
cp book/_web/package.json book/_web/package-lock.json book/_web/.npmrc .venv/web/
PATH="$PWD/.venv/bin:$PATH" try "Installing the web packages" \
    .venv/bin/npm ci --prefix .venv/web --no-audit --no-fund
touch .venv/ready
