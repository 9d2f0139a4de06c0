"""Losses per step of a run beside those of a reference, from their metrics.jsonl, as a Markdown table.

    compare_losses.py REFERENCE RUN --limit 1e-2     exit 1 when a step differs by more
    compare_losses.py --falls RUN                    exit 1 unless the last steps are below the first
"""

import argparse
import json
import pathlib
import sys


def losses(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {row["step"]: row["loss"] for row in map(json.loads, lines)}


def shown(steps):
    """About eight of them, the last included."""
    every = max(1, len(steps) // 8)
    return [step for i, step in enumerate(steps) if i % every == 0 or i == len(steps) - 1]


def compare(reference, run, limit):
    left, right = losses(reference), losses(run)
    if not left or sorted(left) != sorted(right):
        print(f"{run.name} has {len(right)} steps, {reference.name} {len(left)}")
        return False
    print(f"| step | {reference.name} | {run.name} | difference |\n|---|---|---|---|")
    for step in shown(sorted(left)):
        print(f"| {step} | {left[step]:.5f} | {right[step]:.5f} | {abs(left[step] - right[step]):.1e} |")
    worst = max(left, key=lambda step: abs(left[step] - right[step]))
    difference = abs(left[worst] - right[worst])
    near = difference <= limit  # False for NaN
    print(f"\nLargest difference of {len(left)} steps: {difference:.1e} at step {worst}; at most {limit:.0e} is allowed: {'yes' if near else 'NO'}")
    return near


def falls(run):
    values = [loss for _, loss in sorted(losses(run).items())]
    last = sum(values[-2:]) / len(values[-2:])
    print(f"Loss of {run.name}: {values[0]:.4f} at the first of {len(values)} steps, {last:.4f} over the last two.\n")
    return last < values[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--falls", action="store_true")
    parser.add_argument("--limit", type=float, default=0.0)
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    given = parser.parse_args()
    good = falls(given.runs[0]) if given.falls else compare(given.runs[0], given.runs[1], given.limit)
    sys.exit(0 if good else 1)


main()
