"""Eight steps of bottleneck adapters of the adapters library (1.3.0, with transformers 4.57.6) on tiny models, as make_methods.py.

    python make_bottlenecks.py

reads families/BASE/ and writes methods/bottleneck_PLACEMENT_BASE/ beside this script; see README.md.
"""

import json
import pathlib
import shutil

import adapters
import bitsandbytes.functional as bnb_functional
import torch
import transformers
from transformers.pytorch_utils import Conv1D

import golden_rows

HERE = pathlib.Path(__file__).resolve().parent
CASES = (("pfeiffer", "llama3"), ("pfeiffer", "qwen3"), ("pfeiffer", "gpt2"), ("houlsby", "llama3"), ("houlsby", "gpt2"), ("parallel", "llama3"))
CONFIGS = {"pfeiffer": "seq_bn", "houlsby": "double_seq_bn", "parallel": "par_bn"}
STEPS, GLOBAL_BATCH, LEARNING_RATE, REDUCTION = 8, 4, 2e-3, 8
NAME = "golden"


def quantize_base(model):
    """As make_families.py."""
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)) and name != "lm_head":
            weight = module.weight.data
            weight = weight.T.contiguous() if isinstance(module, Conv1D) else weight
            codes, state = bnb_functional.quantize_4bit(
                weight.reshape(-1).clone(), blocksize=64, compress_statistics=False, quant_type="nf4"
            )
            restored = bnb_functional.dequantize_4bit(codes, state).reshape(weight.shape)
            module.weight.data = restored.T.contiguous() if isinstance(module, Conv1D) else restored


def load_base(base, quantization, golden):
    """Throws unless this older transformers reads the model as that of families/."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        HERE / "families" / base, torch_dtype=torch.float32, attn_implementation="eager"
    ).eval()
    if quantization == "nf4":
        quantize_base(model)
    for ours, theirs in zip(golden_rows.log_probs(model, golden["rows"]), golden[quantization]["logprobs"]):
        assert max(abs(a - b) for a, b in zip(ours, theirs)) < 2e-5
    return model


def trained(model):
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def start(model):
    """Every trained tensor moves off its initial value, so that no gradient begins at zero."""
    generator = torch.Generator().manual_seed(4321)
    for _, parameter in sorted(trained(model), key=lambda pair: pair[0]):
        with torch.no_grad():
            parameter.add_((torch.rand(parameter.shape, generator=generator) - 0.5) * 0.1)


def save(model, folder, base):
    model.save_adapter(str(folder), NAME, use_safetensors=True)
    for head in folder.glob("*head*"):
        head.unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["model_name"] = base
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def train(model, rows):
    """As make_families.py."""
    model.train()
    optimizer = torch.optim.AdamW([p for _, p in trained(model)], lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        batch = rows[step * GLOBAL_BATCH : (step + 1) * GLOBAL_BATCH]
        count = sum(label != -100 for row in batch for label in row["labels"][1:])
        optimizer.zero_grad()
        total = 0.0
        for row in batch:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"][1:]), reduction="sum") / count
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    model.eval()
    return losses


def log_probs(model, rows):
    return [golden_rows.rounded(row) for row in golden_rows.log_probs(model.eval(), rows)]


def make(placement, base):
    folder = HERE / "methods" / f"bottleneck_{placement}_{base}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = json.loads((HERE / "families" / base / "golden.json").read_text())
    settings = {
        "adapter.method": "bottleneck", "adapter.bottleneck.placement": placement, "adapter.bottleneck.reduction": str(REDUCTION),
    }
    golden = {"method": "bottleneck", "base": base, "settings": settings}
    for quantization in ("none", "nf4"):
        torch.manual_seed(7)
        model = load_base(base, quantization, given)
        adapters.init(model)
        model.add_adapter(NAME, config=adapters.AdapterConfig.load(CONFIGS[placement], reduction_factor=REDUCTION))
        model.train_adapter(NAME)
        if quantization == "none":
            golden["trainable"] = f"trainable params: {sum(p.numel() for _, p in trained(model)):,} "
        start(model)
        save(model, folder / f"init_{quantization}", base)
        part = {"logprobs_init": log_probs(model, given["rows"])}
        part["losses"] = train(model, given["training_rows"])
        save(model, folder / f"adapter_{quantization}", base)
        part["logprobs"] = log_probs(model, given["rows"])
        golden[quantization] = part
        print(f"{placement:10} {base:8} {quantization:5}", [round(loss, 4) for loss in part["losses"]])
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")


def main():
    torch.set_num_threads(1)
    for placement, base in CASES:
        make(placement, base)


if __name__ == "__main__":
    main()
