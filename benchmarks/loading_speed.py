#!/usr/bin/env python3
"""Time and memory until a model in fp32 files stands in NF4, this program on two ranks beside transformers with bitsandbytes.

    pip install torch==2.15.0 transformers==5.24.0 bitsandbytes==0.50.2 accelerate==1.15.0
    cmake --build build --target lora_dist
    python3 benchmarks/loading_speed.py [--folder /tmp/llama_1b] [--layers 22] [--passes 2] [--build build]

The model is random, of Llama's shape (2048 wide, 32 heads, 4 of keys and values, 5632 in the MLP, a vocabulary of 32,000): 1.1 B parameters in 4.4 GB. It
is written into the folder unless it lies there, and stays. Ours is the whole of `score` on one row of two ids, from mpirun's start to its end; theirs is
from_pretrained alone, in a process of its own, without the imports. The two take turns, the best pass of each counts. Memory is the largest process's
peak (ru_maxrss). The files are read once before, so that both find them in the page cache.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

RANKS = 2


def write_model(folder, layers):
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.LlamaConfig(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=layers, num_attention_heads=32,
                                      num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=False)
    transformers.LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="2GB")


def load_with_bitsandbytes(folder):
    """Runs in a process of its own; prints seconds and bytes."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(RANKS)
    quantization = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    start = time.perf_counter()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, quantization_config=quantization, device_map="cpu", dtype=torch.float32)
    seconds = time.perf_counter() - start
    assert model.model.layers[0].self_attn.q_proj.weight.dtype == torch.uint8, "not quantized"
    print(json.dumps({"seconds": seconds, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def score_on_two_ranks(folder, program):
    """Runs in a process of its own, so that RUSAGE_CHILDREN knows of these ranks alone; prints seconds and bytes."""
    with tempfile.TemporaryDirectory() as rows:
        row = pathlib.Path(rows) / "row.jsonl"
        row.write_text(json.dumps({"id": "0", "input_ids": [1, 2]}) + "\n")
        start = time.perf_counter()
        subprocess.run(["launch/local_mpi.sh", "mpirun", "-np", str(RANKS), program, "score", "--model", folder, "--quantization", "nf4", "--input", str(row),
                        "--output", str(row) + ".out"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}))


def in_a_process(what, folder, program):
    done = subprocess.run([sys.executable, __file__, "--only", what, "--folder", folder, "--program", program], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default="/tmp/llama_1b")
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--build", default="build")
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        score_on_two_ranks(options.folder, options.program) if options.only == "ours" else load_with_bitsandbytes(options.folder)
        return
    program = str(pathlib.Path(options.build) / "lora_dist")
    folder = pathlib.Path(options.folder)
    if not (folder / "config.json").exists():
        write_model(folder, options.layers)
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        with open(file, "rb") as opened:
            while opened.read(1 << 24):
                pass
    ours, theirs = [], []
    for _ in range(options.passes):
        ours.append(in_a_process("ours", options.folder, program))
        theirs.append(in_a_process("theirs", options.folder, program))
    our_best, their_best = (min(one["seconds"] for one in side) for side in (ours, theirs))
    print(f"{sum(file.stat().st_size for file in files) / 1e9:.1f} GB in fp32 to NF4, best of {options.passes} passes that take turns\n")
    print("| | seconds | largest process, MiB |\n|---|---|---|")
    print(f"| lora_dist, {RANKS} ranks of one thread, with its start and a row scored | {our_best:.1f} | {max(one['bytes'] for one in ours) >> 20} |")
    print(f"| transformers + bitsandbytes, {RANKS} threads, without its imports | {their_best:.1f} | {max(one['bytes'] for one in theirs) >> 20} |")
    print(f"| ratio of times | {our_best / their_best:.2f} | |")


if __name__ == "__main__":
    main()
