"""Eight steps of AdamW on every weight of tiny models, with weight decay and clipping: losses, gradient norms, changed weights.

    python make_full.py

reads families/BASE/ and writes full/NAME.json and full/NAME.safetensors beside this script; see README.md.
"""

import json
import pathlib
import re

import safetensors.torch
import torch

import make_families
import make_methods

HERE = pathlib.Path(__file__).resolve().parent
WEIGHT_DECAY, MAX_GRAD_NORM = 0.1, 1.0
# name: (base, patterns of the trained tensors; empty: all)
VARIANTS = {
    "llama3": ("llama3", []),
    "qwen3": ("qwen3", []),
    "gpt2": ("gpt2", []),
    "llama3_part": ("llama3", [r"model\.layers\.1\..*", r"model\.embed_tokens\.weight", r"model\.norm\.weight"]),
}


def named_tensors(model):
    """A tied head is the embedding."""
    return dict(model.named_parameters())


def train(model, rows, trained):
    """As make_families.train, with clipping and weight decay."""
    optimizer = torch.optim.AdamW(
        trained.values(), lr=make_families.LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY
    )
    losses, norms = [], []
    for step in range(make_families.STEPS):
        batch = rows[step * make_families.GLOBAL_BATCH : (step + 1) * make_families.GLOBAL_BATCH]
        count = sum(label != -100 for row in batch for label in row["labels"][1:])
        optimizer.zero_grad()
        total = 0.0
        for row in batch:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"][1:]), reduction="sum") / count
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(trained.values(), MAX_GRAD_NORM).item())
        optimizer.step()
        losses.append(total)
    return losses, norms


def make(name):
    base, patterns = VARIANTS[name]
    given = json.loads((HERE / "families" / base / "golden.json").read_text())
    model = make_methods.load_base(base, "none")
    trained = {}
    for tensor, parameter in named_tensors(model).items():
        parameter.requires_grad_(not patterns or any(re.fullmatch(pattern, tensor) for pattern in patterns))
        if parameter.requires_grad:
            trained[tensor] = parameter
    before = {tensor: parameter.detach().clone() for tensor, parameter in trained.items()}
    losses, norms = train(model, given["training_rows"], trained)
    changes = {tensor: (trained[tensor].detach() - start).to(torch.float16) for tensor, start in before.items()}
    safetensors.torch.save_file(changes, HERE / "full" / f"{name}.safetensors", metadata={"format": "pt"})
    golden = {
        "base": base, "trainable": patterns, "weight_decay": WEIGHT_DECAY, "max_grad_norm": MAX_GRAD_NORM,
        "trained": sum(parameter.numel() for parameter in trained.values()), "losses": losses, "grad_norms": norms,
    }
    (HERE / "full" / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{name:12}", golden["trained"], [round(loss, 4) for loss in losses], [round(norm, 3) for norm in norms])


def main():
    torch.set_num_threads(1)
    (HERE / "full").mkdir(exist_ok=True)
    for name in VARIANTS:
        make(name)


if __name__ == "__main__":
    main()
