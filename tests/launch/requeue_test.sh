#!/bin/bash
# launch/slurm/requeue.sh with stand-ins for srun, mpirun and scontrol: what becomes of each exit code, and of signals.
set -u
source "$(dirname "$0")/expect.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$scratch" || exit 1
# shellcheck disable=SC2016 # expanded by the stand-ins
stand_in srun 'echo "srun $* threads $OMP_NUM_THREADS"; exec "${@: -1}"'
# shellcheck disable=SC2016
stand_in mpirun 'echo "mpirun $* slots $SLURM_TASKS_PER_NODE"; exec "${@: -1}"'
stand_in scontrol 'echo "scontrol $*"'
stand_in ends_with_75 'exit 75'
stand_in ends_with_5 'exit 5'
stand_in ends_with_2 'exit 2'
stand_in killed 'kill -9 $$'
stand_in stops_on_request 'trap "echo saved; exit 75" USR1; echo started; for i in {1..100}; do sleep 0.1; done'
export SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=3 SLURM_CPUS_ON_NODE=8 SLURM_JOB_NODELIST='n[1-3]' LORA_DIST_REQUEUE_PAUSE=0

# batch <launcher> <command>: as a batch file does
batch() { bash -c "set -u; source '$root/launch/environment.sh'; source '$root/launch/slurm/requeue.sh'; run_requeueable $1 2 $2"; }

expect_code 0 batch srun true
expect_said "job 7, start 1, 3 nodes: n[1-3]" "--mpi=pmix --ntasks=6 --ntasks-per-node=2 --cpus-per-task=4" "threads 4" "the ranks ended with 0"
expect_not_said scontrol
LORA_DIST_SRUN_MPI=pmi2 expect_code 0 batch srun true
expect_said "--mpi=pmi2 --ntasks=6"
expect_code 0 batch mpirun true
expect_said "mpirun -np 6 true slots 2(x3)"
expect_code 2 batch ssh true
expect_said "launcher must be srun or mpirun (got ssh)"

expect_code 75 batch srun ends_with_75
expect_said "the ranks ended with 75" "scontrol requeue 7"
expect_code 2 batch srun ends_with_2
expect_not_said scontrol

# A lost rank: three times in a row, then no more; a checkpoint on request between begins to count anew.
for code in ends_with_5 killed ends_with_5; do
  batch srun "$code" >out 2>&1
  grep -q "scontrol requeue 7" out || fail "not requeued after $code: $(cat out)"
done
expect_code 5 batch srun ends_with_5
expect_said "failed 4 times in a row: giving up"
expect_not_said scontrol
expect_code 5 batch srun ends_with_5
expect_code 75 batch srun ends_with_75
[ ! -e lora_dist_7.failures ] || fail "failures are still counted after a checkpoint"

# Both signals become SIGUSR1 for the ranks. SIGTERM to a job that is COMPLETING is scancel's: it stays out of the queue.
for signal in USR1 TERM scancel; do
  state=RUNNING
  if [ "$signal" = scancel ]; then
    signal=TERM state=COMPLETING
  fi
  stand_in squeue "echo $state"
  rm -f out  # the last one's words would be taken for this one's
  bash -c "source '$root/launch/slurm/requeue.sh'; run_requeueable srun 1 stops_on_request" >out 2>&1 &
  shell=$!
  for ((i = 0; i < 100; ++i)); do
    if grep -qs started out; then break; fi
    sleep 0.1
  done
  kill "-$signal" "$shell"
  code=0
  wait "$shell" || code=$?
  said=$(cat out)
  [ "$code" -eq 75 ] || fail "SIG$signal: exit code $code: $said"
  expect_said "got SIG$signal: asking the ranks to save and stop" saved
  if [ "$state" = RUNNING ]; then
    expect_said "scontrol requeue 7"
  else
    expect_said "ended from outside (scancel)"
    expect_not_said "scontrol requeue"
  fi
done
finish
