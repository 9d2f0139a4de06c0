#!/bin/bash
# Every soak test at full length, hours in all; a table of each to benchmarks/results/soak_<hardware>_<yyyymm>.md:
#
#   tests/soak/run.sh BUILD        BUILD: the build folder; FILES=100000 RUNS=500 KILLS=1000 FAULTS=0 (all) CYCLES=20 change the lengths
#
# A part that fails does not keep the others from running; the exit code tells. The last part needs root and SLURM, and is left out without.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "$1")
cores=$(nproc)
model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
hardware=$(grep -oiE 'xeon|epyc|ryzen|core|neoverse' <<<"$model" | head -n 1 | tr '[:upper:]' '[:lower:]')
results=${RESULTS:-$root/benchmarks/results/soak_${hardware:-cpu}-$cores-cores_$(date +%Y%m).md}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bad=0

say() { printf '%s\n' "$*" >>"$results"; }

# part <title> <what it is> <command>...: its output, which is a table and what failed, into the results
part() {
  local title=$1 what=$2 began=$SECONDS code=0
  shift 2
  echo "$title ..."
  "$@" >"$log" || code=$?
  cat "$log"
  if [ "$code" -eq 77 ]; then
    say "## $title"$'\n\n'"Left out: $(tail -n 1 "$log")"$'\n'
    return
  fi
  [ "$code" -eq 0 ] || bad=1
  say "## $title"$'\n\n'"$what It took $(((SECONDS - began + 30) / 60)) minutes."$'\n'
  grep -v '^FAILED' "$log" | sed 's/^\([0-9].*failures\)$/\1\n/' >>"$results"
  if grep -q '^FAILED' "$log"; then
    say $'\n'"$(grep '^FAILED' "$log" | sed 's/^/* /')"
  fi
  say ""
}

cat >"$results" <<MARKDOWN
# Faults without end, $(LC_ALL=C date '+%B %Y')

\`make soak\` on $cores cores of $model. Nothing may be lost, crash, hang, or be taken for what it is not.

MARKDOWN
part "Damaged files" "Checkpoints and base stores, damaged and loaded in one process. Refused: an Error says so. Harmless: the content is what it was." \
  "$build/tests/soak/soak_damaged_files" "${FILES:-100000}"
part "The program meets damage" "The same through the program: exit code 4, or the bits of an undamaged run." \
  "$build/tests/soak/soak_damaged_runs" "${RUNS:-500}"
part "SIGKILL" "Runs of 16 steps with a checkpoint after each, killed again and again and started again on 2 or 4 ranks, to the bits of a run without a kill." \
  "$build/tests/soak/soak_kills" "${KILLS:-1000}"
part "One fault after the other" "A watchdog of 3 s; then the same command again." \
  "$build/tests/soak/soak_fault_matrix" "${FAULTS:-0}"
part "A job on four virtual SLURM nodes" "Stopped again and again." "$root/tests/slurm/soak.sh" "$build/lora_dist" "${CYCLES:-20}"
echo "Written: $results"
exit "$bad"
