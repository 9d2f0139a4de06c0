#!/bin/bash
# The steps of gpu_suite.sh: `suite_steps.sh NAME` runs one. What it prints is Markdown for the report; exit 0 passed, 77 skipped, else
# failed. Runs are kept in runs/suite and shared by the steps that want the same one.
set -euo pipefail

work=runs/suite
cuda=(--set parallel.backend=cuda)
cpu=(--set parallel.backend=cpu)

skip() {
  echo "skipped: $1"
  exit 77
}

# train <run> <cpu|cuda> <ranks> [--set key=value]...: the demo for SUITE_STEPS steps, unless that run is there. A constant rate, so that
# half a run is the beginning of a whole one.
train() {
  if [ ! -e "$work/$1/adapter/adapter_model.safetensors" ]; then
    resume "$@"
  fi
}
resume() {
  local run=$1 build=$2 ranks=$3 settings=() setting
  while IFS= read -r setting; do
    [ -z "$setting" ] || settings+=(--set "$setting")
  done <<<"${SUITE_SET:-}"
  ./run.sh --build "$build" -np "$ranks" --cfg configs/demo.toml --set "output.dir=$work/$run" --set output.tensorboard=false \
    --set "train.max_steps=$SUITE_STEPS" --set train.schedule=constant --set train.warmup_ratio=0 --set 'data.validation=[]' \
    --set data.validation_split=0 "${settings[@]}" "${@:4}" >&2
}

# same_adapter <run> <run>...: as bytes
same_adapter() {
  local run sums
  echo "| run | SHA-256 of the adapter |"
  echo "|---|---|"
  for run in "$@"; do
    sums=$(sha256sum <"$work/$run/adapter/adapter_model.safetensors")
    echo "| $run | ${sums:0:16} |"
  done
  for run in "$@"; do
    cmp "$work/$1/adapter/adapter_model.safetensors" "$work/$run/adapter/adapter_model.safetensors" || {
      echo
      echo "The adapters of $1 and $run differ."
      return 1
    }
  done
}

losses() { python3 launch/bundle/compare_losses.py "$@"; }
throughput() { python3 launch/bundle/throughput.py "$@"; }

# gtest <build> <program> <filter>: the last lines of its output, and its exit status
gtest() {
  local log=$work/$2_$1.txt status=0
  ./run.sh --build "$1" --program "$2" --gtest_brief=1 "--gtest_filter=$3" >"$log" 2>&1 || status=$?
  cat "$log" >&2
  echo '```'
  grep -E '^\[  (PASSED|FAILED|SKIPPED) |tests? ran' "$log" | head -n 40 || true
  echo '```'
  return "$status"
}

step_gpu_operators() { gtest cuda test_operators '*OnCuda*'; }

step_gpu_training() {
  train gpu_1 cuda 1 "${cuda[@]}"
  train gpu_1_again cuda 1 "${cuda[@]}"
  train gpu_2_host cuda 2 "${cuda[@]}" --set parallel.communicator=mpi
  train gpu_4_host cuda 4 "${cuda[@]}" --set parallel.communicator=mpi
  same_adapter gpu_1 gpu_1_again gpu_2_host gpu_4_host
  echo
  losses --falls "$work/gpu_1"
  throughput "$work"/gpu_{1,2_host,4_host}
}

# Strong: the batch of the largest run on every number of GPUs; weak: a batch that grows with them.
step_gpu_nccl() {
  local ranks strong=() weak=() found
  [ "$SUITE_GPUS" -ge 2 ] || skip "one GPU only"
  found=$(./run.sh --which 2>&1)
  if grep -q '^NCCL: none' <<<"$found"; then
    skip "NCCL was not found on this machine"
  fi
  for ((ranks = 1; ranks <= SUITE_GPUS; ranks *= 2)); do
    train "nccl_$ranks" cuda "$ranks" "${cuda[@]}" --set parallel.communicator=nccl --set train.global_batch=$((2 * SUITE_GPUS))
    strong+=("nccl_$ranks")
    train "weak_$ranks" cuda "$ranks" "${cuda[@]}" --set parallel.communicator=nccl --set train.global_batch=$((2 * ranks))
    weak+=("$work/weak_$ranks")
  done
  same_adapter "${strong[@]}"
  echo
  echo "Strong scaling: $((2 * SUITE_GPUS)) sequences a step on every number of GPUs."
  echo
  throughput "${strong[@]/#/$work/}"
  echo
  echo "Weak scaling: 2 sequences a step for each GPU."
  echo
  throughput "${weak[@]}"
}

step_parity() {
  local status=0
  train cpu_1 cpu 1 "${cpu[@]}"
  train gpu_1 cuda 1 "${cuda[@]}"
  train gpu_1_fp32 cuda 1 "${cuda[@]}" --set model.compute_dtype=fp32
  losses "$work/cpu_1" "$work/gpu_1_fp32" --limit 1e-4 || status=1
  echo
  losses "$work/cpu_1" "$work/gpu_1" --limit 1e-2 || status=1
  return $status
}

# In fp32, the one type that both compute in: a checkpoint keeps its own.
step_moved() {
  local half=(--set "train.max_steps=$(((SUITE_STEPS + 1) / 2))") fp32=(--set model.compute_dtype=fp32) status=0
  train cpu_1 cpu 1 "${cpu[@]}"
  train gpu_to_cpu cuda 1 "${cuda[@]}" "${fp32[@]}" "${half[@]}"
  resume gpu_to_cpu cpu 2 "${cpu[@]}" "${fp32[@]}"
  train cpu_to_gpu cpu 2 "${cpu[@]}" "${fp32[@]}" "${half[@]}"
  resume cpu_to_gpu cuda 1 "${cuda[@]}" "${fp32[@]}"
  losses "$work/cpu_1" "$work/gpu_to_cpu" --limit 1e-2 || status=1
  echo
  losses "$work/cpu_1" "$work/cpu_to_gpu" --limit 1e-2 || status=1
  return $status
}

step_sanitizer() {
  local tool log=$work/sanitizer.txt status=0
  [ "$SUITE_QUICK" = 0 ] || skip "--quick"
  tool=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer" 2>/dev/null) ||
    skip "compute-sanitizer is not installed"
  ./run.sh --under "$tool" --build cuda --program test_operators --gtest_brief=1 '--gtest_filter=*OnCuda.Bf16*' >"$log" 2>&1 || status=$?
  grep -q 'ERROR SUMMARY: 0 errors' "$log" || status=1  # the tool itself ends as the program does
  cat "$log" >&2
  echo '```'
  grep -E 'ERROR SUMMARY|^\[  (PASSED|FAILED) |tests? ran' "$log" | sed 's/^=* *//'
  echo '```'
  return "$status"
}

step_operators_benchmark() { ./run.sh --build cuda --program operators_benchmark; }

step_gpu_step_benchmark() {
  local shape shapes="qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b llama-3.1-8b" status=0
  [ -x programs/cuda/gpu_step_benchmark ] || skip "this bundle has no gpu_step_benchmark"
  if [ "$SUITE_QUICK" = 1 ]; then
    shapes=qwen3-0.6b
  fi
  for shape in $shapes; do
    echo "### $shape"
    echo
    ./run.sh --build cuda --program gpu_step_benchmark --config "benchmarks/shapes/$shape/config.json" --all || status=1
    echo
  done
  return $status
}

step_peft_step() {
  [ -e benchmarks/peft_step.py ] || skip "this bundle has no benchmarks/peft_step.py"
  python3 -c 'import torch, transformers, peft' 2>/dev/null || skip "this machine's Python has no torch, transformers and peft"
  if [ "$SUITE_QUICK" = 1 ]; then
    python3 benchmarks/peft_step.py --shape qwen3-0.6b
  else
    python3 benchmarks/peft_step.py --all
  fi
}

step_cpu_operators() { gtest cpu test_operators 'All/Operators.*'; }

step_cpu_training() {
  local ranks
  for ranks in 1 2 4; do
    train "cpu_$ranks" cpu "$ranks" "${cpu[@]}"
  done
  same_adapter cpu_1 cpu_2 cpu_4
  echo
  losses --falls "$work/cpu_1"
  throughput "$work"/cpu_{1,2,4}
}

step_cpu_resume() {
  local half=(--set "train.max_steps=$(((SUITE_STEPS + 1) / 2))")
  train cpu_1 cpu 1 "${cpu[@]}"
  train cpu_1_then_4 cpu 1 "${cpu[@]}" "${half[@]}"
  resume cpu_1_then_4 cpu 4 "${cpu[@]}"
  train cpu_4_then_2 cpu 4 "${cpu[@]}" "${half[@]}"
  resume cpu_4_then_2 cpu 2 "${cpu[@]}"
  same_adapter cpu_1 cpu_1_then_4 cpu_4_then_2
}

step_cpu_step_benchmark() {
  [ "$SUITE_QUICK" = 0 ] || skip "--quick"
  OMP_NUM_THREADS=$(nproc) ./run.sh --build cpu --program step_benchmark
}

"step_$1"
