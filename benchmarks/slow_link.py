"""Reads what slow_link.sh left: `rate FOLDER` prints the GFLOP/s of a rank, `compare FOLDER NAME` its waits beside plan's."""

import json
import statistics
import sys
from pathlib import Path

FIRST = 4  # steps left out: they touch memory
WAITS = [("base gathers", "base_gather", "base_gather"), ("adapter gradients", "adapter_gradient", "adapter_all_reduce")]


def steps(folder: Path, name: str) -> list[dict]:
    lines = (folder / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines][FIRST:]


def rate(folder: Path) -> float:
    flops = json.loads((folder / "work.json").read_text())["step_seconds"]["compute"]  # at 1 GFLOP/s
    alone = steps(folder, "alone_0") + steps(folder, "alone_1")
    return flops / statistics.median(step["seconds"] for step in alone)


def head() -> None:
    print("| case | part of a step | measured, ms | share | planned, ms | share | measured / planned share |")
    print("|---|---|---|---|---|---|---|")


def compare(folder: Path, name: str) -> None:
    planned = json.loads((folder / "plan.json").read_text())["step_seconds"]
    measured = steps(folder, "both")
    whole = statistics.median(step["seconds"] for step in measured)
    for part, wait, plan in WAITS:
        seconds = statistics.median(step["waited"][wait] for step in measured)
        share = statistics.median(step["waited"][wait] / step["seconds"] for step in measured)
        planned_share = planned[plan] / planned["total"]
        if planned[plan] > 0.0 or seconds > 0.0:
            ratio = f"{share / planned_share:.2f} (0.75 to 1.25)" if planned[plan] > 0.0 else "none is planned"
            print(f"| {name} | {part} | {1e3 * seconds:.1f} | {100 * share:.1f} % | {1e3 * planned[plan]:.1f} "
                  f"| {100 * planned_share:.1f} % | {ratio} |")
    print(f"| {name} | step | {1e3 * whole:.1f} | | {1e3 * planned['total']:.1f} | | |", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "head":
        head()
    elif sys.argv[1] == "rate":
        print(f"{rate(Path(sys.argv[2])):.3f}")
    else:
        compare(Path(sys.argv[2]), sys.argv[3])
