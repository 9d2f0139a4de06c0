#!/bin/bash
# Adapts SmolLM2-135M-Instruct to medical questions (configs/smollm2.toml), and exports the adapter and the merged model.
# Usage: demo/smollm2/run.sh <lora_dist> [<ranks>]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$1
ranks=${2:-2}
model=build-deps/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
output=runs/smollm2

launch/local_mpi.sh mpirun -np "$ranks" "$program" --cfg configs/smollm2.toml
rm -f "$output/medical-lora.gguf" "$output/medical-q8_0.gguf"  # of an earlier run
echo
echo "For llama.cpp: the adapter, and the model with the adapter merged"
"$program" export --for llama.cpp --model "$model" --adapter "$output/adapter_best" --output "$output/medical-lora.gguf"
"$program" export --for gguf --type q8_0 --model "$model" --adapter "$output/adapter_best" --output "$output/medical-q8_0.gguf"
