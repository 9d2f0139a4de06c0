"""Tokens per second of runs side by side, from their metrics.jsonl, as a Markdown table: throughput.py RUN..."""

import json
import pathlib
import statistics
import sys


def main():
    first = None
    print("| run | tokens of a step | tokens/s (median) | beside the first |\n|---|---|---|---|")
    for folder in map(pathlib.Path, sys.argv[1:]):
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        rows = rows[2:] or rows  # the first steps choose algorithms
        rate = statistics.median(row["tokens_per_second"] for row in rows)
        first = first or rate
        tokens = statistics.median(row["tokens"] for row in rows)
        print(f"| {folder.name} | {tokens:.0f} | {rate:.0f} | {rate / first:.2f} |")


main()
