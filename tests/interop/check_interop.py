"""Trains adapters with lora_dist on tiny models, and reads them back with PEFT and transformers.

    python check_interop.py PROGRAM [RESULTS.md]

For each model: a few steps of training; then the log-probabilities of `lora_dist score` against those of PEFT with our adapter, and of the
folder that `lora_dist merge` writes against those of transformers, all in fp32. Prints a table (and writes it to RESULTS.md), and ends with 1
where a difference is above 5e-5.
"""

import json
import math
import pathlib
import platform
import subprocess
import sys
import tempfile

import bitsandbytes
import peft
import torch
import transformers

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
LARGEST = 5e-5  # fp32 sums over two or three layers
# folder below tests/golden, quantization of the base
MODELS = [
    ("families/llama3", "none"), ("families/mistral_window", "none"), ("families/qwen2_window", "none"), ("families/qwen3", "none"),
    ("families/gemma", "none"), ("families/gpt2", "none"), ("families/gpt_neox_parallel", "none"),
    ("families/exaone4_hybrid", "none"), ("tiny_llama_bias", "none"),
    ("prequantized/llama_nf4_nested", "nf4"), ("prequantized/gpt2_fp4_in_bf16", "fp4"), ("prequantized/qwen2_fp4_nested_in_f32", "fp4"),
]


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}\nended with {done.returncode}: {done.stderr}")


def rows_of(folder):
    """Ids to train on and to score: those that the golden numbers of the folder have."""
    if (folder / "golden.json").exists():
        return json.loads((folder / "golden.json").read_text())["rows"]
    return [json.loads(line)["input_ids"] for line in (folder / "score_input.jsonl").read_text().splitlines()]


def train(program, folder, data, output):
    settings = {
        "model.path": str(folder), "adapter.r": "4", "adapter.alpha": "8", "adapter.dropout": "0",
        "adapter.target_modules": "all-linear", "data.train": json.dumps([str(data)]), "data.validation_split": "0",
        "data.max_length": "64", "data.packing": "false", "train.max_steps": "6", "train.epochs": "100", "train.global_batch": "3",
        "train.learning_rate": "1e-2", "train.schedule": "constant", "train.warmup_ratio": "0", "checkpoint.every": "0",
        "output.dir": str(output),
    }
    if not folder.parent.name == "prequantized":
        settings["model.quantization"] = "none"
    run(program, "train", *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")))
    return output / "adapter"


def score(program, model, rows, work, *more):
    (work / "in.jsonl").write_text("".join(json.dumps({"id": i, "input_ids": ids}) + "\n" for i, ids in enumerate(rows)))
    run(program, "score", "--model", str(model), "--compute-dtype", "fp32", "--backend", "cpu", "--input", str(work / "in.jsonl"),
        "--output", str(work / "out.jsonl"), *more)
    return [json.loads(line)["logprobs"][1:] for line in (work / "out.jsonl").read_text().splitlines()]


def log_probs(model, rows):
    scores = []
    for ids in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double()
        given = torch.log_softmax(logits, dim=-1)
        scores.append([given[i - 1, ids[i]].item() for i in range(1, len(ids))])
    return scores


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, device_map="cpu", attn_implementation="eager"
    ).eval()


def distance(ours, theirs):
    """The largest; not a number counts as infinitely far."""
    pairs = [(a, b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)]
    return max(abs(a - b) if math.isfinite(a - b) else math.inf for a, b in pairs)


def check(program, name, work):
    folder = GOLDEN / name
    rows = rows_of(folder)
    data = work / "train.jsonl"
    data.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in rows if len(ids) > 2))
    adapter = train(program, folder, data, work / "run")
    base = log_probs(load(folder), rows)
    tuned = log_probs(peft.PeftModel.from_pretrained(load(folder), str(adapter)).eval(), rows)
    result = {"adapter": distance(score(program, folder, rows, work, "--adapter", str(adapter)), tuned)}
    result["moved"] = distance(base, tuned)
    merged = work / "merged"
    quantization = () if folder.parent.name == "prequantized" else ("--quantization", "none")
    run(program, "merge", "--model", str(folder), "--adapter", str(adapter), *quantization, "--output", str(merged))
    result["merged"] = distance(score(program, merged, rows, work), log_probs(load(merged), rows))
    return result


def table(results):
    lines = [
        f"transformers {transformers.__version__}, PEFT {peft.__version__}, bitsandbytes {bitsandbytes.__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}; fp32 on a CPU. Largest differences of log-probabilities.",
        "",
        "| model | base | adapter in PEFT | merged in transformers | what training moved |",
        "|---|---|---|---|---|",
    ]
    for (name, base), result in results:
        lines.append(f"| {name} | {base} | {result['adapter']:.1e} | {result['merged']:.1e} | {result['moved']:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    results = []
    for model in MODELS:
        with tempfile.TemporaryDirectory() as work:
            results.append((model, check(str(pathlib.Path(sys.argv[1]).resolve()), model[0], pathlib.Path(work))))
    text = table(results)
    print(text, end="")
    if sys.argv[2:]:
        pathlib.Path(sys.argv[2]).write_text("# Read back by PEFT and transformers\n\n`make interop PYTHON=...`\n\n" + text)
    wrong = [model[0] for model, result in results if not max(result["adapter"], result["merged"]) <= LARGEST or result["moved"] < 0.01]
    if wrong:
        raise SystemExit(f"further than {LARGEST} apart, or not trained at all: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
