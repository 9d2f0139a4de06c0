"""Greedy answers of models with a sliding window, over texts that are several windows long, and of one with longrope, over texts that outgrow
its original positions.

    python make_window_greedy.py [NAME...]

writes families/NAME/greedy.json: prompts, shorter and longer than the window, and the 24 most probable ids after each, every one from a
pass over the whole text so far, without any cache. The script stops unless transformers' generate gives them too, with its cache and
without, or where the best two ids are too near each other to be told apart.
"""

import json
import pathlib
import random
import sys

import torch
import transformers

FAMILIES = pathlib.Path(__file__).resolve().parent / "families"
NAMES = ["mistral_window", "qwen2_window", "exaone4_hybrid", "gemma3", "phi3"]
NEW_TOKENS = 24
LARGEST_GAP_OF_A_TIE = 1e-3  # of two logits; fp32 sums differ by some 1e-6


def whole_text_answer(model, prompt):
    ids = list(prompt)
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            best = torch.topk(model(torch.tensor([ids]), use_cache=False).logits[0, -1], 2)
        if (best.values[0] - best.values[1]).item() < LARGEST_GAP_OF_A_TIE:
            return None
        ids.append(best.indices[0].item())
    return ids[len(prompt):]


def generated(model, prompt, use_cache):
    ids = torch.tensor([prompt])
    made = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS, use_cache=use_cache, pad_token_id=0
    )
    return made[0].tolist()[len(prompt):]


def cases_of(name, seed):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        FAMILIES / name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    model.generation_config.eos_token_id = None
    rng = random.Random(seed)
    cases = []
    for length in (3, 12, 12, 12, 30, 60):
        answer = None
        while answer is None:
            prompt = [1] + [rng.randrange(3, model.config.vocab_size) for _ in range(length - 1)]
            answer = whole_text_answer(model, prompt)
        for use_cache in (True, False):
            if generated(model, prompt, use_cache) != answer:
                raise SystemExit(f"{name}: generate(use_cache={use_cache}) disagrees with the whole text after {prompt}")
        cases.append({"prompt": prompt, "answer": answer})
    return cases


def main():
    torch.set_num_threads(1)
    for seed, name in enumerate(NAMES):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        cases = cases_of(name, seed)
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        (FAMILIES / name / "greedy.json").write_text(f"[{lines}]\n")
        print(name, [case["answer"][-4:] for case in cases])


if __name__ == "__main__":
    main()
