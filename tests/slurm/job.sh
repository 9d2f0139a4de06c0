# shellcheck shell=bash
# Sourced by requeue_test.sh and soak.sh: a cluster, a job on it that goes through launch/submit, ways to stop it, and what it left.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cluster=$root/tests/slurm/cluster.sh
scratch=""

# Exits with 77 where there cannot be a cluster.
need_cluster() {
  local missing
  missing=$("$cluster" missing)
  if [ -n "$missing" ]; then
    echo "skipped: $missing"
    exit 77
  fi
}

# Says what SLURM and the batch script did from the first start on: the last lines alone do not tell why there was one start more.
die() {
  echo "FAILED: $*"
  {
    grep -hE ' batch: |^srun|^slurmstepd|^resuming from|^lora_dist' "$scratch"/lora_dist_*.log
    grep -hE 'JobId=|node|Node' "$scratch/cluster/controller.log" | tail -n 60
    tail -n 30 "$scratch"/lora_dist_*.log
  } >&2 2>/dev/null || true
  exit 1
}

# A folder with the cluster and all that jobs write; both go when the script ends.
start_cluster() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  trap '"$cluster" down "$scratch/cluster"; rm -rf "$scratch"' EXIT
  chmod 711 "$scratch"  # munged wants to be reached by everybody
  "$cluster" up "$scratch/cluster" || die "the cluster did not start"
  export SLURM_CONF=$scratch/cluster/slurm.conf
  # Four ranks and more share this machine's cores, as root.
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
  cd "$scratch" || exit 1
  ln -s "$root/demo" demo
}

# configuration <steps> <sequences a step>: job.toml, the demo's model on short sequences
configuration() {
  cat >job.toml <<TOML
[model]
path = "demo/model"
[adapter]
r = 4
target_modules = "all-linear"
[data]
train = ["demo/medquad/train.jsonl"]
validation_split = 0.0
max_length = 64
[train]
max_steps = $1
global_batch = $2
micro_batch = 1
[checkpoint]
every = 10
[output]
dir = "out"
tensorboard = false
TOML
}

# until <seconds> <what> <command>...
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || die "$what: not within the time"
    sleep 0.1
  done
}

adapter_sum() { sha256sum <"$1/adapter/adapter_model.safetensors"; }
steps_done() { if [ -e out/metrics.jsonl ]; then wc -l <out/metrics.jsonl; else echo 0; fi; }
has_steps() { [ "$(steps_done)" -ge "$1" ]; }
job_state() { scontrol --oneliner show job "$job" | grep -o 'JobState=[A-Z_]*' | sed 's/.*=//'; }
is_in_state() { [ "$(job_state)" = "$1" ]; }
# The steps of the job, its batch script's too, as processes of this machine: one that still ends would hold ports and output.dir.
is_gone() { ! pgrep -f "slurmstepd: \[$job\." >/dev/null && ! pgrep -f "lora_dist .*$scratch" >/dev/null; }

# submit_job <program> <nodes> <launcher>: sets $job
submit_job() {
  job=$("$root/launch/submit" --cfg job.toml --program "$1" --nodes "$2" --launcher "$3" --set "output.dir=$scratch/out" --mem 500M \
    --time 60 2>submit.log | sed -n 's/^Submitted batch job //p')
  [ -n "$job" ] || die "nothing was submitted: $(cat submit.log)"
}

# give_nodes <N>: the others are taken out of service
give_nodes() {
  local node state
  for node in 1 2 3 4; do
    state=$(sinfo --noheader --nodes="n$node" --format=%T | sort -u)
    if [ "$node" -gt "$1" ]; then
      scontrol update nodename="n$node" state=drain reason=test
    elif [[ $state == *drain* || $state == *down* ]]; then
      scontrol update nodename="n$node" state=resume
    fi
  done
}

# stop_job <how>: until SLURM has the job back in its queue and nothing of it runs
stop_job() {
  local node
  case $1 in
    signal) scancel --signal=USR1 --batch "$job" ;;
    preemption) srun --partition=high --exclusive --nodes="$(scontrol --oneliner show job "$job" | grep -o ' NumNodes=[0-9]*' | sed 's/.*=//')" \
      --ntasks-per-node=1 --mpi=none true 2>/dev/null ;;
    requeue) scontrol requeue "$job" ;;
    failure)
      node=$(scontrol show hostnames "$(squeue --noheader --jobs="$job" --format=%N)" | tail -n 1)
      scontrol update nodename="$node" state=down reason=test
      ;;
  esac
  until_true 300 "job $job after $1: PENDING" is_in_state PENDING
  until_true 300 "job $job after $1: the end of its processes" is_gone
}

# go_on <nodes>: a job that was requeued would wait two minutes for itself
go_on() {
  give_nodes "$1"
  sleep 1
  until_true 300 "job $job: starting" scontrol update jobid="$job" StartTime=now
}

# The step that the newest start of the job continued from.
resumed_from() { sed -n 's/^resuming from .*(step \([0-9]*\))$/\1/p' "lora_dist_$job.log" | tail -n 1; }
# has_resumed <times>
has_resumed() { [ "$(grep -c '^resuming from ' "lora_dist_$job.log")" -ge "$1" ]; }
# Without those that ended with a segmentation fault before the program's first line: on a loaded machine the TCP transport of Open
# MPI 4.1.4 calls a function that is not set yet, in MPI_Init, and the job goes back into the queue.
starts() {
  awk '/ batch: job .*, start / { count++; silent = 1 } /^model / { silent = 0 } / the ranks ended with 139/ { count -= silent }
       END { print count + 0 }' "lora_dist_$job.log" 2>/dev/null || echo 0
}
has_started() { [ "$(starts)" -ge "$1" ]; }
nodes_of_start() { sed -n "s/.* batch: job .*, start .*, \([0-9]*\) nodes: .*/\1/p" "lora_dist_$job.log" | tail -n 1; }

# Every step once, in order; the same bits as without a stop.
check_result() {
  local steps=$1 reference=$2
  awk -F'[:,]' '{ if ($2 != NR) { print "step " $2 " stands in line " NR; bad = 1 } } END { exit bad }' out/metrics.jsonl || die "metrics.jsonl"
  [ "$(steps_done)" -eq "$steps" ] || die "$(steps_done) of $steps steps"
  [ "$(adapter_sum out)" = "$(adapter_sum "$reference")" ] || die "the adapter is not that of the run without a stop"
}
