#!/bin/sh
# Make .venv ready. Called by make when it is missing or older than what it is made from.
#
#   setup.sh everything   for `make book` and `make test`
#   setup.sh lab          for `make lab`: JupyterLab and what the chapters import
set -eu
purpose=$1

fail() {
    echo "$1" >&2
    exit 1
}

# The newest Python that is known to work, or the one that PYTHON names.
python=""
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "Python 3.11 to 3.14 is needed and was not found. Install it from your system or python.org, or name it: make PYTHON=/path/to/python3.12 book"

if ! .venv/bin/python -c '' 2>/dev/null; then
    echo "creating .venv with $("$python" --version)"
    # The web packages may be there already, and stay; a broken environment goes.
    rm -rf .venv/bin .venv/lib .venv/include .venv/pyvenv.cfg .venv/ready .venv/lab-ready
    "$python" -m venv .venv || fail "Could not create .venv. On Debian or Ubuntu: apt install python3-venv"
fi

log=.venv/setup.log
attempt() {
    # Package registries drop connections now and then: a second try is cheap.
    "$@" >"$log" 2>&1 || { sleep 5; "$@" >"$log" 2>&1; }
}

install() {
    attempt .venv/bin/python -m pip install --disable-pip-version-check --retries 5 \
        --timeout 60 --constraint constraints.txt --editable "$1" || {
        tail -n 5 "$log" >&2
        fail "Installing the Python packages failed (last lines above, all in $log). Is there a network? Try again."
    }
}

echo "installing Python packages (PyTorch is large: minutes the first time)"
if [ "$purpose" = lab ]; then
    install '.[notebooks]'
    touch .venv/lab-ready
    exit
fi
install '.[book,test,peers]'

echo "installing web packages"
mkdir -p .venv/web
cp book/_web/package.json book/_web/package-lock.json book/_web/.npmrc .venv/web/
PATH="$PWD/.venv/bin:$PATH" attempt .venv/bin/npm ci --prefix .venv/web --no-audit --no-fund || {
    tail -n 5 "$log" >&2
    fail "Installing the web packages failed (last lines above, all in $log). Is there a network? Try again."
}
touch .venv/ready
