#!/usr/bin/env python3
"""Makes byte_level.json: what Hugging Face's tokenizers give for small byte-level tokenizers in all the forms that families of models use.

    pip install tokenizers==0.23.3
    python3 tests/golden/make_byte_level_golden.py

The vocabularies are trained here, on story0.txt and a few sentences. Each variant is a whole tokenizer.json (`document`) with cases in the form
of tokenizer_json.json: texts as hexadecimal bytes, ids with and without special tokens, and the text that they decode to.
"""
import json

import tokenizers
from make_tokenizer_golden import BYTES, FIXED, GOLDEN, cases, random_texts

SENTENCES = ["안녕하세요. 당뇨병의 증상은 무엇인가요? 한국어 문장 하나. 또 하나! ", "don't it's we'll I'd you're they've I'm CAN'T ", "x = y + z; // code\n\n    return 0;\n",
             "2024 100,000 3.14 12345678 ", "café naïve Sjögren’s – “dry eyes”… 😀 👍🏽 日本語テキスト \t\r\n  "]
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
MORE = ["DON'T we'LL it'\u017f x'S", "\u180e a\u180eb \u1680 c", "abc123def4567", "... !!! ?!?", "$5 + 3 < 10 = `x` | ~y ^z", "a\u2028b\u2029\x0b\x0c c\x85d", "ⅷ ² ³ ½ ٣ 五", "İstanbul ΑΣ ß ǅ",
        "e\u0301 \u1112\u1161\u11ab \u212b ﬁ ① Ａ ｶﾞ \u0344", "<|x|>", "a<|x|>b", " <|x|> b", "<|word|>", "a<|word|>", "a <|word|> b", "<|word|>_", "é<|word|>", "-<|word|>.", "  <|left|>  a", "a  <|right|>   b",
        "Caf\u00c9<|N\u00c9|>", "cafe\u0301 <|n\u00e9|>", "   \n\n\n   x", "\n \n \n", "tab\t\tend\t", "one  two   three    four"]


def step(kind, **fields):
    return {"type": kind, **fields}


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return step("Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def byte_level(prefix=False, regex=True):
    return step("ByteLevel", add_prefix_space=prefix, trim_offsets=True, use_regex=regex)


def added(number, content, **flags):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | flags


def trained(pre_tokenizer):
    """A model of 420 tokens."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=420, special_tokens=["<|end|>"], initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
                                             show_progress=False)
    tokenizer.train_from_iterator([(GOLDEN / "stories260k" / "story0.txt").read_text()] + SENTENCES * 4, trainer)
    return json.loads(tokenizer.to_str())


def variants():
    document = trained(tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False))
    document["decoder"] = byte_level()
    pairs = document["model"]
    strings = dict(pairs, merges=[" ".join(one) for one in pairs["merges"]])
    template = step("TemplateProcessing", single=[{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                    pair=[{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                    special_tokens={"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}})
    flags = [added(0, "<|end|>"), added(420, "<|x|>"), added(421, "<|word|>", single_word=True), added(422, "<|left|>", lstrip=True),
             added(423, "<|right|>", rstrip=True, special=False), added(424, "<|N\u00c9|>", normalized=True, special=False), added(425, "  ", normalized=True, special=False),
             added(426, "    ", normalized=True, special=False)]
    bert = {"cls": ["<|end|>", 0], "sep": ["<|end|>", 0]}
    edits = {
        "gpt2": {},
        "merges as strings": {"model": strings},
        "prefix space": {"pre_tokenizer": byte_level(prefix=True)},
        "llama3": {"pre_tokenizer": sequence("pretokenizers", split(LLAMA3), byte_level(regex=False)), "model": dict(pairs, ignore_merges=True),
                   "post_processor": sequence("processors", byte_level(), template)},
        "qwen2": {"normalizer": step("NFC"), "pre_tokenizer": sequence("pretokenizers", split(QWEN2), byte_level(regex=False)), "post_processor": byte_level()},
        "deepseek": {"pre_tokenizer": sequence("pretokenizers", split(r"\p{N}{1,3}"), split(r"[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK), byte_level(regex=False))},
        "o200k": {"pre_tokenizer": sequence("pretokenizers", split(O200K), byte_level(regex=False))},
        "tekken": {"pre_tokenizer": sequence("pretokenizers", split(TEKKEN), byte_level(regex=False)), "model": dict(pairs, ignore_merges=True)},
        "starcoder": {"pre_tokenizer": sequence("pretokenizers", step("Digits", individual_digits=True), byte_level())},
        "falcon": {"pre_tokenizer": sequence("pretokenizers", step("Punctuation", behavior="Contiguous"), byte_level(), step("Digits", individual_digits=False),
                                             split("[0-9][0-9][0-9]"))},
        "removed": {"pre_tokenizer": sequence("pretokenizers", split(r"\s+", "Removed"), byte_level(regex=False))},
        "inverted": {"pre_tokenizer": sequence("pretokenizers", split(r"\w+|[^\w\s]+", "Removed", invert=True), byte_level(regex=False))},
        "with previous": {"pre_tokenizer": sequence("pretokenizers", split(" ", "MergedWithPrevious", kind="String"), byte_level(regex=False))},
        "with next": {"pre_tokenizer": sequence("pretokenizers", split(r"\s", "MergedWithNext"), byte_level(regex=False))},
        "contiguous": {"pre_tokenizer": sequence("pretokenizers", split("a", "Contiguous", kind="String"), byte_level(regex=False))},
        "empty matches": {"pre_tokenizer": sequence("pretokenizers", split("a*"), byte_level(regex=False))},
        "lookbehind": {"pre_tokenizer": sequence("pretokenizers", split(r"(?<=\p{L})(?=\p{N})|(?<!\p{N})\p{N}{1,2}|(?<=e|on|\u00e9|\ud55c\uad6d\uc5b4)\s+"),
                                                 split(r"(?<=[\s!?])\S+(?<![.,])", "MergedWithPrevious"), byte_level(regex=False))},
        "added tokens": {"added_tokens": flags, "normalizer": sequence("normalizers", step("NFC"), step("Lowercase"))},
        "nfd": {"normalizer": step("NFD")},
        "nfkc": {"normalizer": step("NFKC")},
        "nfkd and replace": {"normalizer": sequence("normalizers", step("NFKD"), step("Replace", pattern={"Regex": r"\s{2,}"}, content=" \\1$0"))},
        "strip": {"normalizer": step("Strip", strip_left=True, strip_right=False)},
        "bert": {"post_processor": step("BertProcessing", **bert)},
        "roberta": {"post_processor": step("RobertaProcessing", trim_offsets=True, add_prefix_space=True, **bert)},
    }
    out = {name: document | one for name, one in edits.items()}
    prefixed = json.loads(json.dumps(document))  # as in WordPiece's and GPT-1's files
    letters = {letter: i for i, letter in enumerate(["a", "b", "##a", "##b", "ab", "##ba", "b</w>", "##b</w>", "aba", "<u>", "a</w>"])}
    prefixed |= {"pre_tokenizer": split(" ", "Removed", kind="String"), "added_tokens": [], "decoder": step("Fuse"), "model": {
        "type": "BPE", "dropout": None, "unk_token": "<u>", "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": False,
        "vocab": letters, "merges": ["a ##b", "##b ##a", "a ##ba"]}}
    return out | {"prefix and suffix": prefixed}


def main():
    texts = [text.encode() for text in FIXED[::2] + MORE + random_texts()[:8]] + BYTES[::3] + [(GOLDEN / "stories260k" / "story0.txt").read_bytes()[:600]]
    few = [text.encode() for text in FIXED[1::9] + MORE + ["ab aba ba abab b a abc", "<|x|><|left|> a <|right|> b"]]
    out = []
    for name, document in variants().items():
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
        encode = lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids
        decode = lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip)
        edits = {key: value for key, value in document.items() if not out or value != out[0]["edits"].get(key)}
        out.append({"name": name, "edits": edits, "cases": cases(texts if name in ("gpt2", "llama3", "qwen2") else few, encode, decode)})
    with open(GOLDEN / "byte_level.json", "w", encoding="ascii", newline="\n") as file:
        json.dump({"versions": {"tokenizers": tokenizers.__version__}, "variants": out}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
