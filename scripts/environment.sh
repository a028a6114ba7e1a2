# shellcheck shell=bash
# Sourced by scripts/start and scripts/test: makes a virtual environment with locked packages, once.
#
# What counts as done is written last (`installed.txt`: this folder, the lock and pyproject.toml), so that an
# installation which was interrupted is taken up again, and a changed lock or a moved folder is noticed. Works with
# the bash 3.2 of macOS.

# What other programs put before every Python's packages (set-ups of ROS and CUDA do) has no place before the locked ones.
unset PYTHONPATH PYTHONHOME

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$1"
  exit 1
}

# find_python: prints the first interpreter that can make an environment. PYTHON=/path/to/python overrides the search.
find_python() {
  local candidate found="" without_venv=""
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3.10 python3 python; do
    # A name on PATH may be a stub that starts nothing, so each one is asked.
    found=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=""
    case "$found" in
      3.10 | 3.11 | 3.12 | 3.13)
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
          printf '%s\n' "$candidate"
          return
        fi
        without_venv=${without_venv:-$found}
        ;;
    esac
    if [ -n "${PYTHON:-}" ] && [ "$candidate" = "$PYTHON" ]; then
      break
    fi
  done
  if [ -n "$without_venv" ]; then
    fail "Python $without_venv lacks its venv module: install it (Debian and Ubuntu: apt-get install python$without_venv-venv) and run this again."
  elif [ -n "${PYTHON:-}" ]; then
    fail "PYTHON=$PYTHON is ${found:+Python }${found:-not a Python interpreter}: it must be Python 3.10, 3.11, 3.12 or 3.13."
  fi
  fail "No Python 3.10 to 3.13 was found on PATH: install one (https://www.python.org/downloads/) or name one with PYTHON=/path/to/python."
}

# stamp ROOT LOCK: what an environment is made from.
stamp() {
  printf 'folder %s\n' "$1"
  cat "$2" "$1/pyproject.toml"
}

# is_current ENVIRONMENT ROOT LOCK
is_current() {
  [ -x "$1/bin/python" ] && [ -f "$1/installed.txt" ] && stamp "$2" "$3" | cmp -s - "$1/installed.txt"
}

# show_progress TOTAL: one line for each package that pip takes up.
show_progress() {
  local count=0 line name
  while IFS= read -r line; do
    case "$line" in
      Collecting\ * | Requirement\ already\ satisfied:\ * | Processing\ *)
        count=$((count + 1))
        name=${line#Collecting }
        name=${name#Requirement already satisfied: }
        name=${name%% (from *}
        say "  $count/$1 ${name##*/}" # a package from a folder has a path
        ;;
      Installing\ collected*) say "  unpacking" ;;
    esac
  done
}

# count_packages PYTHON LOCK: how many lines of the lock are meant for this system; pip knows how to read them.
count_packages() {
  "$1" - "$2" <<'PYTHON' 2>/dev/null || printf '?'
import re, sys
from pip._vendor.packaging.requirements import Requirement

lines = [line.rstrip(" \\\n") for line in open(sys.argv[1], encoding="utf-8") if re.match(r"[A-Za-z0-9]", line)]
requirements = map(Requirement, lines)
print(sum(1 for requirement in requirements if requirement.marker is None or requirement.marker.evaluate()))
PYTHON
}

# wait_for_turn ENVIRONMENT: two first starts at once must not install into one another.
wait_for_turn() {
  local owner waited="" tries=0
  until (set -o noclobber && printf '%s\n' $$ >"$1.lock") 2>/dev/null; do
    owner=$(cat "$1.lock" 2>/dev/null) || owner=""
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
      [ -n "$waited" ] || say "Waiting for process $owner, which is installing into $1"
      waited=yes
      sleep 1
    else
      # Its owner is dead; or it was never written, because nothing can be written here.
      tries=$((tries + 1))
      [ "$tries" -lt 5 ] || fail "Could not write $1.lock: is the disk full or read-only, or is the folder somebody else's?"
      sleep 0.2
      rm -f "$1.lock" 2>/dev/null || true
    fi
  done
  LOCKED="$1.lock"
  trap 'rm -f "$LOCKED"' EXIT
}

# prepare_environment ENVIRONMENT ROOT LOCK
prepare_environment() {
  is_current "$@" && return
  local environment=$1 root=$2 lock=$3 python
  wait_for_turn "$environment"
  if ! is_current "$@"; then
    rm -f "$environment/installed.txt"
    if ! "$environment/bin/python" -c 'import sys, pip; assert (3, 10) <= sys.version_info < (3, 14)' 2>/dev/null; then
      python=$(find_python) || exit 1
      say "Making $environment with $("$python" --version 2>&1)"
      "$python" -m venv --clear "$environment" || fail "Could not make $environment: is the disk full or read-only?"
    fi
    install_packages "$environment" "$root" "$lock"
    stamp "$root" "$lock" >"$environment/installed.txt"
  fi
  rm -f "$LOCKED"
  trap - EXIT
}

install_packages() {
  local python="$1/bin/python" root=$2 lock=$3
  local mirror="Could not install the packages. If the package index cannot be reached from here, name a mirror, for example: PIP_INDEX_URL=https://pypi.tuna.tsinghua.edu.cn/simple $0"
  case "${ALL_PROXY:-${all_proxy:-}}" in
    socks*) mirror="$mirror (pip cannot use the SOCKS proxy in ALL_PROXY: set it to the http:// address of the same proxy.)" ;;
  esac
  say "Installing packages from ${lock#"$root/"} (once; a few hundred MB)"
  # --no-deps: the lock names every package, so pip has nothing to look for.
  "$python" -m pip install --disable-pip-version-check --no-deps --require-hashes --use-pep517 \
    --progress-bar off -r "$lock" |
    show_progress "$(count_packages "$python" "$lock")" || fail "$mirror"
  # The lock has brought setuptools, so building the project's own metadata needs no network.
  "$python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable "$root" ||
    fail "Could not install the project itself from $root: can the folder be written to?"
}
