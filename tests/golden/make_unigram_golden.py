#!/usr/bin/env python3
"""Makes unigram.json: what Hugging Face's tokenizers give for small Unigram models, and for the normalizers Precompiled and ByteLevel.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python3 tests/golden/make_unigram_golden.py

sentencepiece trains 300 pieces on story0.txt and a few sentences, and compiles the table of characters (precompiled_charsmap) from the rules below;
its own table nmt_nfkc has 300 KB, and is compared by tests/interop/check_tokenizers.py. The form of the file is that of byte_level.json.
"""
import base64
import io
import json
import pathlib
import tempfile

import sentencepiece
import tokenizers
from make_byte_level_golden import SENTENCES, added, byte_level, sequence, step
from make_tokenizer_golden import BYTES, FIXED, GOLDEN, cases, random_texts
from sentencepiece import sentencepiece_model_pb2 as pb

UNDERLINE = "\u2581"
RULES = {"\r\n": " ", "\t": " ", "\n": " ", "\u00a0": " ", "\u3000": " ", "\u200b": "", "\ufeff": "", "\u00ad": "", "\u2026": "...", "\u00bd": "1/2", "\ufb01": "fi", "\u2460": "1",
         "\u00b2": "2", "\u1100": "\u3131", "\u1161": "\u314f", "\u1112\u1161": "\ud558", "e\u0301": "\u00e9", "e\u0301\u0323": "\u1eb9\u0301", "\u0301": "'", "a\u0308": "\u00e4", "\u212b": "\u00c5",
         "\u0344": "\u0308\u0301", "\uff76\uff9e": "\u30ac", "\uff76": "\u30ab", "\u2581": " ", "\u3382": "\u03bcA", "\u1e9b\u0323": "\u1e69", "\U0001f1f0": "K", "x\u200d": "X", "\u200d": "",
         **{chr(0xFF01 + i): chr(0x21 + i) for i in range(94)}}
MORE = ["\uff28\uff45\uff4c\uff4c\uff4f\u3000\uff37", "caf\u00e9 cafe\u0301 cafe\u0301\u0323 e\u0301\u0323", "\u1112\u1161\u11ab \u1112\u1161 \u1100\u1161", "\uff76\uff9e\uff76 \uff9e", "a\u0308a\u0308\u0301",
        "a\r\nb\r\n\r\nc\n\rd\r", "x\u200dy x\u200d\u200d", "\u200b", "\u200b \u200b", "\u00ad\u00ad", "1\u20442 \u00bd \u2460\u2461", "\U0001f1f0\U0001f1f7\U0001f1f0", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0301abc", "\n\u0301", "\r\u0301\n", "\u0915\u094d\u0937\u093f", "\u0e33\u0e01\u0e33", "\u0600a", "\u110b\u1161\u11ab\u1102\u1167\u11bc", "a\u2581b \u2581 \u2581\u2581", "zq\u4e00\u4e01zq",
        "\u4e00\u4e01\u4e02", "<unk>", "a<unk>b", "<pad></s>", "the the  the", "\u00e0\u00e8\u00ec", "\U00020000\U00020001 \U0001f600", "\u0344\u0344", "e\u0344", "<|x|> a <|word|>", "  lead", "trail  "]


def trained(**more):
    """A sentencepiece model; byte pieces with byte_fallback."""
    text = [line for line in (GOLDEN / "stories260k" / "story0.txt").read_text().split("\n") + SENTENCES * 3 if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.tsv"
        rules.write_text("".join(" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n" for old, new in RULES.items()))
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=out, model_type="unigram", hard_vocab_limit=False, minloglevel=2,
                                                 num_threads=1, normalization_rule_tsv=str(rules), character_coverage=0.98, **more)
    return pb.ModelProto.FromString(out.getvalue())


def model_of(proto, **more):
    return {"type": "Unigram", "unk_id": 0, "vocab": [[one.piece, round(one.score, 6)] for one in proto.pieces], "byte_fallback": False} | more


def variants():
    proto = trained(vocab_size=300)
    bytes_proto = trained(vocab_size=500, byte_fallback=True)
    table = step("Precompiled", precompiled_charsmap=base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode())
    metaspace = step("Metaspace", replacement=UNDERLINE, prepend_scheme="always", split=True)
    model = model_of(proto)
    ends = step("TemplateProcessing", single=[{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                pair=[{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                special_tokens={"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}})
    spaces = step("Replace", pattern={"Regex": " {2,}"}, content=UNDERLINE)
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
                "normalizer": sequence("normalizers", table, step("Strip", strip_left=False, strip_right=True), spaces), "pre_tokenizer": metaspace,
                "post_processor": ends, "decoder": metaspace, "model": model}
    pieces = [["<unk>", 0.0], ["a", -1.5], ["b", -1.5], ["ab", -3.0], ["ab", -2.0], ["abc", -2.25], ["c", -0.25], [UNDERLINE, -2.0], ["\u4e00\u4e01", -4.0], ["bc", -1.75], ["", -1.0], ["e\u0301", 1.5]]
    byte_words = sequence("decoders", step("Replace", pattern={"String": UNDERLINE}, content=" "), step("ByteFallback"), step("Fuse"), step("Strip", content=" ", start=1, stop=0))
    edits = {
        "t5": {},
        "table alone": {"normalizer": table, "pre_tokenizer": None},
        "words": {"pre_tokenizer": sequence("pretokenizers", step("WhitespaceSplit"), metaspace)},
        "xlnet": {"normalizer": sequence("normalizers", step("Replace", pattern={"String": "``"}, content='"'), step("NFKD"), step("StripAccents"), step("Lowercase"), table, spaces)},
        "first, not split": {"pre_tokenizer": metaspace | {"prepend_scheme": "first", "split": False}, "post_processor": None,
                             "added_tokens": document["added_tokens"] + [added(len(model["vocab"]), "<|x|>"), added(len(model["vocab"]) + 1, "<|word|>", normalized=True, single_word=True)]},
        "bytes": {"model": model_of(bytes_proto, byte_fallback=True), "decoder": byte_words, "normalizer": step("Replace", pattern={"String": " "}, content=UNDERLINE), "pre_tokenizer": None},
        "bytes that lack": {"model": model | {"byte_fallback": True}, "decoder": byte_words},
        "equal pieces": {"model": {"unk_id": 0, "vocab": pieces}, "added_tokens": [], "post_processor": None, "normalizer": None},
        "of bytes": {"pre_tokenizer": byte_level(regex=True), "decoder": byte_level(), "model": model},
    }
    out = {name: document | one for name, one in edits.items()}
    gpt2 = json.loads((GOLDEN / "byte_level.json").read_text())["variants"][0]["edits"]
    out["byte-level normalizer"] = gpt2 | {"normalizer": step("ByteLevel"), "pre_tokenizer": None}
    out["byte-level normalizer after a split"] = gpt2 | {"normalizer": sequence("normalizers", step("NFC"), step("ByteLevel")), "pre_tokenizer": step("Split", pattern={"String": "\u0120"}, behavior="MergedWithNext", invert=False)}
    return out


def main():
    texts = [text.encode() for text in FIXED + MORE + random_texts()] + BYTES[::3] + [(GOLDEN / "stories260k" / "story0.txt").read_bytes()[:600]]
    few = [text.encode() for text in FIXED[1::7] + MORE + ["ab abc bab cab abab \u4e00\u4e01\u4e00 e\u0301 abcabc", "aabbcc"]]
    out = []
    for name, document in variants().items():
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
        encode = lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids
        decode = lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip)
        edits = {key: value for key, value in document.items() if not out or value != out[0]["edits"].get(key)}
        out.append({"name": name, "edits": edits, "cases": cases(texts if name == "t5" else few, encode, decode)})
    with open(GOLDEN / "unigram.json", "w", encoding="ascii", newline="\n") as file:
        json.dump({"versions": {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__}, "variants": out}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
