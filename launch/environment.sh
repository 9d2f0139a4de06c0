# shellcheck shell=bash
# Sourced by the batch files: what Open MPI, NCCL and CUDA are told, and why. (OpenMP's threads are set where the ranks are started,
# slurm/requeue.sh.) What is set already stays as it is; what a cluster wants
# beside it goes into environment_site.sh in this folder, which is sourced first where it is there.
launch_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -r "$launch_folder/environment_site.sh" ]; then
  # shellcheck source=/dev/null
  source "$launch_folder/environment_site.sh"
fi

# Open MPI's mpirun binds each of one or two ranks to one core, and more to one socket, whatever their threads need. Unbound, they stay
# within the cores that SLURM gave the job. (srun binds by itself and does not read this.)
export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}

# In a container, reading another process's memory is often forbidden, and Open MPI warns or fails: shared memory in its place.
if [ -n "${APPTAINER_CONTAINER-}${SINGULARITY_CONTAINER-}" ]; then
  export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
fi

# NCCL says why it fails, and is silent otherwise. INFO shows which network it takes.
export NCCL_DEBUG=${NCCL_DEBUG:-WARN}

# GPUs have the numbers that nvidia-smi shows, so that a message about one can be followed up.
export CUDA_DEVICE_ORDER=${CUDA_DEVICE_ORDER:-PCI_BUS_ID}

# Which network: NCCL and Open MPI find InfiniBand by themselves. Where `lora_dist doctor` reports pairs that do not reach each other, name
# the interface (ip -brief address) in environment_site.sh:
#   export NCCL_SOCKET_IFNAME=ib0 OMPI_MCA_btl_tcp_if_include=ib0
