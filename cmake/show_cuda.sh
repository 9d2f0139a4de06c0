#!/bin/bash
# Prints what a build with CUDA needs, and what is installed or missing.
set -u
missing=0
root=""
if nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null); then
  root=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  echo "nvcc      $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p') in $root"
else
  echo "nvcc      missing: install the CUDA toolkit (12.8 or newer) and put nvcc on PATH"
  missing=1
fi

# library <name> <header> <purpose>
library() {
  local header
  header=$(find "$root/include" "$root/targets" /usr/include /usr/local/include -name "$2" -print -quit 2>/dev/null)
  if [ -n "$header" ]; then
    echo "$1 $header"
  else
    echo "$1 missing ($2): $3"
    return 1
  fi
}
library "cuBLASLt " cublasLt.h "needed: it comes with the toolkit" || missing=1
library "NCCL     " nccl.h "left out: several GPUs would exchange through the host" || true
library "cuDNN    " cudnn.h "left out: attention would use this program's own kernel" || true
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
  nvidia-smi -L
else
  echo "GPU       none here: what is built compiles and links, and its GPU tests say \"skipped: no device\""
fi
exit $missing
