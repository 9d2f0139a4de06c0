"""Trains adapters of each method with lora_dist on tiny models, and reads them back with PEFT.

    python check_methods.py PROGRAM

For each method and model: a few steps of training, then the log-probabilities of `lora_dist score` against those of PEFT with the folder,
and against those of the folder that `lora_dist merge` writes; AdaLoRA also exported as plain LoRA. All in fp32. Prints a table, and ends with 1 where a
difference is above 5e-5.
"""

import json
import pathlib
import sys
import tempfile

import torch
import transformers

from check_interop import GOLDEN, LARGEST, distance, load, rows_of, run, score, train, with_peft, write_data
from golden_rows import log_probs

METHODS = {
    "dora": {"adapter.r": "4"},
    "ia3": {},
    "vera": {"adapter.r": "8", "adapter.vera.projection_key": "3"},
    "vera, projections drawn": {"adapter.r": "8", "adapter.vera.projection_key": "4", "adapter.vera.save_projection": "false"},
    "adalora": {"adapter.adalora.init_r": "4", "adapter.adalora.target_r": "2", "adapter.adalora.tfinal": "2"},
}
MODELS = ("llama3", "qwen3", "gpt2")


def check(program, method, settings, name, work):
    folder = GOLDEN / "families" / name
    load(folder).save_pretrained(work / "model")  # in fp32, so that merged weights are not rounded
    rows = rows_of(folder)
    adapter = train(program, work / "model", write_data(work, rows), work / "run",
                    {"adapter.method": method.split(",")[0], "adapter.target_modules": "all-linear", **settings})
    ours = score(program, work / "model", rows, work, "--adapter", str(adapter))
    result = {"PEFT": distance(ours, with_peft(work / "model", adapter, rows)),
              "moved": distance(ours, log_probs(load(work / "model"), rows))}
    run(program, "merge", "--model", str(work / "model"), "--adapter", str(adapter), "--quantization", "none", "--output", str(work / "merged"))
    result["merged"] = distance(ours, log_probs(load(work / "merged"), rows))
    if method == "adalora":
        run(program, "export", "--for", "peft", "--adapter", str(adapter), "--model", str(work / "model"), "--output", str(work / "lora"))
        config = json.loads((work / "lora" / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA" and json.loads((adapter / "adapter_config.json").read_text())["rank_pattern"]
        result["as LoRA"] = distance(ours, with_peft(work / "model", work / "lora", rows))
    return result


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    program = str(pathlib.Path(sys.argv[1]).resolve())
    wrong = []
    for method, settings in METHODS.items():
        for name in MODELS:
            with tempfile.TemporaryDirectory() as work:
                result = check(program, method, settings, name, pathlib.Path(work))
            print(f"{method:24} {name:8}", ", ".join(f"{key} {value:.1e}" for key, value in result.items()), flush=True)
            if max(value for key, value in result.items() if key != "moved") > LARGEST or result["moved"] < 0.01:
                wrong.append(f"{method} {name}")
    if wrong:
        raise SystemExit(f"further than {LARGEST} apart, or not trained at all: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
