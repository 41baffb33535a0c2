#!/usr/bin/env bash
# Bring .venv up to this checkout with the extras that are asked for, and the system libraries
# that a window needs. When nothing has changed it ends within a second.
#
#   scripts/setup.sh qt,openslide            to use it
#   scripts/setup.sh qt,openslide,dev xvfb   with Debian packages on top
#
# PYTHON=/path/to/python3.12 picks the interpreter; PIP_* variables reach pip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/.napari-histo   # written last, so a broken-off install is done again
window_libraries=(
  libgl1 libegl1 libfontconfig1 libdbus-1-3 libglib2.0-0 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
)

say() { printf '%s\n' "$*" >&2; }

# Which of these Debian packages are missing (a renamed one counts by what it provides).
missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f='${db:Status-Status},${Package},${Provides}\n' |
    grep '^installed,' | tr ',' '\n' | sed 's/^ *//; s/ .*//')
  for package in "$@"; do
    grep -qxF -- "$package" <<<"$installed" || echo "$package"
  done
}

# Install Debian packages as root; else say what an administrator should install, and go on.
system_packages() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "Some system packages are missing. Ask an administrator for:"
    say "    sudo apt-get install ${missing[*]}"
    say "Going on without them: windows may not open, and tests of windows are skipped."
    return 0
  fi
  say "Installing system packages: ${missing[*]}"
  apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null || say "Could not install them; going on without."
}

# A Python that fits and can make environments: 3.11 first, where the pins were tested.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
      >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local python
  # Debian keeps the venv module in a package of its own.
  python=$(find_python) || { system_packages python3 python3-venv && python=$(find_python); } || {
    say "Found no Python 3.11, 3.12 or 3.13 with its venv module (Debian: python3-venv)."
    say "Install one, or name it: make PYTHON=/path/to/python3.12 …"
    exit 1
  }
  say "Making $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
}

# What the environment depends on: the two files, the place, the interpreter.
key() {
  { cat pyproject.toml constraints.txt; pwd -P; "$venv/bin/python" --version; } 2>&1 | cksum
}

installed_extras() {
  [ -f "$stamp" ] && sed -n 2p "$stamp" || true
}

up_to_date() {
  [ -f "$stamp" ] && [ -x "$venv/bin/napari-histo" ] || return 1
  [ "$(sed -n 1p "$stamp")" = "$(key)" ] || return 1
  local extra
  for extra in ${1//,/ }; do
    [[ ",$(installed_extras)," == *",$extra,"* ]] || return 1
  done
}

main() {
  local extras=$1
  shift
  system_packages "${window_libraries[@]}" "$@"
  up_to_date "$extras" && return
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    "$venv/bin/python" -m ensurepip >/dev/null 2>&1 || make_venv
  extras=$(echo "$extras,$(installed_extras)" | tr ',' '\n' | sed '/^$/d' | sort -u | paste -sd,)
  rm -f "$stamp"
  say "Installing napari-histo[$extras] into $venv; the first time takes some minutes."
  "$venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check \
    -c constraints.txt -e ".[$extras]"
  printf '%s\n%s\n' "$(key)" "$extras" >"$stamp"
}

main "$@"
