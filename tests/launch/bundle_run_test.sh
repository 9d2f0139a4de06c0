#!/bin/bash
# launch/bundle/run.sh in an unpacked bundle of stand-ins: which glibc it needs is said before anything is started.
set -u
source "$(dirname "$0")/expect.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$scratch"/bundle/{launch/bundle,programs/cpu}
cp "$root/launch/bundle/run.sh" "$scratch/bundle/"
cp "$root/launch/bundle/environment.sh" "$scratch/bundle/launch/bundle/"
# shellcheck disable=SC2016
printf '#!/bin/bash\necho "started with $*"\n' >"$scratch/bundle/programs/cpu/lora_dist"
chmod +x "$scratch/bundle/programs/cpu/lora_dist"

stand_in python3 "exit 1" # it is asked where CUDA is

# glibc <version>: what getconf says
glibc() { stand_in getconf "echo 'glibc $1'"; }

echo 2.36 >"$scratch/bundle/GLIBC"
for version in 2.36 2.36.1 2.40 3.0; do
  glibc $version
  expect_code 0 "$scratch/bundle/run.sh" --version
  expect_said "started with --version"
done
for version in 2.5 2.17 2.35; do
  glibc $version
  expect_code 2 "$scratch/bundle/run.sh" --version
  expect_said "run.sh: this bundle needs glibc 2.36 or newer, and this machine has $version: "
  expect_not_said started
done
stand_in getconf 'exit 1'
expect_code 2 "$scratch/bundle/run.sh" --which
expect_said "and this machine has another C library"
finish
