#!/bin/bash
# Installs the missing ones of the Debian packages listed in the given files (one name per line, # starts a comment).
# As root, or with sudo; otherwise prints the command and fails.
set -eu

missing=()
for package in $(sed 's/#.*//' "$@"); do
  if ! command -v dpkg-query >/dev/null; then
    echo "This is not Debian: install what corresponds to these Debian packages yourself (cmake says which it misses):"
    sed 's/#.*//' "$@" | xargs echo " "
    exit 0
  fi
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  if [ "$status" != installed ]; then
    missing+=("$package")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

echo "Missing packages: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
  if [ ! -t 0 ]; then
    as_root=(sudo -n)  # no prompt for a password
  fi
fi
by_hand="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
if ! { [ ${#as_root[@]} -eq 0 ] || command -v sudo >/dev/null; } ||
   ! "${as_root[@]}" apt-get --quiet update ||
   ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "${missing[@]}"; then
  echo >&2
  echo "These packages could not be installed. As root, run:" >&2
  echo "    $by_hand" >&2
  exit 1
fi
