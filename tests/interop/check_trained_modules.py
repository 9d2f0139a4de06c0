"""Trains LoRA with trained embeddings, heads, norms, tokens and new tokens with lora_dist, and reads the folders back with PEFT.

    python check_trained_modules.py PROGRAM

For each case and model: a few steps of training, then the log-probabilities of `lora_dist score` against those of PEFT with the folder,
and of the folder that `lora_dist merge` writes where it can. With new tokens the base is resized to the tokenizer beside the adapter,
whose ids must be lora_dist's. All in fp32. Prints a table, and ends with 1 where a difference is above 5e-5.
"""

import json
import pathlib
import sys
import tempfile

import peft
import torch
import transformers

from check_interop import GOLDEN, LARGEST, distance, load, rows_of, run, score, train, with_peft, write_data
from golden_rows import log_probs

CASES = {
    "modules_to_save": {"adapter.modules_to_save": '["embed_tokens", "lm_head", "model.norm"]'},
    "modules_to_save of gpt2": {"adapter.modules_to_save": '["lm_head", "ln_f"]'},
    "tied": {"adapter.modules_to_save": '["embed_tokens"]', "adapter.ensure_weight_tying": "true"},
    "tokens": {"adapter.trainable_token_indices": "[7, 40, 3]"},
}
MODELS = {"modules_to_save": ("qwen3",), "modules_to_save of gpt2": ("gpt2",), "tied": ("llama3", "gemma2"),
          "tokens": ("llama3", "qwen3", "gpt2", "gemma2")}
DEMO = GOLDEN.parents[1] / "demo" / "model"
NEW = {"tokenizer.add_tokens": '["<city>", "<dose>"]', "tokenizer.add_special_tokens": '["<|tool|>"]'}


def check(program, settings, name, work):
    load(GOLDEN / "families" / name).save_pretrained(work / "model")  # in fp32, so that merged weights are not rounded
    rows = rows_of(GOLDEN / "families" / name)
    adapter = train(program, work / "model", write_data(work, rows), work / "run", {"adapter.r": "4", "adapter.target_modules": "all-linear", **settings})
    ours = score(program, work / "model", rows, work, "--adapter", str(adapter))
    result = {"PEFT": distance(ours, with_peft(work / "model", adapter, rows)),
              "moved": distance(ours, log_probs(load(work / "model"), rows))}
    if name != "gpt2" or "adapter.modules_to_save" not in settings:  # whose head has left its embedding
        run(program, "merge", "--model", str(work / "model"), "--adapter", str(adapter), "--quantization", "none", "--output", str(work / "merged"))
        result["merged"] = distance(ours, log_probs(load(work / "merged"), rows))
    return result


def check_new_tokens(program, settings, work):
    """On the demo's model, which has a tokenizer."""
    texts = [f"The girl number {i} went to <city> and took <dose> <|tool|> home." for i in range(6)]
    (work / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    adapter = train(program, DEMO, work / "train.jsonl", work / "run",
                    {"adapter.r": "4", "adapter.target_modules": "all-linear", **NEW, **settings})
    tokenizer = transformers.AutoTokenizer.from_pretrained(adapter)
    (work / "in.jsonl").write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts)))
    run(program, "score", "--model", str(DEMO), "--adapter", str(adapter), "--compute-dtype", "fp32", "--backend", "cpu",
        "--input", str(work / "in.jsonl"), "--output", str(work / "out.jsonl"))
    lines = [json.loads(line) for line in (work / "out.jsonl").read_text().splitlines()]
    rows = [line["input_ids"] for line in lines]
    assert rows == [tokenizer(text)["input_ids"] for text in texts], "other ids than transformers with the tokenizer beside the adapter"
    assert all(tokenizer.convert_tokens_to_ids(token) in rows[0] for token in ("<city>", "<dose>", "<|tool|>"))
    assert "<|tool|>" not in tokenizer.decode(rows[0], skip_special_tokens=True) and "<city>" in tokenizer.decode(rows[0], skip_special_tokens=True)
    model = load(DEMO)
    model.resize_token_embeddings(len(tokenizer))
    ours = [line["logprobs"][1:] for line in lines]
    theirs = log_probs(peft.PeftModel.from_pretrained(model, str(adapter)).eval(), rows)
    return {"PEFT": distance(ours, theirs), "vocabulary": len(tokenizer)}


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    program = str(pathlib.Path(sys.argv[1]).resolve())
    runs = [(case, name, lambda work, case=case, name=name: check(program, CASES[case], name, work)) for case in CASES for name in MODELS[case]]
    runs += [("new tokens", "demo", lambda work: check_new_tokens(program, {}, work)),
             ("new tokens, saved", "demo", lambda work: check_new_tokens(
                 program, {"adapter.modules_to_save": '["embed_tokens"]', "adapter.ensure_weight_tying": "true"}, work))]
    wrong = []
    for case, name, make in runs:
        with tempfile.TemporaryDirectory() as work:
            result = make(pathlib.Path(work))
        print(f"{case:24} {name:8}", ", ".join(f"{key} {value:.1e}" for key, value in result.items()), flush=True)
        if max(value for key, value in result.items() if key not in ("moved", "vocabulary")) > LARGEST or result.get("moved", 1) < 0.01:
            wrong.append(f"{case} {name}")
    if wrong:
        raise SystemExit(f"further than {LARGEST} apart, or not trained at all: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
