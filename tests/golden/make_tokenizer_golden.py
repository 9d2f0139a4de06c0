#!/usr/bin/env python3
"""Makes tokenizer_json.json and tokenizer_model.json: what Hugging Face's libraries give for demo/model's two tokenizer files.

    pip install transformers==5.24.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
    python3 tests/golden/make_tokenizer_golden.py json
    python3 tests/golden/make_tokenizer_golden.py model

json: tokenizers.Tokenizer on tokenizer.json and on variants of it (other pre-tokenizer, normalizer and decoder forms of the Llama family, added
tokens). model: transformers' AutoTokenizer on a folder with tokenizer.model and a tokenizer_config.json: LlamaTokenizer, legacy on and off, and no class.
Inputs are hexadecimal bytes; bytes that are not UTF-8 were decoded with errors="replace" for the oracle.
"""
import json
import pathlib
import random
import shutil
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).resolve().parent
MODEL = GOLDEN.parents[1] / "demo" / "model"

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n ", "a", " a", "a ", "  a", "a  ", " a ", "a b", "a  b", "a   b",
    "Once upon a time", " Once upon a time", "Once upon a time ", "Once upon a time, there was a little girl named Lily.",
    "Hello, world!", "HELLO WORLD", "hElLo", "1234567890", "3.14159", "1,000,000", "a1b2c3", "don't", "it's \"quoted\"", "e-mail@x.org",
    "https://example.org/a?b=c&d=e#f", "line one\nline two\n\nline four", "tab\tseparated\tvalues", "trailing newline\n", "\nleading newline",
    "x = y + z; // code\n    return 0;", "{\"key\": [1, 2, {\"a\": null}]}", "<html><body>text</body></html>", "\\n \\t \\\\",
    "café", "cafe\u0301", "naïve façade", "Ångström", "e\u0301\u0323", "\u0301", "\u00a0", "a\u00a0b", "\u2003em space", "\u3000ideographic space",
    "안녕하세요", "당뇨병의 증상은 무엇인가요?", "한국어 문장 하나. 또 하나!", "가", "각", "\u1112\u1161\u11ab", "日本語テキスト", "中文文本", "Привет, мир", "שלום", "مرحبا بالعالم", "สวัสดี",
    "😀", "👍🏽", "👨‍👩‍👧‍👦", "🇰🇷", "I ❤️ you", "smile 😀 again 😀", "🦙", "\U0001F999\U0001F999",
    "\u2581", "\u2581a", "a\u2581b", " \u2581a", "\u2581\u2581a", "a \u2581 b", "\u0000", "a\u0000b", "\u0001\u0002\u007f", "\u200b", "\ufeff", "\ufffd", "\ufffe",
    "<s>", "</s>", "<unk>", "<s> a", "<s>a", "a<s>", "a <s> b", "a<s>b", "<s><s>", "a</s></s>b", "</s> a </s>", "<s>Once upon a time</s>", "< s >", "<s", "s>", "<S>",
    "<0x0A>", "<0x41>", "<0x0a>", "<0xZZ>", "<|im_start|>", "[INST] hi [/INST]",
    "   leading three", "    four", "end three   ", "mixed \t \n  white", "word\u2028separator", "a\u0085b", "\u1680x",
    "ab" * 40, "a" * 100, " " * 50, "ha" * 33 + " " + "ho" * 33, "the the the the", "thethethethe", "ttttthhhheeee", "\n" * 17, "😀" * 9,
    "What are the symptoms of Adult Acute Lymphoblastic Leukemia ?", "Treatment may involve fluid restriction (SIADH), 5 mg/day.",
    "The prevalence is unknown; 1 in 100,000 people.", "β-thalassemia", "5 µg ± 2 %", "Sjögren’s syndrome – “dry eyes”…", "T₄ and T³", "½ tablet", "−40 °C",
]
BYTES = [b"\xff", b"a\xffb", b"\xc3", b"\xc3(", b"\xe2\x96", b"\xe2\x96x", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\xf0\x9f", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80",
         b"\xe0\x80\xaf", b"\xf4\x90\x80\x80", b"ok \x80\x81 ok", b"\xf0\x80x", b"\xe2\x28\xa1"]


def random_texts():
    chance = random.Random(7)
    alphabet = list("abcdefghijklmnopqrstuvwxyzABCDE     \n\t.,!?'\"0123") + ["the", " and", "é", "가", "😀", "\u2581", "<s>", "</s>", "  "]
    return ["".join(chance.choice(alphabet) for _ in range(chance.randrange(1, 120))) for _ in range(40)]


def variants(document):
    """tokenizer.json of the Llama family in its other forms, by name, as edits of the top level."""
    underline = "\u2581"
    metaspace = {"type": "Metaspace", "replacement": underline}
    legacy = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": underline},
                                                                   {"type": "Replace", "pattern": {"String": " "}, "content": underline}]},
              "pre_tokenizer": None}
    added = document["added_tokens"] + [
        {"id": 512, "content": "<|im_start|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True},
        {"id": 513, "content": "<|left|>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False, "special": True},
        {"id": 514, "content": "<|right|>", "single_word": False, "lstrip": False, "rstrip": True, "normalized": False, "special": False},
        {"id": 515, "content": "a time", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False},
        {"id": 516, "content": "<|im_start|>user", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]
    unk = dict(document["model"], unk_token="<unk>", byte_fallback=False)
    across = json.loads(json.dumps(document["model"]))
    size = max(across["vocab"].values()) + 1
    for left, right in (("e", "\u2581"), ("e\u2581", "a"), ("n", "\u2581"), ("n\u2581", "\u2581")):
        across["vocab"][left + right] = max(across["vocab"].values()) + 1
    across["merges"] = [["e", "\u2581"], ["e\u2581", "a"], ["n", "\u2581"], ["n\u2581", "\u2581"]] + across["merges"]
    eos = json.loads(json.dumps(document["post_processor"]))
    eos["single"] = eos["single"] + [{"SpecialToken": {"id": "</s>", "type_id": 0}}]
    eos["special_tokens"]["</s>"] = {"id": "</s>", "ids": [2], "tokens": ["</s>"]}
    return {
        "as it is": {},
        "first": {"pre_tokenizer": dict(metaspace, prepend_scheme="first", split=False)},
        "never": {"pre_tokenizer": dict(metaspace, prepend_scheme="never", split=False)},
        "split": {"pre_tokenizer": dict(metaspace, prepend_scheme="always", split=True)},
        "old": {"pre_tokenizer": dict(metaspace, add_prefix_space=True)},
        "prepend and replace": legacy,
        "added": {"added_tokens": added},
        "prepend, replace, added": dict(legacy, added_tokens=added),
        "no bytes, fused unk": {"model": dict(unk, fuse_unk=True)},
        "no bytes, single unk": {"model": dict(unk, fuse_unk=False)},
        "tokens across words": {"model": across},
        "ignore merges": {"model": dict(document["model"], ignore_merges=True)},
        "eos": {"post_processor": eos},
        "no template": {"post_processor": None},
        "metaspace decoder": {"decoder": dict(metaspace, prepend_scheme="always", split=False)},
        "no decoder": {"decoder": None},
    }


def cases(data, encode, decode):
    out = []
    for raw in data:
        text = raw.decode("utf-8", errors="replace")
        ids = encode(text, True)
        case = {"bytes": raw.hex(), "ids": ids, "plain_ids": encode(text, False)}
        if decode:
            case |= {"text": decode(ids, True), "full_text": decode(ids, False)}
        out.append(case)
    return out


def json_golden(everything, some):
    import tokenizers

    document = json.loads((MODEL / "tokenizer.json").read_text())
    out = []
    for name, edits in variants(document).items():
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document | edits))
        encode = lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids
        decode = lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip)
        out.append({"name": name, "edits": edits, "cases": cases(everything if name == "as it is" else some, encode, decode)})
    return {"versions": {"tokenizers": tokenizers.__version__}, "variants": out}


def model_golden(everything, some):
    import transformers

    out = []
    llama = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}
    for config in (llama | {"legacy": True}, llama | {"legacy": False}, {"add_bos_token": True}):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(MODEL / "tokenizer.model", folder)
            (pathlib.Path(folder) / "config.json").write_text(json.dumps({"model_type": "llama"}))
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        encode = lambda text, special: tokenizer.encode(text, add_special_tokens=special)
        decode = lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip)
        out.append({"config": config, "cases": cases(everything if not out else some, encode, decode)})
    return {"versions": {"transformers": transformers.__version__}, "variants": out}


def main():
    story = (GOLDEN / "stories260k" / "story0.txt").read_bytes()
    everything = [text.encode() for text in FIXED] + BYTES + [text.encode() for text in random_texts()] + [story, story * 3]
    some = [text.encode() for text in FIXED[::3] + ["a <|left|> b <|right|>  c", "x  <|left|><|right|>  <|left|>y", "<|im_start|>user\nhi", "<|im_start|> user",
                                                     "once upon a time", "a time", " a time", "<s>a time", "a  time", "<|im_start|>a time"]] + BYTES[::4]
    which = sys.argv[1]
    golden = json_golden(everything, some) if which == "json" else model_golden(everything, some)
    with open(GOLDEN / f"tokenizer_{which}.json", "w", encoding="ascii", newline="\n") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
