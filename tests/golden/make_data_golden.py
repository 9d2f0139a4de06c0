#!/usr/bin/env python3
"""Makes data_samples.json: ids and labels of one row of each format under each template, with Hugging Face's tokenizers.

    pip install tokenizers==0.23.3
    python3 tests/golden/make_data_golden.py

The templates are written out again here. A sample's pieces are tokenised one by one: the first with BOS and the dummy space of tokenizer.json, the
others without (prepend_scheme = never), and EOS (2) is put after a completion. Labels: -100 for prompts and BOS.
"""
import json
import pathlib

import tokenizers

GOLDEN = pathlib.Path(__file__).resolve().parent
DOCUMENT = json.loads((GOLDEN.parents[1] / "demo" / "model" / "tokenizer.json").read_text())
MARKS = [{"id": 512 + i, "content": mark, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
         for i, mark in enumerate(["<|im_start|>", "<|im_end|>"])]

ALPACA = {"instruction": "Name the organ.", "input": "It pumps blood.", "output": "The heart."}
ALPACA_BARE = {"instruction": "Name an organ that pumps.", "input": "", "output": "The heart.\nIt pumps."}
QA = {"question": "What is a stroke?", "answer": "A stroke is  serious."}
CHAT = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"},
                     {"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine, 고마워."}]}
CHAT_OPEN = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}, {"from": "human", "value": "Bye"}]}

NO_INPUT = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n{}\n\n### Response:\n"
INPUT = ("Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes "
         "the request.\n\n### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:\n")

# (prompt or completion, text, EOS after it)
CASES = [
    ("alpaca, input", ALPACA, "alpaca", [(0, INPUT.format("Name the organ.", "It pumps blood."), 0), (1, "The heart.", 1)]),
    ("alpaca, bare", ALPACA_BARE, "alpaca", [(0, NO_INPUT.format("Name an organ that pumps."), 0), (1, "The heart.\nIt pumps.", 1)]),
    ("qa", QA, "qa", [(0, "Question: What is a stroke?\nAnswer:", 0), (1, " A stroke is  serious.", 1)]),
    ("qa, prompt and response", {"prompt": "Hi", "response": "Hello"}, "qa", [(0, "Question: Hi\nAnswer:", 0), (1, " Hello", 1)]),
    ("qa as alpaca", QA, "alpaca", [(0, NO_INPUT.format("What is a stroke?"), 0), (1, "A stroke is  serious.", 1)]),
    ("alpaca as qa", ALPACA, "qa", [(0, "Question: Name the organ.\nIt pumps blood.\nAnswer:", 0), (1, " The heart.", 1)]),
    ("qa as plain", QA, "plain", [(0, "User: What is a stroke?\nAssistant:", 0), (1, " A stroke is  serious.", 1)]),
    ("qa as chatml", QA, "chatml", [(0, "<|im_start|>user\nWhat is a stroke?<|im_end|>\n<|im_start|>assistant\n", 0), (1, "A stroke is  serious.<|im_end|>", 1)]),
    ("chat, plain", CHAT, "plain", [(0, "System: Be brief.\nUser: Hi\nAssistant:", 0), (1, " Hello!", 1), (0, "\nUser: How are you?\nAssistant:", 0), (1, " Fine, 고마워.", 1)]),
    ("chat, chatml", CHAT, "chatml", [(0, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", 0), (1, "Hello!<|im_end|>", 0),
                                      (0, "\n<|im_start|>user\nHow are you?<|im_end|>\n<|im_start|>assistant\n", 0), (1, "Fine, 고마워.<|im_end|>", 1)]),
    ("chat, last word the user's", CHAT_OPEN, "plain", [(0, "User: Hi\nAssistant:", 0), (1, " Hello!", 1), (0, "\nUser: Bye\n", 0)]),
]


def main():
    document = DOCUMENT | {"added_tokens": DOCUMENT["added_tokens"] + MARKS}
    start = tokenizers.Tokenizer.from_str(json.dumps(document))
    on = tokenizers.Tokenizer.from_str(json.dumps(document | {"pre_tokenizer": document["pre_tokenizer"] | {"prepend_scheme": "first"}}))

    def continued(text):
        # "first" puts the dummy space at offset 0 only, where a token that cannot merge now stands and is cut off. After a special
        # token the tokenizer's own scheme holds again.
        cut = min((text.find(mark["content"]) for mark in MARKS if mark["content"] in text), default=len(text))
        before, after = text[:cut], text[cut:]
        return on.encode("<unk>" + before, add_special_tokens=False).ids[1:] + start.encode(after, add_special_tokens=False).ids

    out = []
    for name, row, template, pieces in CASES:
        ids, labels = [], []
        for i, (trained, text, end) in enumerate(pieces):
            piece = start.encode(text).ids if i == 0 else continued(text)
            bos = 1 if i == 0 else 0
            if bos and piece[:2] == [1, 1]:
                piece = piece[1:]
            piece += [2] if end else []
            ids += piece
            labels += [-100] * bos + [t if trained else -100 for t in piece[bos:]]
        out.append({"name": name, "row": row, "template": template, "input_ids": ids, "labels": labels})
    with open(GOLDEN / "data_samples.json", "w", encoding="ascii", newline="\n") as file:
        json.dump({"versions": {"tokenizers": tokenizers.__version__}, "added_tokens": MARKS, "samples": out}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
