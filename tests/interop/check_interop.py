"""Trains adapters with lora_dist on tiny models, and reads them back with PEFT and transformers; and PEFT's with lora_dist.

    python check_interop.py PROGRAM [RESULTS.md]

For each model: a few steps of training; then the log-probabilities of `lora_dist score` against those of PEFT with our adapter, and of the
folder that `lora_dist merge` writes against those of transformers. Then adapters that PEFT saves with patterns of ranks and alphas and so
on: scored as they are, and trained further and read back. Then adapters on some linears of a base in NF4, merged onto what that base
stands for, against PEFT on weights that went through bitsandbytes. Last, GGUF files that `merge` makes folders of. All in fp32. Prints tables (and writes them to RESULTS.md), and ends with 1
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
sys.path.insert(0, str(GOLDEN))
import make_families  # noqa: E402
from golden_rows import log_probs  # noqa: E402

LARGEST = 5e-5  # fp32 sums over two or three layers
# folder below tests/golden, quantization of the base
MODELS = [
    ("families/llama3", "none"), ("families/mistral_window", "none"), ("families/qwen2_window", "none"), ("families/qwen3", "none"),
    ("families/gemma", "none"), ("families/gpt2", "none"), ("families/gpt_neox_parallel", "none"),
    ("families/exaone4_hybrid", "none"), ("tiny_llama_bias", "none"),
    ("prequantized/llama_nf4_nested", "nf4"), ("prequantized/gpt2_fp4_in_bf16", "fp4"), ("prequantized/qwen2_fp4_nested_in_f32", "fp4"),
]

# folder, what it is for, options of PEFT's LoraConfig
PEFT_ADAPTERS = [
    ("families/llama3", "patterns, rsLoRA, regular expression", dict(
        r=4, lora_alpha=6, use_rslora=True, target_modules=r".*\.(q|v|down)_proj",
        rank_pattern={r"layers\.1\..*": 2, "q_proj": 3}, alpha_pattern={"layers.0.self_attn.v_proj": 12, "down_proj": 5})),
    ("families/qwen2_window", "layers_to_transform", dict(
        r=4, lora_alpha=8, target_modules=["q_proj", "gate_proj"], layers_to_transform=[0, 2], layers_pattern="layers")),
    ("families/mistral_window", "whole paths", dict(
        r=2, lora_alpha=8, target_modules=["model.layers.1.self_attn.q_proj", "model.layers.0.mlp.up_proj"])),
    ("families/gpt2", "fan_in_fan_out, patterns", dict(
        r=4, lora_alpha=8, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True,
        rank_pattern={"attn.c_proj": 2, "c_proj": 5}, alpha_pattern={r"h\.[01]\.mlp\.c_proj": 3})),
    ("families/gpt_neox_parallel", "all-linear", dict(r=3, lora_alpha=7, target_modules="all-linear")),
]

# folders that are trained on in NF4, with adapters on some of the blocks' linears
PARTLY_ADAPTED = [
    ("families/llama3", ["q_proj", "v_proj"]), ("families/mistral_window", ["o_proj"]), ("families/gemma", ["down_proj", "k_proj"]),
    ("families/gpt2", ["c_attn"]), ("families/gpt_neox_parallel", ["query_key_value"]),
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


def train(program, folder, data, output, adapter, quantization="none"):
    settings = {
        "model.path": str(folder), "adapter.dropout": "0", **adapter, "data.train": json.dumps([str(data)]), "data.validation_split": "0",
        "data.max_length": "64", "data.packing": "false", "train.max_steps": "6", "train.epochs": "100", "train.global_batch": "3",
        "train.learning_rate": "1e-2", "train.schedule": "constant", "train.warmup_ratio": "0", "checkpoint.every": "0",
        "output.dir": str(output),
    }
    if not folder.parent.name == "prequantized":
        settings.update({"model.quantization": quantization, "model.double_quant": "false"})
    run(program, "train", *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")))
    return output / "adapter"


def score(program, model, rows, work, *more):
    (work / "in.jsonl").write_text("".join(json.dumps({"id": i, "input_ids": ids}) + "\n" for i, ids in enumerate(rows)))
    run(program, "score", "--model", str(model), "--compute-dtype", "fp32", "--backend", "cpu", "--input", str(work / "in.jsonl"),
        "--output", str(work / "out.jsonl"), *more)
    return [json.loads(line)["logprobs"][1:] for line in (work / "out.jsonl").read_text().splitlines()]


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, device_map="cpu", attn_implementation="eager"
    ).eval()


def distance(ours, theirs):
    """The largest; not a number counts as infinitely far."""
    pairs = [(a, b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)]
    return max(abs(a - b) if math.isfinite(a - b) else math.inf for a, b in pairs)


def write_data(work, rows):
    (work / "train.jsonl").write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in rows if len(ids) > 2))
    return work / "train.jsonl"


def with_peft(folder, adapter, rows):
    return log_probs(peft.PeftModel.from_pretrained(load(folder), str(adapter)).eval(), rows)


def check_peft_adapter(program, name, options, work):
    """An adapter that PEFT makes, B random too: scored by lora_dist, then trained on and read back."""
    folder = GOLDEN / name
    rows = rows_of(folder)
    torch.manual_seed(7)
    model = peft.get_peft_model(load(folder), peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **options))
    model.save_pretrained(work / "theirs", save_embedding_layers=False)
    theirs = with_peft(folder, work / "theirs", rows)
    result = {"scored": distance(score(program, folder, rows, work, "--adapter", str(work / "theirs")), theirs)}
    ours = train(program, folder, write_data(work, rows), work / "run", {"adapter.init_from": str(work / "theirs")})
    tuned = with_peft(folder, ours, rows)
    result["trained"] = distance(score(program, folder, rows, work, "--adapter", str(ours)), tuned)
    result["moved"] = distance(theirs, tuned)
    return result


def check(program, name, work):
    folder = GOLDEN / name
    rows = rows_of(folder)
    data = write_data(work, rows)
    adapter = train(program, folder, data, work / "run",
                    {"adapter.r": "4", "adapter.alpha": "8", "adapter.target_modules": "all-linear"})
    base = log_probs(load(folder), rows)
    tuned = with_peft(folder, adapter, rows)
    result = {"adapter": distance(score(program, folder, rows, work, "--adapter", str(adapter)), tuned)}
    result["moved"] = distance(base, tuned)
    merged = work / "merged"
    quantization = () if folder.parent.name == "prequantized" else ("--quantization", "none")
    run(program, "merge", "--model", str(folder), "--adapter", str(adapter), *quantization, "--output", str(merged))
    result["merged"] = distance(score(program, merged, rows, work), log_probs(load(merged), rows))
    return result


def check_partly_adapted(program, name, targets, work):
    """Trained on NF4 and merged onto what that stands for: as PEFT on a base whose every block linear went through bitsandbytes."""
    rows = rows_of(GOLDEN / name)
    load(GOLDEN / name).save_pretrained(work / "model")  # in fp32, so that merged weights are not rounded
    adapter = train(program, work / "model", write_data(work, rows), work / "run",
                    {"adapter.r": "4", "adapter.alpha": "8", "adapter.target_modules": json.dumps(targets)}, "nf4")
    base = load(work / "model")
    make_families.quantize_base(base)
    unadapted = log_probs(base, rows)
    tuned = log_probs(peft.PeftModel.from_pretrained(base, str(adapter)).eval(), rows)
    result = {"moved": distance(unadapted, tuned)}
    run(program, "merge", "--model", str(work / "model"), "--adapter", str(adapter), "--double-quant", "false",
        "--output", str(work / "merged"))
    result["merged"] = distance(tuned, log_probs(load(work / "merged"), rows))
    result["scored"] = distance(tuned, score(program, work / "merged", rows, work))
    return result


def check_gguf_as_folder(program, name, golden, work):
    """A GGUF file of llama.cpp's converter that `merge` makes a folder of: in transformers as the model that the file was made of."""
    run(program, "merge", "--model", str(GOLDEN / "gguf" / f"{name}.gguf"), "--adapter", str(GOLDEN / "families" / name / "adapter_init"),
        "--quantization", "none", "--output", str(work / "folder"))  # B is zero
    return distance(log_probs(load(work / "folder"), golden["rows"]), golden["none"]["logprobs"])


def table(results, of_peft, partly, of_gguf):
    lines = [
        f"transformers {transformers.__version__}, PEFT {peft.__version__}, bitsandbytes {bitsandbytes.__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}; fp32 on a CPU. Largest differences of log-probabilities.",
        "",
        "| model | base | adapter in PEFT | merged in transformers | what training moved |",
        "|---|---|---|---|---|",
    ]
    for (name, base), result in results:
        lines.append(f"| {name} | {base} | {result['adapter']:.1e} | {result['merged']:.1e} | {result['moved']:.2f} |")
    lines += ["", "| PEFT's adapter of | with | in lora_dist | trained further, in PEFT | what training moved |", "|---|---|---|---|---|"]
    for (name, purpose, _), result in of_peft:
        lines.append(f"| {name} | {purpose} | {result['scored']:.1e} | {result['trained']:.1e} | {result['moved']:.2f} |")
    lines += ["", "| on NF4 | adapted | PEFT on bitsandbytes' weights, and merged in transformers | and in lora_dist | what training moved |",
              "|---|---|---|---|---|"]
    for (name, targets), result in partly:
        lines.append(f"| {name} | {', '.join(targets)} | {result['merged']:.1e} | {result['scored']:.1e} | {result['moved']:.2f} |")
    lines += ["", "| GGUF file of llama.cpp's converter | made a folder, in transformers |", "|---|---|"]
    lines += [f"| {name} | {difference:.1e} |" for name, difference in of_gguf]
    return "\n".join(lines) + "\n"


def reads_its_own_codes():
    """Whether bitsandbytes gives back what its codes stand for. 0.50.2 does not on processors with AVX-512, of matrices whose rows are no
    whole number of blocks, as those of these models are."""
    torch.manual_seed(1)
    codes, state = bitsandbytes.functional.quantize_4bit(torch.randn(8, 48), quant_type="nf4", compress_statistics=False)
    numbers = torch.stack([codes.flatten() >> 4, codes.flatten() & 15], dim=1).flatten().long()
    meant = (state.code[numbers].reshape(-1, 64) * state.absmax[:, None]).reshape(8, 48)
    return torch.allclose(bitsandbytes.functional.dequantize_4bit(codes, state), meant)


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    program = str(pathlib.Path(sys.argv[1]).resolve())
    results, of_peft, partly = [], [], []
    sound = reads_its_own_codes()
    if not sound:
        print(f"bitsandbytes {bitsandbytes.__version__} misreads its own codes on this processor: quantized bases are left out")
    for model in (model for model in MODELS if sound or model[1] == "none"):
        with tempfile.TemporaryDirectory() as work:
            results.append((model, check(program, model[0], pathlib.Path(work))))
    for adapter in PEFT_ADAPTERS:
        with tempfile.TemporaryDirectory() as work:
            of_peft.append((adapter, check_peft_adapter(program, adapter[0], adapter[2], pathlib.Path(work))))
    for case in PARTLY_ADAPTED if sound else []:
        with tempfile.TemporaryDirectory() as work:
            partly.append((case, check_partly_adapted(program, *case, pathlib.Path(work))))
    of_gguf = []
    for name, golden in json.loads((GOLDEN / "gguf" / "families.json").read_text()).items():
        if name != "nemotron":  # whose file is of a narrower model than its adapter
            with tempfile.TemporaryDirectory() as work:
                of_gguf.append((name, check_gguf_as_folder(program, name, golden, pathlib.Path(work))))
    text = table(results, of_peft, partly, of_gguf)
    print(text, end="")
    if sys.argv[2:]:
        pathlib.Path(sys.argv[2]).write_text("# Read back by PEFT and transformers\n\n`make interop PYTHON=...`\n\n" + text)
    wrong = [
        model[0] for model, result in results + of_peft + partly
        if not max(value for key, value in result.items() if key != "moved") <= LARGEST or result["moved"] < 0.01
    ]
    wrong += [name for name, difference in of_gguf if not difference <= LARGEST]
    if wrong:
        raise SystemExit(f"further than {LARGEST} apart, or not trained at all: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
