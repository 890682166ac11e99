# Shared by deploy/demo and deploy/test: find a Python, make .venv, install into it. Sourced by a POSIX sh
# whose working directory is the root of the repository.
#
#   PYTHON               the Python to use, else the first of python3, 3.12, 3.11 and 3.13 that is new enough
#   WETREAD_VENV         the virtual environment, else .venv
#   WETREAD_CPU=1        install torch without CUDA although there is a GPU
#   WETREAD_TORCH_INDEX  a package index with CPU builds of torch, else what pip is configured for, else PyTorch's own
#   WETREAD_NEEDED_MIB   free disk that an installation needs

VENV=${WETREAD_VENV:-.venv}
TORCH_VERSION=2.13.0
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu

say() { printf '%s\n' "$*"; }

stop() { # SENTENCE...: one line each, to standard error, and out
    printf '%s\n' "$@" >&2
    exit 2
}

environment() { # its folder, as a person may type it anywhere
    case $VENV in /*) say "$VENV" ;; *) say "$(pwd)/$VENV" ;; esac
}

asks_for_help() { # ARGUMENT...: a question is answered before anything is installed
    for argument in "$@"; do
        case $argument in -h | --help) return 0 ;; esac
    done
    return 1
}

# --- Python -------------------------------------------------------------------------------------------------------

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

new_enough() { # VERSION such as 3.9
    case $1 in
    3.*) [ "${1#3.}" -ge 11 ] 2>/dev/null ;;
    *) return 1 ;;
    esac
}

find_python() { # sets python
    seen=
    # the machine's own first; then those for which there is a wheel that carries a Redis server
    for python in ${PYTHON:-python3 python3.12 python3.11 python3.13 python}; do
        version=$(version_of "$python") || continue
        if new_enough "$version"; then
            usable_python && return
            stop "$python ($version) lacks venv, ensurepip, ssl or sqlite3." \
                "On Debian and Ubuntu: apt-get install python3-venv. Or name another Python: PYTHON=/path/to/python3.12 sh $0"
        fi
        seen="$seen $python is $version."
    done
    stop "Python 3.11 or newer is needed.${seen:- No Python was found${PYTHON:+ at $PYTHON}.}" \
        "Install one, for example: apt-get install python3.12 python3.12-venv, or brew install python@3.12," \
        "or from https://www.python.org/downloads/; then run this again, if it is not found by itself with" \
        "PYTHON=/path/to/python3.12 sh $0"
}

usable_python() { "$python" -c 'import ensurepip, sqlite3, ssl, venv' 2>/dev/null; }

# --- disk ---------------------------------------------------------------------------------------------------------

check_disk() {
    needed=${WETREAD_NEEDED_MIB:-3072}
    want_cpu || needed=${WETREAD_NEEDED_MIB:-9216} # torch with CUDA is several gigabytes
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free" -ge "$needed" ] || stop \
        "The disk is too full: the installation needs $needed MiB in $(pwd), $free MiB are free." \
        "Free some space, or clone into a folder on a larger disk, and run this again."
}

# --- long steps ---------------------------------------------------------------------------------------------------

watched() { # LABEL COMMAND...: run it, show that it goes on, keep its output in $VENV/install.log
    label=$1
    shift
    printf '\n== %s: %s\n' "$label" "$*" >>"$VENV/install.log"
    "$@" >>"$VENV/install.log" 2>&1 &
    child=$!
    show_progress &
    ticker=$!
    trap 'kill "$child" "$ticker" 2>/dev/null; exit 130' INT TERM HUP
    started=$(date +%s)
    outcome=0
    wait "$child" || outcome=$?
    kill "$ticker" 2>/dev/null || :
    wait "$ticker" 2>/dev/null || :
    trap - INT TERM HUP
    [ ! -t 1 ] || printf '\r\033[K'
    [ "$outcome" -ne 0 ] || say "  $label: done in $(($(date +%s) - started)) s"
    return "$outcome"
}

show_progress() {
    seconds=0
    while :; do
        if [ -t 1 ]; then
            printf '\r  %s: %s s  %.60s\033[K' "$label" "$seconds" "$(tail -n 1 "$VENV/install.log")"
        elif [ $((seconds % 10)) -eq 0 ]; then
            say "  $label: $seconds s"
        fi
        sleep 1 >/dev/null 2>&1
        seconds=$((seconds + 1))
    done
}

disk_filled_up() { grep -qiE 'no space left|errno 28|disk quota' "$VENV/install.log"; }

install_failed() { # LABEL: show the end of the log and what to do
    tail -n 15 "$VENV/install.log" >&2
    if disk_filled_up; then
        stop "$1 failed: the disk is full. Free some space (pip also uses ${TMPDIR:-/tmp}; set TMPDIR to move that)," \
            "and run this again."
    fi
    stop "$1 failed; the log is $(environment)/install.log. Is the package index reachable from here?" \
        "pip's own settings are honored (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf); run this again after a change."
}

# --- torch --------------------------------------------------------------------------------------------------------

want_cpu() { [ -n "${WETREAD_CPU:-}" ] || ! nvidia-smi -L >/dev/null 2>&1; }

torch_requirement() { # the builds without CUDA carry a local version on Linux, which PyPI cannot have
    if ! want_cpu; then
        say "torch>=$TORCH_VERSION"
    elif [ "$(uname -s)" = Linux ]; then
        say "torch==$TORCH_VERSION+cpu"
    else
        say "torch==$TORCH_VERSION"
    fi
}

pip_torch() { # OPTION...
    watched "torch${note}" "$VENV/bin/python" -m pip install --no-deps "$@" "$(torch_requirement)"
}

install_torch() {
    if ! want_cpu; then
        note=" with CUDA, several gigabytes"
        pip_torch || install_failed "Installing torch"
        return
    fi
    note=" without CUDA, about 200 MB"
    if [ -n "${WETREAD_TORCH_INDEX:-}" ]; then
        pip_torch --index-url "$WETREAD_TORCH_INDEX" || install_failed "Installing torch from $WETREAD_TORCH_INDEX"
        return
    fi
    # what this machine is configured for comes first: it may have no way to the public index
    for source in --no-index "" "--extra-index-url $TORCH_CPU_INDEX --timeout 30 --retries 2"; do
        # shellcheck disable=SC2086
        if pip_torch $source; then return; fi # unquoted: a word for each option
        if disk_filled_up; then break; fi
    done
    install_failed "Installing torch without CUDA (WETREAD_TORCH_INDEX names an index that has it)"
}

check_no_cuda() {
    want_cpu || return 0
    "$VENV/bin/python" - <<'PYTHON' || stop \
        "The installed torch brings CUDA, and this machine is to have none (no GPU, or WETREAD_CPU=1)." \
        "Remove $(environment), set WETREAD_TORCH_INDEX=$TORCH_CPU_INDEX, and run this again."
import importlib.metadata, sys, torch
cuda = [d.name for d in importlib.metadata.distributions() if d.name.lower().startswith(("nvidia-cu", "cuda-"))]
sys.exit(1 if cuda or torch.version.cuda else 0)
PYTHON
}

# --- the environment ----------------------------------------------------------------------------------------------

fingerprint() { # of all that decides what is installed, and where
    { pwd && cat setup.cfg pyproject.toml deploy/environment.sh && torch_requirement; } | cksum
}

is_prepared() { # EXTRAS
    [ -x "$VENV/bin/wetread" ] && [ "$(cat "$VENV/prepared-for-$1" 2>/dev/null)" = "$(fingerprint)" ]
}

prepare_environment() { # EXTRAS, "demo" for none or "test"
    is_prepared "$1" && return
    find_python
    check_disk
    say "Installing into $(environment) (once; the next run starts at once)"
    make_venv
    want="."
    [ "$1" = demo ] || want=".[$1]"
    "$VENV/bin/python" -c 'import torch' 2>/dev/null || install_torch
    torch_requirement >"$VENV/constraints.txt" # so that nothing below exchanges torch for another build
    watched "wetread and its libraries" "$VENV/bin/python" -m pip install -c "$VENV/constraints.txt" -e "$want" ||
        install_failed "Installing wetread"
    check_no_cuda
    fingerprint >"$VENV/prepared-for-$1"
    fingerprint >"$VENV/prepared-for-demo" # the least
}

make_venv() {
    if [ "$(version_of "$VENV/bin/python")" != "$version" ] && [ -d "$VENV" ]; then
        [ -e "$VENV/pyvenv.cfg" ] || [ -e "$VENV/install.log" ] || stop \
            "$VENV is a folder, but no virtual environment; move it away, or name another with WETREAD_VENV."
        rm -rf "$VENV" # of another Python, or broken
    fi
    mkdir -p "$VENV"
    : >"$VENV/install.log"
    [ -x "$VENV/bin/pip" ] || watched "virtual environment ($python, $version)" "$python" -m venv "$VENV" ||
        install_failed "Making a virtual environment"
}

check_style() { # style and import contracts; the environment's own programs, never from PATH
    "$VENV/bin/ruff" check . && "$VENV/bin/ruff" format --check . && "$VENV/bin/lint-imports"
}
