#!/bin/bash
# Unpacks the bundle in a root folder that holds Debian's base system and python3 alone, and runs its suite there:
#
#   launch/bundle/try_in_empty_root.sh [--emulated] [options of gpu_suite.sh]
#
# --emulated: the program of tests/cuda_emulation stands in for the CUDA build, with two devices and an nvidia-smi that lists them, so
# that the suite's steps for GPUs run as well; it is slow, and its numbers say nothing. As root. The report is printed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
archive=$(ls build-bundle/lora_dist-*.tar.*)
root=$PWD/build-bundle/root
emulated=false
if [ "${1-}" = --emulated ]; then
  emulated=true
  shift
fi

if [ ! -e "$root/sbin/ldconfig" ]; then
  launch/bundle/make_empty_root.sh "$root"
fi
if chroot "$root" /bin/sh -c 'command -v mpirun nvcc cmake' || find "$root/usr/lib" -name 'libmpi*' -o -name 'libhdf5*' -o -name 'libdnnl*' | grep .; then
  echo "$root is not empty enough: these should not be there" >&2
  exit 1
fi
rm -rf "$root/opt"
mkdir -p "$root/opt"
tar xf "$archive" -C "$root/opt"
folder=$(basename "$root"/opt/lora_dist-*)
if $emulated; then
  programs=$root/opt/$folder/programs/cuda
  mkdir -p "$programs"
  rm -f "$programs"/*
  ninja -C build-bundle/cuda lora_dist_emulated test_operators_emulated
  cp build-bundle/cuda/tests/lora_dist_emulated "$programs/lora_dist"
  cp build-bundle/cuda/tests/test_operators_emulated "$programs/test_operators"
  printf '#!/bin/sh\nfor device in 0 1; do echo "emulated, 1 GiB, none"; done\n' >"$root/opt/nvidia-smi"
  chmod +x "$root/opt/nvidia-smi"
fi

status=0
unshare --mount --pid --fork bash -euc '
  root=$1
  mount --make-rprivate /
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t tmpfs tmpfs "$root/tmp"
  cd "$root/opt/$2"
  exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/opt HOME=/root LORA_DIST_EMULATED_DEVICES=2 \
    bash -c "cd /opt/$2 && ./gpu_suite.sh \"\${@}\"" gpu_suite "${@:3}"' _ "$root" "$folder" "$@" || status=$?
echo
cat "$root/opt/$folder"/benchmarks/results/demo_*.md
exit $status
