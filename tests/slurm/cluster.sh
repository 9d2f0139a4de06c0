#!/bin/bash
# A SLURM cluster of four virtual nodes on this machine, in one folder, on the loopback interface alone:
#
#   tests/slurm/cluster.sh up FOLDER [CORES]     starts it; then: export SLURM_CONF=FOLDER/slurm.conf
#   tests/slurm/cluster.sh down FOLDER           stops it; the folder stays
#   tests/slurm/cluster.sh missing               what this machine lacks to have one, as a sentence; nothing where it lacks nothing
#
# The nodes n1 to n4 are four slurmd on four ports; they share the cores, the memory and the files of the machine, and believe to
# have CORES (2) cores each. Everything, munge's key too, lies in the folder; an installed SLURM or munge is left alone. Partition
# `low`, the default, may be preempted by `high`, and its jobs are then put back into the queue.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing() {
  local program
  for program in slurmctld slurmd munged sbatch scontrol mpirun; do
    if ! command -v "$program" >/dev/null; then
      echo "$program is not installed (cmake/install_packages.sh cmake/packages_slurm.txt)"
      return
    fi
  done
  if [ "$(id -u)" -ne 0 ]; then
    echo "slurmd starts jobs as root only"
  elif ! getent hosts "$(hostname -s)" >/dev/null; then
    echo "the name of this machine, $(hostname -s), resolves to no address"
  fi
}

# Waits up to ten seconds until the command succeeds.
until_true() {
  local tries
  for ((tries = 0; tries < 100; ++tries)); do
    if "$@" >/dev/null 2>&1; then
      return
    fi
    sleep 0.1
  done
  echo "cluster.sh: not within ten seconds: $*" >&2
  return 1
}

# Five neighbouring ports that nobody listens on.
free_ports() {
  local first taken
  taken=$(awk 'NR > 1 && $4 == "0A" { print $2 }' /proc/net/tcp | sed 's/.*://')
  for ((first = 20000 + $$ % 2000 * 5; ; first += 5)); do
    if ! grep -qE "^($(printf '%04X|%04X|%04X|%04X|%04X' "$first" $((first + 1)) $((first + 2)) $((first + 3)) $((first + 4))))$" <<<"$taken"; then
      echo "$first"
      return
    fi
  done
}

# Why each line that is not plain: NoInAddrAny binds to loopback alone; no cgroups, no accounting, and short timers of the scheduler,
# for a test; long ones of the nodes, since SLURM requeues the job of a node that a busy machine keeps from answering; the PMIx
# plugin makes its folder in TmpFS under a name without the node's, hence one for each; a job that is about to be preempted is warned
# with its own --signal.
configuration() {
  local folder=$1 cores=$2 port=$3 host
  host=$(hostname -s)
  cat <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket
CommunicationParameters=NoAddrCache,NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/controller
SlurmdSpoolDir=$folder/%n
TmpFS=$folder/%n/tmp
SlurmctldPidFile=$folder/controller.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/controller.log
SlurmdLogFile=$folder/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
KillWait=5
MinJobAge=60
SlurmctldTimeout=30
SlurmdTimeout=300
MessageTimeout=60
BatchStartTimeout=60
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName=n[1-4] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 4))] CPUs=$cores RealMemory=4000 State=UNKNOWN
PartitionName=low Nodes=n[1-4] Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=n[1-4] MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
CONF
}

start_munge() {
  local folder=$1
  head -c 128 /dev/urandom >"$folder/munge.key"
  chmod 600 "$folder/munge.key"
  munged --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munge.pid" \
    --seed-file="$folder/munge.seed" --log-file="$folder/munge.log" --num-threads=1
}

all_idle() { [ "$(sinfo --noheader --format='%D %T' | awk '$2 == "idle" { sum += $1 } END { print sum + 0 }')" -eq 4 ]; }

up() {
  local folder=$1 cores=$2 node
  mkdir -p "$folder"/controller "$folder"/n{1,2,3,4}/tmp
  chmod 755 "$folder"
  configuration "$folder" "$cores" "$(free_ports)" >"$folder/slurm.conf"
  export SLURM_CONF=$folder/slurm.conf
  start_munge "$folder"
  until_true munge --socket="$folder/munge.socket" --no-input
  slurmctld -c
  for node in n1 n2 n3 n4; do
    slurmd -N "$node"
  done
  until_true all_idle
}

nothing_runs() { [ -z "$(squeue --noheader)" ]; }

# What jobs left behind: processes that were started with this cluster's configuration, in a job or to watch one.
processes_of_jobs() {
  local folder=$1 process
  for process in /proc/[0-9]*; do
    if grep -qzxF "SLURM_CONF=$folder/slurm.conf" "$process/environ" 2>/dev/null &&
      { grep -qz '^SLURM_JOB_ID=' "$process/environ" || [ "$(cat "$process/comm")" = slurmstepd ]; } 2>/dev/null; then
      echo "${process#/proc/}"
    fi
  done
}

# Ends the jobs, then the daemons that this folder's files name, and no others.
down() {
  local folder=$1 file process
  export SLURM_CONF=$folder/slurm.conf
  scancel --user=root 2>/dev/null || true
  until_true nothing_runs 2>/dev/null || true
  for file in "$folder"/controller.pid "$folder"/n?.pid "$folder"/munge.pid; do
    process=$(cat "$file" 2>/dev/null || true)
    if [ -n "$process" ]; then
      kill "$process" 2>/dev/null || true
    fi
  done
  for process in $(processes_of_jobs "$folder"); do
    kill -9 "$process" 2>/dev/null || true
  done
}

case ${1-} in
  up) up "$(realpath -m "$2")" "${3:-2}" ;;
  down) down "$(realpath -m "$2")" ;;
  missing) missing ;;
  *)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
