"""Eight steps of LoRA in PEFT with trained embeddings, heads, norms and tokens: start and end of the adapter, losses, log-probabilities.

    python make_trained_modules.py [NAME...]

reads families/BASE/ and writes methods/NAME_BASE/ beside this script; see README.md.
"""

import json
import shutil
import sys

import peft
import torch

import make_families
from make_methods import HERE, load_base, log_probs, save, start

NEW_TOKENS = 3
FLOAT_BASE_ALONE = ("saved_tied", "saved_new_tokens")  # to keep the files small
WITH_TABLES = "new_tokens_llama3"  # as PEFT saves by default where the vocabulary has grown: with the whole tables


def lora(base, **more):
    return peft.LoraConfig(r=2, lora_alpha=4, task_type="CAUSAL_LM", target_modules=["c_attn"] if base == "gpt2" else ["q_proj", "v_proj"],
                           **({"fan_in_fan_out": True} if base == "gpt2" else {}), **more)


def new_ids(base):
    vocabulary = json.loads((HERE / "families" / base / "config.json").read_text())["vocab_size"]
    return list(range(vocabulary, vocabulary + NEW_TOKENS))


# name: {base: PEFT's configuration}
CASES = {
    "saved": {
        "qwen3": lambda base: lora(base, modules_to_save=["embed_tokens", "lm_head", "model.norm"]),
        "gpt2": lambda base: lora(base, modules_to_save=["lm_head", "ln_f"]),  # no longer the embedding's rows
    },
    "saved_tied": {
        "gemma2": lambda base: lora(base, modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    },
    "tokens": {
        "llama3": lambda base: lora(base, trainable_token_indices=[90, 5, 17]),
        "gpt2": lambda base: lora(base, trainable_token_indices=[90, 5, 17]),
        "gemma2": lambda base: lora(base, trainable_token_indices=[90, 5, 17]),
        "qwen3": lambda base: lora(base, trainable_token_indices={"embed_tokens": [90, 5, 17], "lm_head": [5, 91]}),
    },
    "new_tokens": {
        "llama3": lambda base: lora(base, trainable_token_indices=new_ids(base)),
        "qwen3": lambda base: lora(base, trainable_token_indices={"embed_tokens": new_ids(base), "lm_head": new_ids(base)}),
    },
    "saved_new_tokens": {
        "qwen3": lambda base: lora(base, modules_to_save=["embed_tokens", "lm_head"]),
    },
}


def grow(model, base):
    """New rows are the mean of the old ones."""
    model.resize_token_embeddings(new_ids(base)[-1] + 1, mean_resizing=False)
    for table in (model.get_input_embeddings(), model.get_output_embeddings()):
        with torch.no_grad():
            table.weight[-NEW_TOKENS:] = table.weight[:-NEW_TOKENS].mean(0)
            if model.config.tie_word_embeddings:
                break


def with_tokens(rows, ids):
    """Some tokens of the rows become `ids`, so that these are read and predicted."""
    made = json.loads(json.dumps(rows))
    for i, row in enumerate(made):
        sequence = row["input_ids"] if isinstance(row, dict) else row
        for j in range(1, len(sequence)):
            if (i + j) % 3 == 0:
                sequence[j] = ids[(i + j) // 3 % len(ids)]
        if isinstance(row, dict):
            row["labels"] = [new if label != -100 else -100 for new, label in zip(sequence, row["labels"])]
    return made


def make(name, base):
    folder = HERE / "methods" / f"{name}_{base}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = json.loads((HERE / "families" / base / "golden.json").read_text())
    ids = new_ids(base) if "new_tokens" in name else [90, 5, 17, 91]
    golden = {"method": name, "base": base, "rows": with_tokens(given["rows"], ids), "training_rows": with_tokens(given["training_rows"], ids)}
    for quantization in ("none",) if name in FLOAT_BASE_ALONE else ("none", "nf4"):
        torch.manual_seed(7)  # of PEFT's own first values
        model = load_base(base, quantization)
        if "new_tokens" in name:
            grow(model, base)
        model.name_or_path = model.config._name_or_path = str(HERE / "families" / base)
        model = peft.get_peft_model(model, CASES[name][base](base))
        start(model)
        if quantization == "none":  # the same start for both
            golden["trainable"] = make_families.trainable_line(model)
            save(model, folder / "init", base, save_embedding_layers=False)
        part = {"logprobs_init": log_probs(model, golden["rows"])}
        part["losses"] = make_families.train(model, golden["training_rows"])
        tables = "auto" if folder.name == WITH_TABLES and quantization == "none" else False
        save(model, folder / f"adapter_{quantization}", base, save_embedding_layers=tables)
        part["logprobs"] = log_probs(model, golden["rows"])
        golden[quantization] = part
        print(f"{name:18} {base:8} {quantization:5}", [round(loss, 4) for loss in part["losses"]])
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")


def main():
    torch.set_num_threads(1)
    for name, bases in CASES.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            for base in bases:
                make(name, base)


if __name__ == "__main__":
    main()
