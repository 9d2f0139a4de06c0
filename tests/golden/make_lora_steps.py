"""Ten steps of LoRA training by transformers + PEFT on a small Llama: losses, gradient norms, adapters and gradients.

    python make_lora_steps.py BASE_MODEL_FOLDER

writes lora_steps/ beside this script. README.md says what each file holds.
"""

import gc
import json
import math
import pathlib
import sys

import bitsandbytes
import peft
import safetensors.torch
import torch
import transformers

import lora_steps_data
import nf4_base

OUT = pathlib.Path(__file__).resolve().parent / "lora_steps"
BASE_NAME = "demo/model"  # what adapter_config.json says of its base
STEPS = 10
GLOBAL_BATCH = 8
TRAINING = {
    "steps": STEPS, "global_batch": GLOBAL_BATCH, "learning_rate": 2e-3, "schedule": "constant", "warmup_steps": 0,
    "optimizer": "adamw", "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "max_grad_norm": 1.0,
    "r": 8, "lora_alpha": 16, "lora_dropout": 0.0,
}
TARGETS = {"qv": ["q_proj", "v_proj"], "all_linear": list(nf4_base.BLOCK_LINEARS)}
VARIANTS = {  # name: (targets, quantization, double quantization)
    "fp32_qv": ("qv", "none", False),
    "fp32_all_linear": ("all_linear", "none", False),
    "nf4_all_linear": ("all_linear", "nf4", False),
    "nf4_double_all_linear": ("all_linear", "nf4", True),
}
GRADIENT_VARIANT = "fp32_all_linear"


def load_base(folder, quantization, double_quant):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    facts = nf4_base.quantize_base(model, double_quant) if quantization == "nf4" else {}
    return model, facts


def adapter_parameters(model):
    """(name as in an adapter file, parameter), in the model's order."""
    return [
        (name.replace(".default.", "."), parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def fill_initial(model):
    """A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), drawn in order of name from one generator; B zero."""
    generator = torch.Generator().manual_seed(1234)
    for name, parameter in sorted(adapter_parameters(model), key=lambda pair: pair[0]):
        with torch.no_grad():
            if "lora_A" in name:
                bound = 1.0 / math.sqrt(parameter.shape[1])
                parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2.0 - 1.0) * bound)
            else:
                parameter.zero_()


def save_adapter(model, folder):
    """PEFT's own writer; then the two things that depend on the run (path of the base, order of a set) are made fixed."""
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = BASE_NAME
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def new_adapter(base, targets):
    model = peft.get_peft_model(
        base,
        peft.LoraConfig(
            r=TRAINING["r"], lora_alpha=TRAINING["lora_alpha"], lora_dropout=TRAINING["lora_dropout"],
            target_modules=TARGETS[targets], bias="none", task_type="CAUSAL_LM",
        ),
    )
    fill_initial(model)
    return model


def target_tokens(rows):
    return sum(label != -100 for row in rows for label in row["labels"][1:])


def backward_by_row(model, rows):
    """One row per pass, no padding. Returns the loss: the sum of the token losses over the number of target tokens."""
    count = target_tokens(rows)
    total = 0.0
    for row in rows:
        loss = model(
            input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]]), num_items_in_batch=count
        ).loss
        if torch.is_grad_enabled():
            loss.backward()
        total += loss.item()
    return total


def backward_padded(model, rows):
    """The whole batch in one pass, padded on the right: the same numbers up to rounding."""
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(values, filler):
        return torch.tensor([value + [filler] * (longest - len(value)) for value in values])

    loss = model(
        input_ids=padded([row["input_ids"] for row in rows], 0),
        attention_mask=padded([[1] * len(row["input_ids"]) for row in rows], 0),
        labels=padded([row["labels"] for row in rows], -100),
        num_items_in_batch=target_tokens(rows),
    ).loss
    loss.backward()
    return loss.item()


def train(folder, variant, rows, backward=backward_by_row, threads=1):
    """Trains from the initial adapter. Returns the model, the step records and the first step's gradient."""
    targets, quantization, double_quant = VARIANTS[variant]
    torch.set_num_threads(1)  # bitsandbytes' mean of the absmax depends on the number of threads
    base, facts = load_base(folder, quantization, double_quant)
    torch.set_num_threads(threads)
    model = new_adapter(base, targets)
    model.train()
    parameters = [parameter for _, parameter in adapter_parameters(model)]
    optimizer = torch.optim.AdamW(
        parameters, lr=TRAINING["learning_rate"], betas=(TRAINING["beta1"], TRAINING["beta2"]), eps=TRAINING["eps"],
        weight_decay=TRAINING["weight_decay"],
    )
    records = []
    first_gradient = None
    for step in range(STEPS):
        batch = rows[step * GLOBAL_BATCH : (step + 1) * GLOBAL_BATCH]
        optimizer.zero_grad()
        loss = backward(model, batch)
        if step == 0:
            first_gradient = gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(parameters, TRAINING["max_grad_norm"]).item()
        optimizer.step()
        records.append(
            {
                "step": step + 1, "loss": loss, "grad_norm": norm, "learning_rate": optimizer.param_groups[0]["lr"],
                "tokens": sum(len(row["input_ids"]) for row in batch), "target_tokens": target_tokens(batch),
            }
        )
    torch.set_num_threads(1)
    return model, records, first_gradient, facts


def gradients(model):
    return {name: parameter.grad.clone().contiguous() for name, parameter in adapter_parameters(model)}


def difference(run, other):
    """The largest distances between two runs of one variant."""
    (model_a, records_a), (model_b, records_b) = run, other
    pairs = zip(adapter_parameters(model_a), adapter_parameters(model_b))
    return {
        "loss": max(abs(a["loss"] - b["loss"]) for a, b in zip(records_a, records_b)),
        "grad_norm_relative": max(abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in zip(records_a, records_b)),
        "adapter": max((a - b).abs().max().item() for (_, a), (_, b) in pairs),
    }


def write_json(value, path):
    path.write_text(json.dumps(value, indent=1) + "\n")


def reload_check(folder, variant, adapter_folder, batch, expected):
    """PEFT must read the folder back and give the same loss."""
    _, quantization, double_quant = VARIANTS[variant]
    base, _ = load_base(folder, quantization, double_quant)
    model = peft.PeftModel.from_pretrained(base, str(adapter_folder))
    with torch.no_grad():
        loss = backward_by_row(model, batch)
    if abs(loss - expected) > 1e-6:
        raise SystemExit(f"{variant}: {adapter_folder.name} read back gives {loss}, not {expected}")


def make_variant(folder, variant, rows):
    targets, quantization, double_quant = VARIANTS[variant]
    model, records, first_gradient, facts = train(folder, variant, rows)
    threads2 = train(folder, variant, rows, threads=2)
    padded = train(folder, variant, rows, backward=backward_padded)
    save_adapter(model, OUT / variant / "final")

    last_batch = rows[-GLOBAL_BATCH:]
    model.zero_grad()
    loss_last_batch = backward_by_row(model, last_batch)
    if variant == GRADIENT_VARIANT:
        safetensors.torch.save_file(first_gradient, OUT / variant / "gradient_step1.safetensors", {"format": "pt"})
        safetensors.torch.save_file(gradients(model), OUT / variant / "gradient_final.safetensors", {"format": "pt"})
    with torch.no_grad():
        loss_all = backward_by_row(model, rows)
    reload_check(folder, variant, OUT / f"init_{targets}", rows[:GLOBAL_BATCH], records[0]["loss"])
    reload_check(folder, variant, OUT / variant / "final", last_batch, loss_last_batch)

    write_json(
        {
            "variant": variant,
            "quantization": quantization,
            "double_quant": double_quant,
            "target_modules": TARGETS[targets],
            "init_from": f"init_{targets}",
            "training": TRAINING,
            "steps": records,
            "after": {
                "loss_last_batch": loss_last_batch, "loss_all_rows": loss_all, "target_tokens_all_rows": target_tokens(rows)
            },
            "oracle_against_itself": {
                "threads_1_and_2": difference((model, records), threads2[:2]),
                "rows_alone_and_padded": difference((model, records), padded[:2]),
            },
            "quantized_base": facts,
        },
        OUT / variant / "losses.json",
    )
    print(variant, [round(record["loss"], 4) for record in records], [round(r["grad_norm"], 3) for r in records])


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = sys.argv[1]
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    rows = lora_steps_data.make_rows(transformers.AutoTokenizer.from_pretrained(folder))
    lora_steps_data.write_rows(rows, OUT / "train.jsonl")
    for targets in TARGETS:
        model = new_adapter(load_base(folder, "none", False)[0], targets)
        save_adapter(model, OUT / f"init_{targets}")
    for variant in VARIANTS:
        make_variant(folder, variant, rows)
        gc.collect()
    print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__,
          "bitsandbytes", bitsandbytes.__version__)


if __name__ == "__main__":
    main()
