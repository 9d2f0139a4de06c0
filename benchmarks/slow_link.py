"""Reads what slow_link.sh left: `rate FOLDER` prints the GFLOP/s of a rank alone, `compare FOLDER` waits beside plan's."""

import json
import statistics
import sys
from pathlib import Path

FIRST = 4  # steps left out: they touch memory


def steps(folder: Path, name: str) -> list[dict]:
    lines = (folder / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines][FIRST:]


def rate(folder: Path) -> float:
    flops = json.loads((folder / "work.json").read_text())["step_seconds"]["compute"]  # at 1 GFLOP/s
    return flops / statistics.median(step["seconds"] for step in steps(folder, "alone"))


def compare(folder: Path) -> None:
    planned = json.loads((folder / "plan.json").read_text())["step_seconds"]
    measured = steps(folder, "both")
    print("| wait | measured, ms | share of a step | planned, ms | share of a step | measured / planned |")
    print("|---|---|---|---|---|---|")
    for name, wait, plan in [("base gathers", "base_gather", "base_gather"), ("adapter gradients", "adapter_gradient", "adapter_all_reduce")]:
        seconds = statistics.median(step["waited"][wait] for step in measured)
        share = statistics.median(step["waited"][wait] / step["seconds"] for step in measured)
        planned_share = planned[plan] / planned["total"]
        print(f"| {name} | {1e3 * seconds:.1f} | {100 * share:.1f} % | {1e3 * planned[plan]:.1f} | {100 * planned_share:.1f} % "
              f"| {share / planned_share:.2f} (0.75 to 1.25) |")
    whole = statistics.median(step["seconds"] for step in measured)
    print(f"| step | {1e3 * whole:.1f} | | {1e3 * planned['total']:.1f} | | {whole / planned['total']:.2f} |")


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] == "rate":
        print(f"{rate(folder):.3f}")
    else:
        compare(folder)
