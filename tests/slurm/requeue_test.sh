#!/bin/bash
# A job that launch/submit puts on a SLURM cluster is asked to stop, loses a node, and goes on with another number of nodes each time; its
# adapter must be, to the bit, that of a run without a stop: requeue_test.sh PROGRAM. Skipped (77) where there is no SLURM.
set -euo pipefail
source "$(dirname "$0")/job.sh"
need_cluster
start_cluster
configuration 40 6
program=$1

OMPI_MCA_hwloc_base_binding_policy=none mpirun -np 1 "$program" --cfg job.toml --set output.dir=reference >reference.log 2>&1 ||
  die "the run without a stop: $(cat reference.log)"

submit_job "$program" 2-4 srun
until_true 300 "four steps" has_steps 4
[ "$(nodes_of_start)" = 4 ] || die "the job began on $(nodes_of_start) nodes, not on 4"
stop_job signal
stopped=$(steps_done)
[ "$stopped" -lt 40 ] || die "the run was over before it was stopped"

go_on 2
until_true 300 "the second start" has_started 2
until_true 300 "three more steps" has_steps $((stopped + 3))
[ "$(resumed_from)" = "$stopped" ] || die "resumed from step $(resumed_from), stopped after $stopped"
[ "$(nodes_of_start)" = 2 ] || die "the job went on with $(nodes_of_start) nodes, not with 2"
stop_job failure

go_on 3
until_true 300 "the end" is_in_state COMPLETED
[ "$(nodes_of_start)" = 3 ] || die "the job went on with $(nodes_of_start) nodes, not with 3"
[ "$(starts)" = 3 ] || die "$(starts) starts"
check_result 40 reference
echo "passed: stopped after step $stopped on 4 nodes, lost a node of 2, ended on 3; the same adapter as without a stop"
