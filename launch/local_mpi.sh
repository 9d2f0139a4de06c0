#!/bin/bash
# Prints a command and runs it, with what Open MPI wants to be told on a single machine:
#     launch/local_mpi.sh mpirun -np 2 build/lora_dist --cfg configs/demo.toml
# As root (a container): that this is meant. With fewer cores than ranks: that the ranks may share them.
set -eu

ranks=1
words=("$@")
for ((i = 0; i + 1 < $#; ++i)); do
  case ${words[i]} in -n | -np) ranks=${words[i + 1]} ;; esac
done

if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Open MPI counts cores, not hardware threads.
cores=$(lscpu --parse=Core,Socket 2>/dev/null | grep -v '^#' | sort -u | wc -l)
allowed=$(nproc)
if [ "$cores" -eq 0 ] || [ "$allowed" -lt "$cores" ]; then
  cores=$allowed
fi
if [ "$cores" -lt "$ranks" ]; then
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
fi

echo "$*"
exec "$@"
