#!/usr/bin/env python3
"""Compares ids and decoded texts of 100,000 made lines with Hugging Face's tokenizers, for each kind of tokenizer.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    cmake --build build --target tokenizer_ids
    python3 tests/interop/check_tokenizers.py build/tests/tokenizer_ids [--lines 100000] [--results FILE.md] [FOLDER_OR_TOKENIZER_JSON ...]

Trains Unigram models with sentencepiece's own tables of characters (nmt_nfkc, nmt_nfkc_cf, nfkc) and a byte-level BPE on some of the lines, and
goes through the pipelines of families with them: every behaviour of Split, both ways round, and added tokens with each flag. Further tokenizers
(not shipped, such as Gemma's) are arguments: a tokenizer.json, or a folder with one that counts as it stands. Lines are Korean, English, code, emoji,
combining marks, characters of all of Unicode 14, and white space of all kinds, with one seed. Ends with 1 where a line differs.
"""
import argparse
import base64
import collections
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "true"

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as pb

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from make_byte_level_golden import LLAMA3, added, byte_level, sequence, split, step  # noqa: E402
from make_tokenizer_golden import FIXED  # noqa: E402

UNDERLINE = "\u2581"
STORY = (GOLDEN / "stories260k" / "story0.txt").read_text().split()
KOREAN = "환자는 당뇨병의 증상이 있으며 혈압은 안녕하세요 무엇인가요 한국어 문장을 만들어 보겠습니다 그리고 약을 하루 두번 복용하세요 의사 진료 결과 값이 없었다".split()
CODE = ["def f(x):", "    return x[0]", "for (int i = 0; i < n; ++i) {", "}", "std::vector<int> v;", "#include <a.h>", "x != y && z == 3.14e-5", "\"a\\n\"", "// note", "<b>text</b>", "{\"k\": [1, null]}",
        "SELECT * FROM t WHERE a='b';", "\t\tif x:", "$PATH/bin", "a_b.c()->d"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🇰🇷", "🇰", "❤️", "❤", "1️⃣", "🏴\U000e0067\U000e0062\U000e007f", "🫠", "👩🏿‍🚀", "☠️"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u200b", "\u2028", "\u0085", "\ufeff", "\u202f", "\u1680", "\u180e", "\u200d", "\u200c", "\u2060", "\x0b", "\x0c"]
MARKS = ["\u0301", "\u0300", "\u0308", "\u0323", "\u0327", "\u20dd", "\ufe0f", "\u093f", "\u094d", "\u0e33", "\u064e", "\u05b8", "\u3099", "\u309a", "\u1161", "\u11a8", "\uff9e", "\uff9f", "\u0345", "\u0c41"]
ODD = ["ﬁ", "ｶﾞ", "①", "㍂", "½", "ﷺ", "Å", "ſ", "İ", "ß", "ǆ", "㎏", "Ａ１", "ᄒ", "한", "각", "ﾊﾟ", "…", "“x”", "’s", "—", "\u00ad", "\u0344", "ẛ\u0323", "日本語", "中文字符", "Привет", "שָׁלוֹם", "مرحبا", "สวัสดีครับ", "नमस्ते",
       "𝔸𝕓", "\u2581", "\u0120", "<s>", "</s>", "<unk>", "<|x|>", "<|word|>", "<0x41>", "\x00", "\x7f", "\ufffd", "\ufffe", "\U0010ffff", "ⅷ", "٣", "²", "\u1100\u1161", "e\u0301\u0323"]


def made_lines(count):
    chance = random.Random(11)
    known = [chr(c) for c in range(1, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]  # of Unicode 14, as PCRE2's are
    plane = {name: [c for c in known if lo <= ord(c) < hi] for name, lo, hi in (("latin", 0, 0x250), ("bmp", 0, 0x10000), ("hangul", 0xAC00, 0xD7A4), ("all", 0, 0x30000))}

    def word():
        kind = chance.random()
        if kind < 0.25:
            return chance.choice(STORY)
        if kind < 0.42:
            return chance.choice(KOREAN)
        if kind < 0.52:
            return chance.choice(CODE)
        if kind < 0.58:
            return "".join(chance.choice(EMOJI) for _ in range(chance.randrange(1, 4)))
        if kind < 0.66:
            return "".join(chance.choice("aeiounyAEo가ㅏकก") + "".join(chance.choice(MARKS) for _ in range(chance.randrange(3))) for _ in range(chance.randrange(1, 5)))
        if kind < 0.78:
            return chance.choice(ODD)
        if kind < 0.84:
            return str(chance.randrange(10 ** chance.randrange(1, 9)))
        if kind < 0.9:
            return "".join(chance.choice("abcdefgh.,!?'\"-_ ") for _ in range(chance.randrange(1, 12)))
        letters = plane[chance.choice(["latin", "bmp", "hangul", "all"])]
        return "".join(chance.choice(letters) for _ in range(chance.randrange(1, 7)))

    def line():
        out = ""
        for _ in range(chance.randrange(1, 16)):
            out += word() + (chance.choice(SPACES) if chance.random() < 0.25 else " " if chance.random() < 0.85 else "")
        return out

    lines = FIXED + ["".join(pair) for pair in zip(["a"] * 400 + ["\u1112"] * 400, (MARKS + SPACES + EMOJI + ODD) * 8)]
    return (lines + [line() for _ in range(count - len(lines))])[:count]


def unigram(lines, name, **more):
    out = io.BytesIO()
    few = lines[1000:21000]
    counts = collections.Counter("".join(few))
    few = ["".join(c if counts[c] >= 30 and c not in "\0\r\n" else " " for c in line) for line in few]  # else each character would be a piece
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(few), model_writer=out, model_type="unigram", vocab_size=4000, hard_vocab_limit=False,
                                             minloglevel=2, normalization_rule_name=name, character_coverage=0.99, **more)
    proto = pb.ModelProto.FromString(out.getvalue())
    table = step("Precompiled", precompiled_charsmap=base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode())
    return table, {"type": "Unigram", "unk_id": 0, "vocab": [[one.piece, one.score] for one in proto.pieces], "byte_fallback": more.get("byte_fallback", False)}


def documents(lines):
    """Names and tokenizer.json's."""
    plain = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
    metaspace = step("Metaspace", replacement=UNDERLINE, prepend_scheme="always", split=True)
    spaces = step("Replace", pattern={"Regex": " {2,}"}, content=UNDERLINE)
    for name in ("nmt_nfkc", "nmt_nfkc_cf", "nfkc"):
        table, model = unigram(lines, name)
        tokens = [added(i, content) for i, content in enumerate(["<unk>", "<s>", "</s>"])]
        yield f"Unigram, {name}", plain | {"model": model, "added_tokens": tokens, "pre_tokenizer": metaspace, "decoder": metaspace,
                                           "normalizer": sequence("normalizers", table, step("Strip", strip_left=False, strip_right=True), spaces)}
    table, model = unigram(lines, "nmt_nfkc", byte_fallback=True)
    words = sequence("decoders", step("Replace", pattern={"String": UNDERLINE}, content=" "), step("ByteFallback"), step("Fuse"), step("Strip", content=" ", start=1, stop=0))
    yield "Unigram with byte fallback, not split", plain | {"model": model, "normalizer": table, "decoder": words, "pre_tokenizer": metaspace | {"prepend_scheme": "first", "split": False}}
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train_from_iterator(lines[1000:11000], tokenizers.trainers.BpeTrainer(vocab_size=3000, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    bytes_of = plain | {"model": json.loads(bpe.to_str())["model"], "decoder": byte_level()}
    patterns = {"regex": split(LLAMA3), "spaces": split(r"\s+"), "letter": split("a", kind="String")}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for name, pattern in patterns.items():
            for invert in (False, True):
                cut = pattern | {"behavior": behavior, "invert": invert}
                yield f"Split, {name}, {behavior}{', inverted' if invert else ''}", bytes_of | {"pre_tokenizer": sequence("pretokenizers", cut, byte_level(regex=False))}
    flags = [added(3000, "<|x|>"), added(3001, "<|word|>", single_word=True), added(3002, "the", single_word=True, lstrip=True, special=False), added(3003, "당뇨병의", single_word=True, rstrip=True, normalized=True),
             added(3004, "é", normalized=True, special=False), added(3005, "  ", special=False), added(3006, "😀", lstrip=True, rstrip=True), added(3007, "ab", single_word=True, normalized=True, special=False)]
    yield "added tokens with flags", bytes_of | {"added_tokens": flags, "normalizer": sequence("normalizers", step("NFC"), step("Lowercase")), "pre_tokenizer": sequence("pretokenizers", split(LLAMA3), byte_level(regex=False))}
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield form, bytes_of | {"normalizer": step(form), "pre_tokenizer": byte_level()}
    steps = [step("Digits", individual_digits=True), step("Punctuation", behavior="Isolated"), step("WhitespaceSplit"), byte_level(regex=False)]
    yield "digits, punctuation, white space", bytes_of | {"pre_tokenizer": sequence("pretokenizers", *steps)}
    yield "byte-level normalizer", bytes_of | {"normalizer": step("ByteLevel")}


def given(path):
    file = path / "tokenizer.json" if path.is_dir() else path
    return str(file.parent.name if file.name == "tokenizer.json" else file.stem), json.loads(file.read_text())


def differences(program, document, lines):
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "tokenizer.json").write_text(json.dumps(document))
        out = subprocess.run([program, folder], input="".join(json.dumps(line) + "\n" for line in lines), check=True, capture_output=True, text=True).stdout
    ours = [json.loads(line) for line in out.split("\n") if line]
    ids = [one.ids for one in tokenizer.encode_batch_fast(lines)]
    texts = tokenizer.decode_batch(ids)
    wrong = [i for i in range(len(lines)) if ours[i]["ids"] != ids[i]]
    for i in wrong[:3]:
        print("  ", ascii(lines[i])[:200], ours[i]["ids"][:30], ids[i][:30], flush=True)
    texts_wrong = [i for i in range(len(lines)) if ours[i]["text"] != texts[i] and i not in set(wrong)]
    for i in texts_wrong[:3]:
        print("  ", ascii(ours[i]["text"])[:150], ascii(texts[i])[:150], flush=True)
    return len(wrong), len(texts_wrong), sum(map(len, ids))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("others", nargs="*", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=100000)
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--only", default="", help="tokenizers whose name has this text")
    options = parser.parse_args()
    lines = made_lines(options.lines)
    rows = [f"{len(lines)} lines, tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}\n", "| tokenizer | ids | lines with other ids | lines with another text |", "|---|---|---|---|"]
    print("\n".join(rows), flush=True)
    bad = 0
    for name, document in [*documents(lines), *map(given, options.others)]:
        if options.only in name:
            ids, texts, count = differences(options.program, document, lines)
            bad += ids + texts
            rows.append(f"| {name} | {count} | {ids} | {texts} |")
            print(rows[-1], flush=True)
    if options.results:
        options.results.write_text("\n".join(rows) + "\n")
    if len(rows) == 3:
        raise SystemExit(f"no tokenizer has \"{options.only}\" in its name")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
