"""Writes adamw.json beside this script: a few updates of torch.optim.AdamW (single-tensor path).

Usage: python make_adamw_golden.py
"""

import json
import pathlib

import torch

torch.manual_seed(7)
runs = []
for lr, betas, eps, weight_decay in [(1e-3, (0.9, 0.999), 1e-8, 0.0), (2e-2, (0.8, 0.95), 1e-6, 0.1)]:
    param = torch.nn.Parameter(torch.randn(6))
    optimizer = torch.optim.AdamW([param], lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=False, fused=False)
    start = param.detach().tolist()
    steps = []
    for i in range(6):
        param.grad = torch.randn(6) * 10.0 ** (-i)
        optimizer.step()
        state = optimizer.state[param]
        steps.append(
            {
                "grad": param.grad.tolist(),
                "param": param.detach().tolist(),
                "m": state["exp_avg"].tolist(),
                "v": state["exp_avg_sq"].tolist(),
            }
        )
    runs.append({"lr": lr, "beta1": betas[0], "beta2": betas[1], "eps": eps, "weight_decay": weight_decay, "start": start, "steps": steps})
out = {"torch": torch.__version__, "runs": runs}
(pathlib.Path(__file__).parent / "adamw.json").write_text(json.dumps(out, indent=1) + "\n")
