#!/bin/bash
# Unpacks the headers of NVIDIA's cuDNN frontend into build-deps/cudnn_frontend/include, from the wheel of one known version.
# Needs pip and the package index, once. Without them it prints so and succeeds: attention then uses its own kernel. Does nothing
# without a CUDA toolkit or without cuDNN.
set -eu

nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
if [ -z "$nvcc" ]; then
  exit 0
fi
toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
if [ -z "$(find -L "$toolkit/include" "$toolkit/targets" /usr/include -name cudnn.h -print -quit 2>/dev/null)" ]; then
  exit 0
fi

version=1.32.0
# Known hashes of this version's wheels; their headers do not depend on the Python version.
hashes=(
  c6006556017a4d1c914c52a556c71b1267f2d6a0500f742e7b4edef539878df0  # cp311, manylinux x86_64
)
folder=$(cd "$(dirname "$0")/.." && pwd)/build-deps/cudnn_frontend
if [ "$(cat "$folder/version" 2>/dev/null)" = "$version" ]; then
  exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
{
  printf 'nvidia-cudnn-frontend==%s' "$version"
  printf ' --hash=sha256:%s' "${hashes[@]}"
  echo
} >"$scratch/requirements.txt"
if ! python3 -m pip --disable-pip-version-check --quiet download --no-deps --only-binary :all: --require-hashes \
  --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 --retries 1 --timeout 20 \
  --dest "$scratch" --requirement "$scratch/requirements.txt" >"$scratch/log" 2>&1; then
  echo "cuDNN's frontend $version could not be downloaded: attention falls back to the own kernel ($(tail -n 1 "$scratch/log"))"
  exit 0
fi
python3 - "$scratch" <<'PYTHON'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
wheel.extractall(sys.argv[1] + "/unpacked", [n for n in wheel.namelist() if n.startswith("include/") or "/licenses/" in n])
PYTHON
echo "$version" >"$scratch/unpacked/version"
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
mv "$scratch/unpacked" "$folder"
