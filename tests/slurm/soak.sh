#!/bin/bash
# Cycles of stopping a job and letting it go on with another number of nodes, on a SLURM cluster of four virtual nodes:
#
#   tests/slurm/soak.sh PROGRAM [CYCLES]      20 cycles; a table of Markdown to standard output
#
# It is stopped in turn by a signal to the batch script, by a job of a higher partition, by scontrol requeue and by a node that fails, and
# goes on with 2, 3 and 4 nodes in turn. Fails unless every step was done once and the adapter is that of a run without a stop.
set -euo pipefail
source "$(dirname "$0")/job.sh"
program=$(realpath "$1")
cycles=${2:-20}
need_cluster
start_cluster
steps=${STEPS:-$((cycles * 60))} # a fast machine does some forty between two stops
configuration "$steps" 6
hows=(signal preemption requeue failure)
nodes=(2 3 4)

echo "the run without a stop, $steps steps" >&2
OMPI_MCA_hwloc_base_binding_policy=none mpirun -np 1 "$program" --cfg job.toml --set output.dir=reference >reference.log 2>&1 ||
  die "the run without a stop: $(cat reference.log)"

submit_job "$program" 1-4 srun
until_true 300 "three steps" has_steps 3
rows=""
for ((cycle = 1; cycle <= cycles; ++cycle)); do
  how=${hows[$(((cycle - 1) % 4))]}
  before=$(nodes_of_start)
  stop_job "$how"
  stopped=$(steps_done)
  [ "$stopped" -lt "$steps" ] || die "the run was over after $cycle cycles: STEPS=N makes it longer"
  began=$(date +%s%N)
  go_on "${nodes[$(((cycle - 1) % 3))]}"
  until_true 300 "start $((cycle + 1))" has_started $((cycle + 1))
  until_true 300 "start $((cycle + 1)) going on from a checkpoint" has_resumed "$cycle"
  until_true 300 "a resumed step" has_steps $(($(resumed_from) + 3))
  seconds=$(awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { printf "%.1f", ns / 1e9 }')
  row="| $cycle | $how | $before | $(nodes_of_start) | $stopped | $(resumed_from) | $seconds |"
  echo "$row" >&2
  rows+=$row$'\n'
done
give_nodes 4
until_true 1200 "the end" is_in_state COMPLETED
check_result "$steps" reference

cat <<MARKDOWN
The demo's model, $steps steps of 6 sequences, a checkpoint every 10 steps, on a SLURM $(sinfo --version | sed 's/.* //') of four virtual nodes.
$cycles times it was stopped, put back into the queue, and went on with another number of nodes. Every step stands in metrics.jsonl once, and the
adapter is, to the bit, that of a run without a stop on one node: SHA-256 $(adapter_sum out | cut -c 1-16).

Where "resumed from" is less than "steps done", the steps between were computed twice: nothing was saved in time.
The last column is from the moment when the job may start again to its third step, on a machine that other programs share.

| cycle | stopped by | nodes before | nodes after | steps done | resumed from | s |
|---|---|---|---|---|---|---|
$rows
MARKDOWN
