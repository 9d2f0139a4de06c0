#!/usr/bin/env python3
"""Text to ids on one thread, this program beside Hugging Face's tokenizers, as a Markdown table.

    pip install tokenizers==0.23.3
    cmake --build build --target tokenizer_benchmark
    python3 benchmarks/tokenizer_speed.py DATA_FOLDER [--corpus datasets/medquad/medquad_qa.jsonl] [--passes 3] [--build build] [NAME ...]

Each of DATA_FOLDER/tokenizers/<NAME>/tokenizer.json (all of them by default) encodes every string of the corpus, one text after another. Passes of
the two programs take turns; the best pass of each counts, in processor time, which other work on the machine disturbs least.
Hugging Face's is asked for ids alone (encode_batch_fast), its quickest way. MB are 10^6 bytes of UTF-8. The script stops where the two disagree on the number of ids.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def texts_of(file):
    text = file.read_bytes().decode("utf-8")
    if file.suffix == ".txt":
        return [text] + text.split("\n\n")
    return [one for line in text.split("\n") if line for one in strings(json.loads(line))]


def ours(program, file, corpus):
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(file.resolve(), pathlib.Path(folder) / "tokenizer.json")  # alone: no configuration that would add tokens
        out = json.loads(subprocess.run([program, folder, corpus, "2"], check=True, capture_output=True, text=True).stdout)
    return out["bytes"], out["ids"], min(out["seconds"])


def theirs(tokenizer, texts):
    start = time.process_time()
    ids = 0
    for begin in range(0, len(texts), 1000):
        ids += sum(len(one.ids) for one in tokenizer.encode_batch_fast(texts[begin:begin + 1000]))
    return ids, time.process_time() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--corpus", default="datasets/medquad/medquad_qa.jsonl")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--build", default="build")
    options = parser.parse_args()
    program = pathlib.Path(options.build) / "benchmarks" / "tokenizer_benchmark"
    corpus = options.data / options.corpus
    texts = texts_of(corpus)
    names = options.names or sorted(one.parent.name for one in (options.data / "tokenizers").glob("*/tokenizer.json"))
    print(f"{options.corpus}, one thread, processor time, tokenizers {tokenizers.__version__}, best of {options.passes} passes\n")
    print("| tokenizer | ids | lora_dist, MB/s | tokenizers, MB/s | ratio |\n|---|---|---|---|---|", flush=True)
    for name in names:
        file = options.data / "tokenizers" / name / "tokenizer.json"
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        our_best = their_best = float("inf")
        for _ in range(options.passes):
            size, our_ids, seconds = ours(program, file, corpus)
            our_best = min(our_best, seconds)
            their_ids, seconds = theirs(tokenizer, texts)
            their_best = min(their_best, seconds)
            assert our_ids == their_ids, f"{name}: {our_ids} ids here, {their_ids} there"
        print(f"| {name} | {our_ids} | {size / our_best / 1e6:.1f} | {size / their_best / 1e6:.1f} | {their_best / our_best:.1f} |", flush=True)


if __name__ == "__main__":
    main()
