#!/bin/bash
# Starts a program of this folder, with the libraries beside it and no others but glibc and CUDA's.
#
#   ./run.sh -np 2 --cfg configs/demo.toml      trains the demo on two ranks
#   ./run.sh generate --model demo/model --prompt "What is anaemia?"
#   ./run.sh --which                            which build this machine takes, and why
#
# Options of this script, before all others: -np RANKS; --build auto|cpu|cuda (auto: the CUDA build where a driver and CUDA's
# libraries are found); --program NAME (a file of programs/<build>; lora_dist); --under TOOL (starts the program by way of a tool).
set -eu
bundle=$(cd "$(dirname "$0")" && pwd)

# Before anything is loaded: an older glibc fails with a symbol's name, or with a library that is there.
needed=$(cat "$bundle/GLIBC" 2>/dev/null || echo 2.36)
found=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //' || true)
if [ "$(printf '%s\n%s\n' "$needed" "${found:-0}" | sort -V | head -n 1)" != "$needed" ]; then
  echo "run.sh: this bundle needs glibc $needed or newer, and this machine has ${found:-another C library}: use a newer system, or a" \
    "container of one (Debian 12, Ubuntu 24.04, RHEL 10), or build the program here" >&2
  exit 2
fi
source "$bundle/launch/bundle/environment.sh"

build=auto
ranks=""
program=lora_dist
tool=()
which=false
while [ $# -gt 0 ]; do
  case $1 in
    --which) which=true; shift ;;
    --build | --program | --under | -np | -n)
      if [ $# -lt 2 ]; then
        echo "run.sh: $1 wants a value" >&2
        exit 2
      fi
      case $1 in --build) build=$2 ;; --program) program=$2 ;; --under) tool=("$2") ;; *) ranks=$2 ;; esac
      shift 2
      ;;
    *) break ;;
  esac
done

bundle_environment "$bundle"
why="as asked"
nccl=""
if [ "$build" = auto ] || $which; then
  asked=$build
  build=cpu
  if [ ! -x "$bundle/programs/cuda/lora_dist" ]; then
    why="this bundle has no CUDA build"
  elif ! version=$("$bundle/programs/cuda/lora_dist" --version 2>&1); then
    why="the CUDA build does not start: ${version##*: error while loading shared libraries: }"
  elif grep -q 'driver none' <<<"$version"; then
    why="no NVIDIA driver"
  else
    build=cuda
    why=$(sed -n 's/^CUDA  *//p' <<<"$version")
    nccl=$(sed -n 's/^NCCL  *//p' <<<"$version")
  fi
  if [ "$asked" != auto ]; then
    build=$asked
  fi
  echo "build: $build ($why)" >&2
  case $nccl in none*) echo "NCCL: $nccl; ranks exchange through the host" >&2 ;; esac
fi
if $which; then
  echo "$build"
  exit 0
fi

executable=$bundle/programs/$build/$program
if [ ! -x "$executable" ]; then
  echo "run.sh: this bundle has no program $program in a $build build; it has:" >&2
  (cd "$bundle/programs" && ls -d */*) >&2
  exit 2
fi
if [ -z "$ranks" ]; then
  exec "${tool[@]}" "$executable" "$@"
fi
exec "$bundle/launch/local_mpi.sh" "$bundle/mpi/bin/mpirun" -np "$ranks" "${tool[@]}" "$executable" "$@"
