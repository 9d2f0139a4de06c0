"""Two tiny random Llamas of unusual shapes as Hugging Face folders, with their log-probabilities and LoRA gradients.

    python make_tiny_llama.py

writes tiny_llama_bias/ and tiny_llama_head_dim/ beside this script; see README.md.
"""

import json
import math
import pathlib
import random
import shutil

import peft
import safetensors.torch
import torch
import transformers

import golden_rows
import nf4_base

HERE = pathlib.Path(__file__).resolve().parent
VOCABULARY = 131
SHAPE = dict(
    hidden_size=48, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, intermediate_size=100,
    vocab_size=VOCABULARY, tie_word_embeddings=False, attention_bias=True, max_position_embeddings=2048,
    rms_norm_eps=1e-5, bos_token_id=1,
)
# With these, the rotary frequencies fall on all three sides of llama3's rule: kept, blended, divided by the factor.
ROPE_THETA = 500000.0
ROPE_SCALING = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}
MODELS = {  # folder: (seed, keys of its own, which form of config.json it ships)
    "tiny_llama_bias": (3, dict(eos_token_id=2, mlp_bias=False), "v4"),
    "tiny_llama_head_dim": (4, dict(eos_token_id=[2, 3], mlp_bias=True, head_dim=12), "v5"),
}


def fill_random(model, seed):
    """Spread enough that a wrong bias, norm or rotation moves the log-probabilities by far more than rounding."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif "norm" in name:
                parameter.copy_(1.0 + 0.3 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(noise)
            else:
                parameter.copy_(noise * 1.2 / math.sqrt(parameter.shape[1]))


def v4_form(config):
    """The keys as transformers 4 wrote them."""
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype")}
    old["rope_theta"] = ROPE_THETA
    old["rope_scaling"] = ROPE_SCALING
    old["torch_dtype"] = config["dtype"]
    old["transformers_version"] = "4.46.0"
    if old.get("head_dim") == SHAPE["hidden_size"] // SHAPE["num_attention_heads"]:
        del old["head_dim"]  # derived, as in files that do not have the key
    return old


def save_model(folder, seed, keys, ships):
    """bf16, two shards and an index; config.json in the form `ships`, the other form as config_v4.json or config_v5.json."""
    config = transformers.LlamaConfig(
        **SHAPE, **keys, rope_parameters={**ROPE_SCALING, "rope_theta": ROPE_THETA}, dtype="bfloat16"
    )
    model = transformers.LlamaForCausalLM(config).float()
    fill_random(model, seed)
    model = model.to(torch.bfloat16)
    half = sum(parameter.numel() for parameter in model.parameters())  # bytes of half the weights
    model.save_pretrained(str(folder), max_shard_size=half + 16000)
    (folder / "generation_config.json").unlink(missing_ok=True)
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(shards) != 2:
        raise SystemExit(f"{folder.name}: {len(shards)} shards, not 2")
    v5 = json.loads((folder / "config.json").read_text())
    forms = {"v5": v5, "v4": v4_form(v5)}
    for name, form in forms.items():
        target = "config.json" if name == ships else f"config_{name}.json"
        (folder / target).write_text(json.dumps(form, indent=2, sort_keys=True) + "\n")


def load(folder, config_file):
    config = transformers.LlamaConfig.from_pretrained(str(folder / config_file))
    return transformers.LlamaForCausalLM.from_pretrained(
        str(folder), config=config, dtype=torch.float32, attn_implementation="eager"
    )


def check_forms(folder, row):
    """Both forms of config.json must mean the same model to transformers."""
    logits = []
    for path in sorted(folder.glob("config*.json")):
        with torch.no_grad():
            logits.append(load(folder, path.name)(input_ids=torch.tensor([row["input_ids"]])).logits)
    if len(logits) != 2 or not torch.equal(*logits):
        raise SystemExit(f"{folder.name}: the two forms of config.json differ")


def make_rows(seed):
    rng = random.Random(seed)
    rows = []
    for name, length in (("short", 9), ("middle", 70), ("long", 300)):
        rows.append({"id": name, "input_ids": [1] + [rng.randrange(3, VOCABULARY) for _ in range(length - 1)]})
    ids = rows[1]["input_ids"][:40]
    rows.append({"id": "part_trained", "input_ids": ids, "labels": [-100] * 15 + ids[15:30] + [-100] * 2 + ids[32:]})
    return rows


def add_adapter(folder, model, seed):
    """An all-linear adapter with A and B both random, saved as PEFT does."""
    model = peft.get_peft_model(
        model,
        peft.LoraConfig(
            r=4, lora_alpha=8, lora_dropout=0.0, target_modules=list(nf4_base.BLOCK_LINEARS), task_type="CAUSAL_LM"
        ),
    )
    generator = torch.Generator().manual_seed(100 + seed)
    for _, parameter in sorted(
        (pair for pair in model.named_parameters() if pair[1].requires_grad), key=lambda pair: pair[0]
    ):
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 / math.sqrt(parameter.shape[1]))
    model.save_pretrained(str(folder / "adapter"))
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    path = folder / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = folder.name
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return model


def adapter_gradient(model, rows):
    """Gradient of the sum of the token losses of all rows over their number of target tokens; and that loss."""
    labels = [row.get("labels", row["input_ids"]) for row in rows]
    count = sum(label != -100 for row in labels for label in row[1:])
    loss = 0.0
    for row, row_labels in zip(rows, labels):
        part = model(
            input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row_labels]), num_items_in_batch=count
        ).loss
        part.backward()
        loss += part.item()
    gradient = {
        name.replace(".default.", "."): parameter.grad.contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    return loss, count, gradient


def main():
    for name, (seed, keys, ships) in MODELS.items():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        save_model(folder, seed, keys, ships)
        rows = make_rows(seed)
        golden_rows.write_input(rows, folder / "score_input.jsonl")
        check_forms(folder, rows[1])

        model = load(folder, "config.json")
        scores = golden_rows.score(model, rows, {"quantization": "none", "adapter": None})
        golden_rows.write_scores(scores, folder / "logprobs_fp32.json")
        model = add_adapter(folder, model, seed)
        tuned = golden_rows.score(model, rows, {"quantization": "none", "adapter": "adapter"})
        loss, count, gradient = adapter_gradient(model, rows)
        tuned["gradient"] = {"loss_all_rows": loss, "target_tokens_all_rows": count}
        golden_rows.write_scores(tuned, folder / "logprobs_fp32_adapter.json")
        safetensors.torch.save_file(gradient, folder / "adapter_gradient.safetensors", {"format": "pt"})
        norm = sum((value.double() ** 2).sum() for value in gradient.values()).sqrt().item()
        print(name, [round(row["loss"], 4) for row in scores["rows"]], [round(row["loss"], 4) for row in tuned["rows"]],
              "gradient norm", norm, scores["oracle_against_itself"])


if __name__ == "__main__":
    main()
