#!/bin/bash
# Every file that is there to start the program is one that its reader can read; by shellcheck, tclsh and python3 where they are installed.
set -u
source "$(dirname "$0")/expect.sh"
cd "$(dirname "$0")/../.." || exit 1

scripts=()
while IFS= read -r file; do
  if head -n 1 "$file" | grep -qE '^#!/bin/bash|^# shellcheck shell=bash'; then
    scripts+=("$file")
  fi
done < <(find launch/environment.sh launch/submit launch/local_mpi.sh launch/slurm tests/launch tests/slurm tests/cmake -type f)
[ "${#scripts[@]}" -ge 8 ] || fail "found ${#scripts[@]} scripts alone"
for file in "${scripts[@]}"; do
  bash -n "$file" || fail "$file"
done
if command -v shellcheck >/dev/null; then
  shellcheck -x -P SCRIPTDIR -P SCRIPTDIR/.. "${scripts[@]}" || fail shellcheck
else
  echo "left out: shellcheck is not installed"
fi

# A module file is a Tcl program that calls commands of the module system; stand-ins print them.
if command -v tclsh >/dev/null; then
  said=$(tclsh <<'TCL'
foreach name {module-whatis conflict prereq prepend-path setenv} { proc $name {args} "puts \"$name \$args\"" }
proc puts_help {} { ModulesHelp }
set ::ModulesCurrentModulefile /opt/lora_dist/modulefiles/lora_dist/0.1.0
source launch/modules/lora_dist
ModulesHelp
TCL
  ) || fail "launch/modules/lora_dist is no Tcl: $said"
  expect_said "prepend-path PATH" "setenv LORA_DIST_HOME"
else
  echo "left out: tclsh is not installed"
fi

if command -v python3 >/dev/null; then
  python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' launch/spack/packages/lora-dist/package.py || fail "the Spack recipe"
else
  echo "left out: python3 is not installed"
fi
finish
