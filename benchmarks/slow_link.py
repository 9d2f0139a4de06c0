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


def wait_for_slower(step: dict) -> float:
    """What the two ranks wait for gradients, on average, because one computes longer; plan takes ranks to be equal. It is known where
    no gathers make the ranks meet before: step = slower + transfer, and mean wait = transfer + (slower - faster) / 2."""
    if step["waited"]["base_gather"] > 0.0:
        return 0.0
    half = (1.0 - 1.0 / step["slowest_ratio"]) / 2.0
    return step["waited"]["adapter_gradient"] - (step["waited"]["adapter_gradient"] - half * step["seconds"]) / (1.0 - half)


def compare(folder: Path, name: str) -> None:
    planned = json.loads((folder / "plan.json").read_text())["step_seconds"]
    measured = steps(folder, "both")
    slower = statistics.median(map(wait_for_slower, measured))
    for step in measured:
        step["waited"]["adapter_gradient"] -= wait_for_slower(step)
    for part, wait, plan in WAITS:
        seconds = statistics.median(step["waited"][wait] for step in measured)
        share = statistics.median(step["waited"][wait] / step["seconds"] for step in measured)
        planned_share = planned[plan] / planned["total"]
        if planned[plan] > 0.0 or seconds > 0.0:
            ratio = f"{share / planned_share:.2f} (0.75 to 1.25)" if planned[plan] > 0.0 else "none is planned"
            print(f"| {name} | {part} | {1e3 * seconds:.1f} | {100 * share:.1f} % | {1e3 * planned[plan]:.1f} "
                  f"| {100 * planned_share:.1f} % | {ratio} |")
    if slower > 0.0:
        print(f"| {name} | the slower rank | {1e3 * slower:.1f} | | | | |")
    whole = statistics.median(step["seconds"] for step in measured)
    print(f"| {name} | step | {1e3 * whole:.1f} | | {1e3 * planned['total']:.1f} | | |", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "head":
        head()
    elif sys.argv[1] == "rate":
        print(f"{rate(Path(sys.argv[2])):.3f}")
    else:
        compare(Path(sys.argv[2]), sys.argv[3])
