# shellcheck shell=bash
# Sourced by the tests of shell programs: a folder of their own, and what they compare with.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# expect_code <code> <command>...: keeps what it said in $said.
expect_code() {
  local wanted=$1 code=0
  shift
  said=$("$@" 2>&1 </dev/null) || code=$?
  [ "$code" -eq "$wanted" ] || fail "exit code $code, not $wanted, of: $*"$'\n'"$said"
}

# expect_said <text>...: each is part of what the last command said.
expect_said() {
  local text
  for text in "$@"; do
    [[ $said == *"$text"* ]] || fail "\"$text\" is not part of"$'\n'"$said"
  done
}

expect_not_said() {
  [[ $said != *"$1"* ]] || fail "\"$1\" is part of"$'\n'"$said"
}

# stand_in <name> <body>: a program of that name, first on PATH.
stand_in() {
  mkdir -p "$scratch/bin"
  printf '#!/bin/bash\n%s\n' "$2" >"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
  export PATH=$scratch/bin:$PATH
}

finish() {
  [ "$failures" -eq 0 ] || {
    echo "$failures failed"
    exit 1
  }
  echo passed
}
