# Sourced by run.sh: where this folder's MPI finds its parts, and where this machine keeps the CUDA libraries.

# bundle_environment <folder>: for programs of the bundle and the mpirun beside them. Not for the machine's own programs, such as its
# Python, which want newer libraries than those in lib/.
bundle_environment() {
  export OPAL_PREFIX=$1/mpi OPAL_LIBDIR=$1/lib OPAL_PKGLIBDIR=$1/mpi/components OPAL_DATADIR=$1/mpi/share
  export OPAL_PKGDATADIR=$1/mpi/share OPAL_SYSCONFDIR=$1/mpi/etc OPAL_BINDIR=$1/mpi/bin
  export PMIX_INSTALL_PREFIX=$1/mpi PMIX_PREFIX=$1/mpi PMIX_PKGLIBDIR=$1/mpi/pmix PMIX_PKGDATADIR=$1/mpi/share
  # A container may forbid reading another process's memory; shared memory goes everywhere.
  export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
  export LD_LIBRARY_PATH=$1/lib:$(cuda_folders):${LD_LIBRARY_PATH:-}
  LD_LIBRARY_PATH=$(sed -E 's/:+/:/g; s/:$//' <<<"$LD_LIBRARY_PATH")  # an empty entry would mean the current folder
}

# Folders that may hold CUDA libraries: the toolkit's, then those of the nvidia-* packages of the machine's Python.
cuda_candidates() {
  local folder
  for folder in "${CUDA_HOME:-/usr/local/cuda}" /usr/local/cuda /usr/local/cuda-[0-9]*; do
    printf '%s\n' "$folder/lib64" "$folder/targets/x86_64-linux/lib" "$folder/lib"
  done
  python3 - 2>/dev/null <<'PYTHON' || true
import glob, site, sys
for folder in dict.fromkeys(sys.path + site.getsitepackages() + [site.getusersitepackages()]):
    for found in sorted(glob.glob(glob.escape(folder) + "/nvidia/*/lib")) if folder else []:
        print(found)
PYTHON
}

# The first folder of each library, separated by colons. What the system's loader knows needs none.
cuda_folders() {
  local candidates library folder folders=""
  candidates=$(cuda_candidates)
  for library in libcublasLt.so.13 libnccl.so.2 libcudnn.so.9; do
    while IFS= read -r folder; do
      if [ -e "$folder/$library" ]; then
        case :$folders: in *:$folder:*) ;; *) folders=$folders:$folder ;; esac
        break
      fi
    done <<<"$candidates"
  done
  echo "${folders#:}"
}
