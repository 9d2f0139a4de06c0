#!/bin/bash
# Builds the program for CPUs and for GPUs and packs both, with every library but glibc's and CUDA's, into one archive that runs from
# wherever it is unpacked: build-bundle/lora_dist-<version>.tar.gz (or .tar.xz where gzip's is over 40 MB). It runs where glibc is as new
# as here or newer (2.36 on Debian 12). The CUDA build is left out, with a word, where there is no nvcc.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly most_bytes=40000000
architectures=${LORA_DIST_CUDA_ARCHITECTURES:-75;80;90;100;120}
jobs=${JOBS:-$(nproc)}
version=$(sed -n 's/^project(lora_dist VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=lora_dist-$version
stage=build-bundle/$name

# build <cpu|cuda> <LORA_DIST_CUDA> <targets that are wanted>...
build() {
  local folder=build-bundle/$1 targets=() target
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DLORA_DIST_CUDA=$2" "-DLORA_DIST_CUDA_ARCHITECTURES=$architectures" \
    -DCMAKE_SKIP_RPATH=ON -DCMAKE_GTEST_DISCOVER_TESTS_DISCOVERY_MODE=PRE_TEST >"$folder.log" || {
    cat "$folder.log"
    exit 1
  }
  for target in "${@:3}"; do
    if ninja -C "$folder" -t query "$target" >/dev/null 2>&1; then
      targets+=("$target")
    fi
  done
  ninja -C "$folder" -j "$jobs" "${targets[@]}"
  mkdir -p "$stage/programs/$1"
  for target in "${targets[@]}"; do
    strip --strip-unneeded -o "$stage/programs/$1/$target" "$(find "$folder" -type f -name "$target" -executable -print -quit)"
  done
}

# What one machine needs of Open MPI: no fabrics, no ways to other machines (rsh fails where there is no ssh), no batch systems, file
# systems or OpenSHMEM.
copy_mpi() {
  local library=/usr/lib/x86_64-linux-gnu component
  mkdir -p "$stage"/mpi/{bin,components,share,etc,pmix}
  for component in "$library"/openmpi/lib/openmpi3/mca_*.so; do
    case $component in
      *ofi* | *openib* | *ucx* | *psm* | *slurm* | *flux* | *jsm* | *gridengine* | *plm_rsh* | *simulator* | *monitoring* | *netlink*) ;;
      *_io_* | *_fbtl_* | *_fcoll_* | *_fs_* | *_sharedfp_* | *_compress_* | *_crs_* | *_vprotocol_*) ;;
      *_memheap_* | *_scoll_* | *_spml_* | *_sshmem_* | *_atomic_*) ;;
      *) strip --strip-unneeded -o "$stage/mpi/components/${component##*/}" "$component" ;;
    esac
  done
  strip --strip-unneeded -o "$stage/mpi/pmix/pmix_mca_pcompress_zlib.so" "$library/pmix2/lib/pmix/pmix_mca_pcompress_zlib.so"
  strip -o "$stage/mpi/bin/mpirun" "$(readlink -f "$(command -v mpirun)")"
  strip -o "$stage/mpi/bin/orted" "$(readlink -f "$(command -v orted)")"
  cp /usr/share/openmpi/help-*.txt "$library"/pmix2/share/pmix/help-*.txt "$stage/mpi/share/"
  touch "$stage/mpi/etc/openmpi-mca-params.conf"
}

# Every shared library that a program, a component or another library asks for. glibc is the machine's; so are CUDA's.
copy_libraries() {
  local soname path
  mkdir -p "$stage/lib"
  if find "$stage/programs" -type f -exec ldd {} + | grep 'not found' ; then
    echo "These libraries were not found on this machine" >&2
    exit 1
  fi
  find "$stage/programs" "$stage/mpi/bin" "$stage/mpi/components" -type f -exec ldd {} + 2>/dev/null |
    sed -n 's/^\t\([^ ]*\) => \(\/[^ ]*\).*/\1 \2/p' | sort -u | while read -r soname path; do
    case $soname in
      libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.* | libutil.so.*) ;;
      libcuda.so.* | libcudart.so.* | libcublas* | libnccl.so.* | libcudnn* | libnvrtc* | libnvJitLink*) ;;
      *) strip --strip-unneeded -o "$stage/lib/$soname" "$(readlink -f "$path")" ;;
    esac
  done
}

copy_texts() {
  mkdir -p "$stage/launch/bundle" "$stage/benchmarks/results"
  cp -r configs demo LICENSE "$stage/"
  cp launch/local_mpi.sh "$stage/launch/"
  cp launch/bundle/{environment.sh,suite_steps.sh,*.py} "$stage/launch/bundle/"
  cp launch/bundle/{run.sh,gpu_suite.sh,README.md} "$stage/"
  for path in benchmarks/shapes benchmarks/peft_step.py; do
    if [ -e "$path" ]; then
      cp -r "$path" "$stage/benchmarks/"
    fi
  done
  echo "$version $(git describe --always --dirty 2>/dev/null || true)" >"$stage/VERSION"
  getconf GNU_LIBC_VERSION | sed 's/^glibc //' >"$stage/GLIBC"  # run.sh asks for it
}

mkdir -p build-bundle
rm -rf "$stage" "build-bundle/$name".tar.*
build cpu OFF lora_dist test_operators step_benchmark
if cmake/show_cuda.sh >build-bundle/cuda_found.log; then
  cmake/install_cudnn_frontend.sh
  build cuda ON lora_dist test_operators operators_benchmark gpu_step_benchmark
else
  cat build-bundle/cuda_found.log
  echo "Left out: the CUDA build"
fi
copy_mpi
copy_libraries
copy_texts

# gzip is on every machine, xz is not.
archive=build-bundle/$name.tar.gz
pack=(tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --directory build-bundle)
"${pack[@]}" "$name" | gzip -9n >"$archive"
if [ "$(stat -c %s "$archive")" -gt "$most_bytes" ]; then
  rm "$archive"
  archive=build-bundle/$name.tar.xz
  "${pack[@]}" "$name" | xz -9e -T1 >"$archive"
fi
bytes=$(stat -c %s "$archive")
echo "$archive: $((bytes / 1000000)) MB, $(du -sm "$stage" | cut -f1) MB unpacked"
if [ "$bytes" -gt "$most_bytes" ]; then
  echo "It should be under $((most_bytes / 1000000)) MB: compile for fewer chips (LORA_DIST_CUDA_ARCHITECTURES=\"90;120\" make bundle)" >&2
  exit 1
fi
