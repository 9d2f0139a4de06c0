"""Log-probabilities of stories260K by transformers: fp32 base, NF4, FP4 with and without double quantization, int8.

    python make_logits.py BASE_MODEL_FOLDER REFERENCE_FOLDER [NAME...]

makes those named, or all. REFERENCE_FOLDER holds reference_run_c.json and story0.txt. Writes stories260k/ beside this script; see README.md.
"""

import json
import pathlib
import random
import shutil
import sys

import torch
import transformers

import golden_rows
import nf4_base

OUT = pathlib.Path(__file__).resolve().parent / "stories260k"
BASES = {
    "fp32": ("none", False), "nf4": ("nf4", False), "nf4_double": ("nf4", True),
    "fp4": ("fp4", False), "fp4_double": ("fp4", True), "int8": ("int8", False),
}
FEW_ROWS = ("fp4", "fp4_double", "int8")  # the first two rows are enough where nf4 has them all


def make_rows(tokenizer, reference, story):
    rng = random.Random(11)
    short = tokenizer("Lily and Tom saw a big")["input_ids"]
    story_ids = tokenizer(story)["input_ids"]
    half = len(story_ids) // 2
    return [
        {"id": "short", "input_ids": short},
        {"id": "story0", "input_ids": story_ids},
        {"id": "story0_second_half_trained", "input_ids": story_ids, "labels": [-100] * half + story_ids[half:]},
        {"id": "greedy", "input_ids": reference["greedy_from_bos"]["ids"]},
        {"id": "random_512", "input_ids": [1] + [rng.randrange(3, 512) for _ in range(511)]},
    ]


def check_against_run_c(scores, last_logits_of_bos, reference):
    """Another implementation altogether (llama2.c, fp32): the two must agree before either is called golden."""
    logits = max(abs(a - b) for a, b in zip(last_logits_of_bos, reference["greedy_from_bos"]["logits_pos0"]))
    by_id = {row["id"]: row for row in scores["rows"]}
    greedy = by_id["greedy"]
    same = greedy["argmax"][:-1] == greedy["input_ids"][1:]
    nll = max(abs(a + b) for a, b in zip(by_id["story0"]["logprobs"][1:], reference["teacher_forced"]["nll"]))
    same = same and by_id["story0"]["input_ids"] == reference["teacher_forced"]["ids"]
    print(f"against run.c: BOS logits {logits:.2e}, story0 token losses {nll:.2e}, ids equal {same}, "
          f"story0 loss {by_id['story0']['loss']:.9f}")
    if logits > 2e-5 or nll > 2e-5 or not same:
        raise SystemExit("transformers and run.c disagree")


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    base_folder, reference_folder = sys.argv[1], pathlib.Path(sys.argv[2])
    OUT.mkdir(exist_ok=True)
    for name in ("reference_run_c.json", "story0.txt"):
        if reference_folder.resolve() != OUT:
            shutil.copyfile(reference_folder / name, OUT / name)
    reference = json.loads((OUT / "reference_run_c.json").read_text())
    rows = make_rows(
        transformers.AutoTokenizer.from_pretrained(base_folder), reference, (OUT / "story0.txt").read_text()
    )
    golden_rows.write_input(rows, OUT / "score_input.jsonl")
    for name, (quantization, double_quant) in BASES.items():
        if sys.argv[3:] and name not in sys.argv[3:]:
            continue
        torch.set_num_threads(1)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            base_folder, dtype=torch.float32, attn_implementation="eager"
        )
        facts = nf4_base.quantize_base(model, double_quant) if quantization == "nf4" else {}
        if quantization in ("fp4", "int8"):
            nf4_base.replace_base(model, quantization, double_quant)
        about = {"quantization": quantization, "double_quant": double_quant, "quantized_base": facts}
        scores = golden_rows.score(model, rows[:2] if name in FEW_ROWS else rows, about)
        golden_rows.write_scores(scores, OUT / f"logprobs_{name}.json")
        print(name, [round(row["loss"], 6) for row in scores["rows"]], scores["oracle_against_itself"])
        if name == "fp32":
            with torch.no_grad():
                bos = model(input_ids=torch.tensor([[1]])).logits[0, -1].tolist()
            check_against_run_c(scores, bos, reference)


if __name__ == "__main__":
    main()
