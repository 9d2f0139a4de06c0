"""Writes schedules.json: learning rates of Hugging Face transformers' schedules with warm-up.

Made with transformers 5.23.0 and torch 2.15.0:  python tests/golden/make_schedules.py
"""

import json
import math
import pathlib

import torch
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

CASES = [  # (kind, total steps, warm-up ratio, base rate)
    ("constant", 20, 0.03, 2e-4),
    ("constant", 20, 0.25, 1e-3),
    ("linear", 37, 0.03, 2e-4),
    ("linear", 10, 0.0, 5e-5),
    ("linear", 7, 1.0, 1e-4),
    ("cosine", 50, 0.03, 2e-4),
    ("cosine", 33, 0.1, 2e-3),
    ("cosine", 10, 0.0, 1e-4),
    ("cosine", 1, 0.03, 1e-4),
]


def rates(kind, total, warmup, base):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=base)
    if kind == "constant":
        schedule = get_constant_schedule_with_warmup(optimizer, warmup)
    elif kind == "linear":
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, total)
    else:
        schedule = get_cosine_schedule_with_warmup(optimizer, warmup, total)
    result = []
    for _ in range(total + 2):  # two past the end as well
        result.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return result


cases = []
for kind, total, ratio, base in CASES:
    warmup = math.ceil(total * ratio)  # as TrainingArguments.get_warmup_steps
    cases.append(
        {"kind": kind, "total_steps": total, "warmup_ratio": ratio, "warmup_steps": warmup, "base": base,
         "learning_rates": rates(kind, total, warmup, base)}
    )
path = pathlib.Path(__file__).with_name("schedules.json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
