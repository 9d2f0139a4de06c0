#!/bin/bash
# Everything that only a GPU can show, in one command, on a machine with CUDA and python3 and nothing else:
#
#   tar xf lora_dist-*.tar.gz && cd lora_dist-*/ && ./gpu_suite.sh
#
# It writes benchmarks/results/<model>_<hardware>_<yyyymm>.md, anew after every step, so that a machine that is taken away leaves what
# was done. Without a GPU its steps say "skipped: no device" and the CPU half runs. Exit status: 0, or 1 when a step failed.
#
#   --quick         fewer steps of training, one benchmark shape, no compute-sanitizer
#   --only NAME     this step alone (may be repeated); the file's name then ends in _part
#   --list          the names
#   --steps N       steps of each training run (20)
#   --patience N    N times the time that each step may take (1), for a busy machine
#   --set KEY=VALUE a setting of every training run, in place of the demo's (may be repeated)
set -u
cd "$(dirname "$0")" || exit 2

# name, seconds it may take, needs a GPU, title
steps="
gpu_operators        150 gpu Operators on the GPU beside the CPU
gpu_training         150 gpu Demo training: 1 rank, 2 and 4 ranks through the host
gpu_nccl             240 gpu NCCL between GPUs: same bits, strong and weak scaling
parity               150 gpu Parity curve: losses on the GPU beside the CPU
moved                150 gpu A checkpoint made on the GPU resumed on the CPU, and the other way round
sanitizer            150 gpu compute-sanitizer
operators_benchmark  100 gpu Operators beside the GPU's own rates
gpu_step_benchmark   300 gpu A training step on the GPU
peft_step            300 gpu The same step with PyTorch and PEFT
cpu_operators        150 cpu Operators on the CPU
cpu_training         300 cpu Demo training on 1, 2 and 4 ranks on the CPU
cpu_resume           240 cpu A checkpoint resumed on another number of ranks, on the CPU
cpu_step_benchmark   240 cpu A training step on the CPU
"

command="./gpu_suite.sh $*"
export SUITE_STEPS=20 SUITE_QUICK=0 SUITE_SET=""
patience=1
only=" "
while [ $# -gt 0 ]; do
  case $1 in
    --quick) SUITE_QUICK=1 SUITE_STEPS=8; shift; continue ;;
    --list) sed -n 's/ .*//p' <<<"$steps"; exit 0 ;;
    --only | --steps | --set | --patience) ;;
    *) echo "gpu_suite.sh: $1? It takes --quick, --only NAME, --list, --steps N, --patience N, --set KEY=VALUE" >&2; exit 2 ;;
  esac
  case ${2-} in '') echo "gpu_suite.sh: $1 wants a value" >&2; exit 2 ;; esac
  case $1 in
    --only)
      if ! sed -n 's/ .*//p' <<<"$steps" | grep -qxF -- "$2"; then
        echo "gpu_suite.sh: --only $2: no step of that name; --list prints them" >&2
        exit 2
      fi
      only="$only$2 "
      ;;
    --steps) SUITE_STEPS=$2 ;;
    --patience) patience=$2 ;;
    --set) SUITE_SET+="$2"$'\n' ;;
  esac
  shift 2
done

# What is here. A GPU counts when the CUDA build may use it (CUDA_VISIBLE_DEVICES has its say); nvidia-smi, where there is one, names it.
work=runs/suite
if ! rm -rf "$work" || ! mkdir -p "$work/steps" benchmarks/results; then
  echo "gpu_suite.sh: unpack the archive into a folder that you may write to" >&2
  exit 2
fi
SUITE_BUILD=$(./run.sh --which 2>"$work/which.txt")
cat "$work/which.txt"
version=$(./run.sh --build "$SUITE_BUILD" --version)
SUITE_GPUS=$(sed -n 's/^CUDA .*, devices \([0-9]*\)$/\1/p' <<<"$version")
SUITE_GPUS=${SUITE_GPUS:-0}
gpus=$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null || true)
gpus=$(for ((i = 1; i <= SUITE_GPUS; i++)); do
  name=$(sed -n "${i}p" <<<"$gpus")
  echo "${name:-GPU (no nvidia-smi to name it)}"
done)
export SUITE_BUILD SUITE_GPUS
{
  echo "command: ${command% }"
  echo "bundle: $(cat VERSION)"
  echo "date: $(date -u +%Y-%m-%d)"
  echo "system: $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), Linux $(uname -r)"
  echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) threads"
  echo "build: $(sed -n 's/^build: //p' "$work/which.txt")"
  echo "gpus: $SUITE_GPUS"
  sed -n 's/^\(.\)/gpu: \1/p' <<<"$gpus"
  sed 's/^/version: /' <<<"$version"
} >"$work/machine.txt"

report() { python3 launch/bundle/write_report.py "$work" benchmarks/results $([ "$only" = " " ] || echo --part); }

failed=0
number=10
while read -r name limit needs title; do
  number=$((number + 1))
  case $only in " " | *" $name "*) ;; *) continue ;; esac
  [ -n "$name" ] || continue
  limit=$((limit * patience))
  echo "== $title"
  step=$work/steps/${number}_$name
  start=$(date +%s)
  if [ "$needs" = gpu ] && [ "$SUITE_GPUS" -eq 0 ]; then
    echo "skipped: no device" >"$step.md"
    status=77
  else
    timeout --kill-after=10 "$limit" bash launch/bundle/suite_steps.sh "$name" >"$step.md" 2>"$step.log" </dev/null
    status=$?
  fi
  case $status in
    0) outcome=passed ;;
    77) outcome=skipped ;;
    124 | 137) outcome="failed: stopped after $limit s" ;;
    *) outcome="failed: status $status" ;;
  esac
  case $outcome in failed*) failed=1 ;; esac
  echo "   $outcome, $(($(date +%s) - start)) s"
  [ "$status" -ne 77 ] || echo "   $(head -n 1 "$step.md")"
  printf '%s\n%s\n%s\n' "$title" "$outcome" "$(($(date +%s) - start))" >"$step.outcome"
  file=$(report) || failed=1
done <<<"$steps"
echo "Written: ${file-}"
exit $failed
