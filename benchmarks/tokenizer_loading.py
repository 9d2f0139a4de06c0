#!/usr/bin/env python3
"""From a tokenizer.json to a tokenizer, this program beside Hugging Face's tokenizers, as a Markdown table.

    pip install tokenizers==0.23.3
    cmake --build build --target tokenizer_loading_benchmark
    python3 benchmarks/tokenizer_loading.py [--passes 5] [--build build] MODEL_FOLDER|FILE.gguf ...

Ours is open_tokenizer (all files of the folder), and of it reading the JSON file into tables; theirs is Tokenizer.from_file. Passes of the two programs
take turns, and the best pass of each counts: seconds, and processor seconds in parentheses. Files are read once before, so that they are in memory. Of a
GGUF file there is only our time.
"""
import argparse
import json
import os
import pathlib
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers


def ours(program, path):
    out = json.loads(subprocess.run([program, path, "1"], check=True, capture_output=True, text=True).stdout)
    return out["tokens"], out["open"][0], (out["json"] or [None])[0]


def theirs(path):
    start, processor = time.perf_counter(), time.process_time()
    tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    return [time.perf_counter() - start, time.process_time() - processor]


def best(passes):
    passes = [one for one in passes if one]
    return f"{min(one[0] for one in passes):.3f} ({min(one[1] for one in passes):.3f})" if passes else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--build", default="build")
    options = parser.parse_args()
    program = pathlib.Path(options.build) / "benchmarks" / "tokenizer_loading_benchmark"
    print(f"best of {options.passes} passes, seconds (processor seconds), tokenizers {tokenizers.__version__}\n")
    print("| tokenizer | MB | tokens | lora_dist | of which JSON | tokenizers |\n|---|---|---|---|---|---|", flush=True)
    for path in options.paths:
        file = path / "tokenizer.json" if path.is_dir() else path
        size = len(file.read_bytes())
        opened, parsed, other = [], [], []
        for _ in range(options.passes):
            tokens, one, reading = ours(program, path)
            opened.append(one)
            parsed.append(reading)
            other.append(theirs(path) if path.is_dir() else None)
        print(f"| {path.name} | {size / 1e6:.1f} | {tokens} | {best(opened)} | {best(parsed)} | {best(other)} |", flush=True)


if __name__ == "__main__":
    main()
