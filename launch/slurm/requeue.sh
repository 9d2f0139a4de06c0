# shellcheck shell=bash
# Sourced by the batch files: starts the ranks, hands on requests to stop, and puts the job back into the queue.
#
#   exit 75     stopped on request with a checkpoint: the job is requeued and continues from it, on as many nodes as it then gets
#   5, 86, >128 a rank or its node was lost, or hangs: requeued too, but not after three times in a row without a checkpoint on request
#   others      the job ends with that code; so it does on scancel
#
# Where SLURM itself notices that a node is gone, it requeues the job (--requeue), and nothing here is asked.

say() { echo "[$(date '+%F %T')] batch: $*"; }

# LORA_DIST_SRUN_MPI: how srun starts the ranks of this MPI; pmix is Open MPI's, pmi2 that of MPICH and Intel MPI.
#
# start_ranks <launcher> <ranks of a node> <command>...: in the background; its process is $ranks. The number of nodes is what SLURM gave
# this time, so the header names no number of tasks: SLURM would take the least of a range of nodes for it.
start_ranks() {
  local launcher=$1 of_node=$2 all=$(($2 * ${SLURM_JOB_NUM_NODES:-1})) cores=$((${SLURM_CPUS_ON_NODE:-$2} / $2))
  shift 2
  # A rank computes on its share of the node's cores.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > 0 ? cores : 1))}
  case $launcher in
    # Ranks that outlive another by a minute are ended (--kill-on-bad-exit would end those that are about to leave with 75, too). Since
    # SLURM 22.05 srun takes the cores of a task from its own option alone.
    srun)
      srun --mpi="${LORA_DIST_SRUN_MPI:-pmix}" --ntasks="$all" --ntasks-per-node="$of_node" --cpus-per-task="$((cores > 0 ? cores : 1))" --kill-on-bad-exit=0 \
        --wait=60 "$@" &
      ;;
    # It takes the number of ranks from this variable of SLURM's.
    mpirun) SLURM_TASKS_PER_NODE="$of_node(x${SLURM_JOB_NUM_NODES:-1})" mpirun -np "$all" "$@" & ;;
    *)
      say "launcher must be srun or mpirun (got $launcher)"
      exit 2
      ;;
  esac
  ranks=$!
}

# srun and mpirun both hand SIGUSR1 on to every rank. SIGTERM is turned into it: mpirun would kill its ranks two seconds later.
ask_to_stop() {
  asked_by=${asked_by:-$1}
  say "got $1: asking the ranks to save and stop"
  kill -USR1 "$ranks" 2>/dev/null || true
}

# Sets $status to what the ranks ended with. A signal ends a wait early.
wait_for_ranks() {
  status=0
  wait "$ranks" || status=$?
  while kill -0 "$ranks" 2>/dev/null; do
    status=0
    wait "$ranks" || status=$?
  done
  if [ "$status" -gt 128 ]; then  # perhaps a wait that a signal ended; the shell still knows what became of the ranks
    status=0
    wait "$ranks" || status=$?
  fi
}

# Whether to go on after $status; counts failures in a row in a file beside where the job was submitted.
goes_on() {
  local failures=lora_dist_${SLURM_JOB_ID}.failures count=0
  case $status in
    75)
      rm -f "$failures"
      return 0
      ;;
    5 | 86 | 1[3-9][0-9] | 129 | 2[0-9][0-9])
      count=$(($(cat "$failures" 2>/dev/null || echo 0) + 1))
      if [ "$count" -le 3 ]; then
        echo "$count" >"$failures"
        return 0
      fi
      say "failed $count times in a row: giving up"
      ;;
  esac
  rm -f "$failures"
  return 1
}

# scancel sends SIGTERM without a warning before it, and the job is COMPLETING then; it could still be put back into the queue. A
# preemption or a requeue by others looks like that too: SLURM itself puts those back.
is_cancelled() {
  [ "${asked_by:-}" = SIGTERM ] &&
    [ "$(squeue --noheader --jobs "$SLURM_JOB_ID" --format %T 2>/dev/null || true)" = COMPLETING ]
}

# run_requeueable <launcher> <ranks of a node> <command>...
run_requeueable() {
  say "job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)), ${SLURM_JOB_NUM_NODES:-?} nodes: ${SLURM_JOB_NODELIST-}"
  trap 'ask_to_stop SIGUSR1' USR1
  trap 'ask_to_stop SIGTERM' TERM
  start_ranks "$@"
  wait_for_ranks
  say "the ranks ended with $status"
  trap - USR1 TERM
  if is_cancelled; then
    say "ended from outside (scancel): not put back into the queue by this script"
  elif goes_on; then
    say "requeueing"
    if scontrol requeue "$SLURM_JOB_ID"; then
      sleep "${LORA_DIST_REQUEUE_PAUSE:-60}"  # SLURM ends this script
    fi
  fi
  exit "$status"
}
