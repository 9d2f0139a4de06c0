#!/usr/bin/env python3
"""Makes tokenizer_folders.json: what transformers' AutoTokenizer makes of model folders whose files say different things.

    pip install transformers==5.24.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
    python3 tests/golden/make_tokenizer_folders.py 5
    pip install transformers==4.57.1 tokenizers==0.22.2 sentencepiece==0.2.3 protobuf==7.36.2   # elsewhere
    python3 tests/golden/make_tokenizer_folders.py 4

A folder is a base (`json`, `model`: demo/model's tokenizer.json with `edits` of its top level, or its tokenizer.model; `bytes`, `pair`: the first
tokenizer of byte_level.json as tokenizer.json with `edits`, or as vocab.json and merges.txt; `pieces`: a tokenizer.model in hexadecimal) and `files`,
by name, as text. Results of 5: `ids` of each of `texts`, `text` (decoded without special tokens), bos, eos, unk, pad. 4 adds `ids_4`, where that version
gives others, and `refused_4`, where it loads no such folder.
"""
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "critical"

from make_byte_level_golden import LLAMA3, byte_level

GOLDEN = pathlib.Path(__file__).resolve().parent
OUTPUT = GOLDEN / "tokenizer_folders.json"
MODEL = GOLDEN.parents[1] / "demo" / "model"
BYTES = json.loads((GOLDEN / "byte_level.json").read_text())["variants"][0]["edits"]
DEMO = json.loads((MODEL / "tokenizer.json").read_text())
TEXTS = ["hi there", "hi<|im_end|>\n[PAD] x", "<|im_start|> <|im_end|>  tool tools", "  two  spaces </s> b <s>a", "한국 e\u0301 <unk> once upon a time",
         "<|endoftext|> word \u2581word 3.14 don't", "", "[PAD]<x>  [PAD]"]
NAMES = ["<|im_end|>", "<|im_start|>", "[PAD]", "<x>", "tool", "the", "</s>", "<s>", "<unk>", "<|endoftext|>", "a time", "\u2581word", "ab"]


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True} | flags


def llama(**more):
    return {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | more


def fast(**more):
    return llama(tokenizer_class="PreTrainedTokenizerFast") | more


def added(*tokens):
    return {"added_tokens": DEMO["added_tokens"] + [token(content, **flags) | {"id": i} for content, i, flags in tokens]}


def folder(name, base, config, edits=None, model_type="llama", added_tokens=None, special=None, pieces=None):
    files = {}
    if config is not None:
        files["tokenizer_config.json"] = json.dumps(config)
    if model_type:
        files["config.json"] = json.dumps({"model_type": model_type})
    if added_tokens is not None:
        files["added_tokens.json"] = json.dumps(added_tokens)
    if special is not None:
        files["special_tokens_map.json"] = json.dumps(special)
    out = {"name": name, "base": base, "edits": edits or {}, "files": files}
    return out | ({"pieces": pieces} if pieces else {})


def pieces_model(unigram=False, **normalizer):
    """A small sentencepiece model; with a piece that a user defined, and a control token."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    model = pb.ModelProto()
    for text, kind in [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<x>", 3), ("tool", 4), ("[PAD]", 4)]:
        model.pieces.add(piece=text, score=0.0, type=kind)
    words = ["\u2581t", "th", "\u2581th", "er", "the", "there", "\u2581there", "\u2581hi", "hi", "tw", "two", "\u2581\u2581"]
    for i, text in enumerate(words + list("\u2581abcdehiopnrstuwx.'3\n")):
        model.pieces.add(piece=text, score=-float(i), type=1)
    model.trainer_spec.model_type = 1 if unigram else 2
    model.trainer_spec.byte_fallback = False
    model.normalizer_spec.add_dummy_prefix = True
    for key, value in normalizer.items():
        setattr(model.normalizer_spec, key, value)
    return model.SerializeToString().hex()


def named_folders():
    chat = {"<|im_start|>": 513, "<|im_end|>": 512}
    decoder = {"513": token("<|im_start|>"), "512": token("<|im_end|>")}
    pad = {"__type": "AddedToken"} | token("[PAD]", lstrip=True, special=False)
    yield folder("added_tokens.json beside tokenizer.model", "model", llama(add_bos_token=True, legacy=True), added_tokens=chat)
    yield folder("added_tokens.json beside tokenizer.json", "json", fast(), added_tokens=chat)
    yield folder("added_tokens.json, LlamaTokenizer", "json", llama(legacy=True), added_tokens=chat)
    yield folder("added_tokens.json beside vocab.json", "pair", {"tokenizer_class": "GPT2Tokenizer", "bos_token": None, "eos_token": None, "unk_token": None},
                 added_tokens={"<|im_start|>": 421, "<|im_end|>": 420})
    yield folder("eos is a token of added_tokens.json", "model", llama(legacy=True), added_tokens=chat, special={"eos_token": "<|im_end|>"})
    yield folder("added_tokens_decoder beside tokenizer.model", "model", llama(add_bos_token=True, legacy=True, added_tokens_decoder=decoder))
    yield folder("added_tokens_decoder beside tokenizer.json", "json", fast(added_tokens_decoder=decoder))
    yield folder("added_tokens_decoder, and others that do not count", "json", fast(added_tokens_decoder=decoder), added_tokens={"[PAD]": 514},
                 special={"pad_token": "[PAD]"})
    yield folder("flags of added_tokens_decoder", "json", fast(added_tokens_decoder={"512": token("<|im_end|>", rstrip=True)}), edits=added(("<|im_end|>", 512, {})))
    yield folder("not special, normalized, single word", "json", fast(added_tokens_decoder={"512": token("tool", special=False, normalized=True, single_word=True)}))
    yield folder("additional_special_tokens", "json", fast(additional_special_tokens=["<|im_end|>", "[PAD]"]))
    yield folder("extra_special_tokens as a list", "json", fast(extra_special_tokens=["[PAD]", "<|im_end|>"], additional_special_tokens=["tool"]))
    yield folder("extra_special_tokens with names", "json", fast(extra_special_tokens={"tool_token": "tool", "x_token": "<x>"}, image_token="[PAD]"))
    yield folder("a pad_token that is no token", "json", fast(pad_token="[PAD]"))
    yield folder("a pad_token with flags", "json", fast(pad_token=pad))
    yield folder("a pad_token of the padding", "json", fast(), edits={"padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}})
    yield folder("special_tokens_map.json rules over tokenizer_config.json", "json", fast(pad_token="<x>"), special={"pad_token": token("[PAD]", rstrip=True), "eos_token": "<|im_end|>"})
    yield folder("a file for special tokens alone", "json", None, special={"pad_token": "[PAD]", "additional_special_tokens": ["tool"]}, model_type=None)
    yield folder("a bos_token that is null", "json", fast(bos_token=None, add_bos_token=True), edits={"post_processor": None})
    yield folder("an id with a gap", "json", fast(), edits=added(("<|im_end|>", 600, {})))
    yield folder("ids out of order", "json", fast(), edits=added(("<|im_end|>", 513, {}), ("[PAD]", 512, {})))
    yield folder("the vocabulary's own id", "json", fast(), edits=added(("ing", 512, {})))
    for name in ["PreTrainedTokenizerFast", "LlamaTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizerFast", "GemmaTokenizer", "CohereTokenizer", "CodeLlamaTokenizer"]:
        yield folder(f"{name}: EOS wanted", "json", fast(tokenizer_class=name, add_eos_token=True))
        yield folder(f"{name}: no BOS wanted", "json", fast(tokenizer_class=name, add_bos_token=False))
    for legacy in (True, False, None):
        for base in ("json", "model"):
            yield folder(f"LlamaTokenizer, legacy {legacy}, {base}", base, llama(pad_token="[PAD]") | ({} if legacy is None else {"legacy": legacy}))
        yield folder(f"no class, legacy {legacy}", "model", {"pad_token": "[PAD]", "add_bos_token": True} | ({} if legacy is None else {"legacy": legacy}))
    yield folder("LlamaTokenizer without a space in front", "model", llama(add_prefix_space=False, add_bos_token=True, add_eos_token=True))
    yield folder("LlamaTokenizer, but bytes", "bytes", llama())
    yield folder("LlamaTokenizer of a mistral", "json", llama(legacy=False), model_type="mistral")
    yield folder("GemmaTokenizer on tokenizer.model", "model", {"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>", "mask_token": None, "add_bos_token": True}, model_type="gemma")
    for model_type in ("gpt2", "qwen2", "qwen3", "gpt_neox", "exaone4", "llama", "mistral"):
        yield folder(f"{model_type} without a class", "bytes", {"eos_token": "<|end|>"}, model_type=model_type)
        yield folder(f"{model_type}, PreTrainedTokenizerFast", "bytes", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}, model_type=model_type)
    for name, model_type in (("GPT2Tokenizer", "gpt2"), ("Qwen2TokenizerFast", "qwen2"), ("GPTNeoXTokenizer", "gpt_neox"), (None, "qwen3"), (None, "gpt_neox")):
        yield folder(f"{name} on vocab.json, {model_type}", "pair", ({"tokenizer_class": name} if name else {}) | {"add_bos_token": True, "add_eos_token": True, "unk_token": None}, model_type=model_type)
    yield folder("special tokens are cut", "json", fast(split_special_tokens=True, pad_token="[PAD]", added_tokens_decoder={"512": token("<|im_end|>"), "513": token("tool", special=False)}))
    yield folder("a class of config.json", "bytes", None, model_type=None) | {"files": {"config.json": json.dumps({"model_type": "exaone4", "tokenizer_class": "GPT2Tokenizer"})}}
    for text, settings in (("as usual", {}), ("spaces stay", {"remove_extra_whitespaces": False}), ("no space in front", {"add_dummy_prefix": False})):
        for config in ({}, llama(legacy=False), {"added_tokens_decoder": {"3": token("<y>"), "38": token("<|im_end|>", normalized=True)}, "legacy": False}):
            yield folder(f"pieces, {text}, {json.dumps(config)[:40]}", "pieces", config, pieces=pieces_model(**settings))
    yield folder("unigram", "pieces", {"pad_token": "<y>", "add_bos_token": True}, pieces=pieces_model(unigram=True))
    underline = "\u2581"
    words = [{"type": "Replace", "pattern": {"String": underline}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    bytes_decoder = dict(BYTES["decoder"])
    for name, steps in (("before", [bytes_decoder] + words), ("behind", words[1:] + [bytes_decoder]), ("between", [words[1], bytes_decoder, words[0], words[2]])):
        yield folder(f"bytes {name} other decoders", "bytes", {}, edits={"decoder": {"type": "Sequence", "decoders": steps}})
    yield folder("fallback, fuse, replace", "json", fast(), edits={"decoder": {"type": "Sequence", "decoders": [words[1], words[2], words[0]]}})
    yield folder("the end of a word", "json", fast(), edits={"decoder": {"type": "BPEDecoder", "suffix": "</w>"}})
    steps = {"Whitespace": {}, "WhitespaceSplit": {}, "CharDelimiterSplit": {"delimiter": "e"}, "Digits": {"individual_digits": True}, "Punctuation": {"behavior": "MergedWithPrevious"}}
    for name, more in steps.items():
        metaspace = {"type": "Metaspace", "replacement": underline, "prepend_scheme": "first", "split": True}
        yield folder(name, "json", fast(), edits={"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": name} | more, metaspace]}})
    for name in ("Nmt", "StripAccents"):
        yield folder(name, "json", fast(), edits={"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": name}]}})


def families():
    """What families of models save: their own steps, under the class that their files name, and a class of its own where the model_type has one."""
    underline = "\u2581"
    split = lambda pattern: {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    steps = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(LLAMA3), byte_level(regex=False)]}}
    digits = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level()]}}
    legacy = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": underline}, {"type": "Replace", "pattern": {"String": " "}, "content": underline}]},
              "pre_tokenizer": None}
    end = {"eos_token": "<|end|>", "pad_token": "<|end|>", "extra_special_tokens": ["<|im_end|>"]}
    for model_type in ("phi3", "olmo2", "olmo3", "granite", "stablelm", "glm4", "nemotron", "hyperclovax", "ministral3", "smollm3", "starcoder2", "cohere2", "exaone"):
        for name in ("GPT2Tokenizer", "PreTrainedTokenizerFast", None):
            config = ({"tokenizer_class": name} if name else {}) | end
            yield folder(f"family {model_type}, {name}", "bytes", config, edits=digits if model_type in ("starcoder2", "cohere2") else steps, model_type=model_type)
    yield folder("family cohere2, CohereTokenizerFast", "bytes", {"tokenizer_class": "CohereTokenizerFast", "bos_token": "<s>"} | end, edits=digits, model_type="cohere2")
    yield folder("family ministral3, LlamaTokenizerFast", "bytes", {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>"} | end, edits=steps, model_type="ministral3")
    for model_type in ("gemma2", "gemma3_text", "phi3", "internlm3", "llama"):
        for name in ("GemmaTokenizerFast", "LlamaTokenizer", "PreTrainedTokenizerFast", None):
            yield folder(f"family {model_type}, {name}", "json", fast(tokenizer_class=name, pad_token="<unk>"), edits=legacy, model_type=model_type)


def as_saved(one):
    """The folder as save_pretrained of version 5 writes it after loading this one."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as saved:
        write_folder(one, pathlib.Path(place))
        AutoTokenizer.from_pretrained(place).save_pretrained(saved)
        files = {path.name: path.read_text() for path in pathlib.Path(saved).iterdir()}
    document = json.loads(files.pop("tokenizer.json"))
    base = DEMO if one["base"] == "json" else BYTES
    edits = {key: value for key, value in document.items() if value != base.get(key)}
    return one | {"name": one["name"] + ", as saved", "edits": edits, "files": files | {"config.json": one["files"]["config.json"]}}


def random_flags(chance):
    return {"lstrip": chance.random() < .2, "rstrip": chance.random() < .2, "single_word": chance.random() < .1, "normalized": chance.random() < .3, "special": chance.random() < .6}


def random_folder(seed):
    """Which token in which file, with which flags, under which class."""
    chance = random.Random(seed)
    some = lambda share: chance.random() < share
    base = chance.choice(["json", "json", "model", "bytes", "pair"])
    classes = {"model": ["LlamaTokenizer", "GemmaTokenizer", "PreTrainedTokenizerFast", None], "pair": ["GPT2Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizer"]}
    name = chance.choice(classes.get(base, ["PreTrainedTokenizerFast", "TokenizersBackend", "LlamaTokenizerFast", "GPT2Tokenizer", "Qwen2TokenizerFast", "GPTNeoXTokenizer", "GemmaTokenizer", "CohereTokenizer", None]))
    vocabulary = (DEMO if base in ("json", "model") else BYTES)["model"]["vocab"]
    there, size, edits = dict(vocabulary), len(vocabulary), {}
    if base in ("json", "bytes"):
        tokens = [dict(one) for one in (DEMO if base == "json" else BYTES).get("added_tokens", [])]
        for content in chance.sample(NAMES, chance.choice([0, 1, 2])):
            if content not in there:
                tokens.append({"id": size, "content": content} | random_flags(chance))
                there[content] = size
                size += chance.choice([1, 1, 1, 3])
        edits = {"added_tokens": tokens}

    def listed(count):
        free, out = size, {}
        for content in chance.sample(NAMES, count):
            out[content] = there.get(content, free)
            free += 0 if content in there else chance.choice([1, 1, 2])
        return out

    config = {"tokenizer_class": name} if name else {}
    for key in ("bos_token", "eos_token", "unk_token", "pad_token", "mask_token", "image_token"):
        value = chance.choice([{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}.get(key), chance.choice(NAMES), {"__type": "AddedToken", "content": chance.choice(NAMES)} | random_flags(chance), None])
        if some(.6):
            config[key] = value
    for key in ("add_bos_token", "add_eos_token", "legacy"):
        if some(.4):
            config[key] = some(.5)
    if some(.3):
        config["additional_special_tokens"] = chance.sample(NAMES, 2)
    if some(.2):
        config["extra_special_tokens"] = chance.choice([[], {}, ["<x>"], {"foo_token": "<x>", "bar_token": "tool"}])
    if some(.4):
        config["added_tokens_decoder"] = {str(i): {"content": content} | random_flags(chance) for content, i in listed(3).items()}
    special = {key: chance.choice(NAMES) for key in ("bos_token", "eos_token", "pad_token") if some(.4)} if some(.3) else None
    model_type = chance.choice(["llama", "llama", "mistral", "qwen2", "qwen3", "gemma", "exaone4", "gpt2", "gpt_neox"])
    return folder(f"random {seed}", base, config, edits, model_type, listed(2) if some(.4) else None, special)


def write_folder(one, place):
    base = one["base"]
    if base == "model":
        shutil.copy(MODEL / "tokenizer.model", place)
    elif base == "pieces":
        (place / "tokenizer.model").write_bytes(bytes.fromhex(one["pieces"]))
    elif base == "pair":
        (place / "vocab.json").write_text(json.dumps(BYTES["model"]["vocab"]))
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in BYTES["model"]["merges"]]
        (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    else:
        empty = {"added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
        (place / "tokenizer.json").write_text(json.dumps((DEMO if base == "json" else empty | BYTES) | one["edits"]))
    for name, text in one["files"].items():
        (place / name).write_text(text)


def results(one):
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as place:
        write_folder(one, pathlib.Path(place))
        tokenizer = AutoTokenizer.from_pretrained(place)
        ids = [tokenizer.encode(text) for text in TEXTS]
        out = {"class": type(tokenizer).__name__, "ids": ids, "text": [tokenizer.decode(one, skip_special_tokens=True) for one in ids]}
        return out | {key: getattr(tokenizer, f"{key}_token_id") for key in ("bos", "eos", "unk", "pad")}


def main():
    import transformers

    if sys.argv[1] == "5":
        folders = list(named_folders())
        for one in families():
            folders += [one] + ([as_saved(one)] if "TokenizerFast" in one["name"] else [])
        for seed in range(60):
            folders.append(random_folder(seed))
        golden = {"versions": {"transformers": transformers.__version__}, "texts": TEXTS, "folders": []}
        for one in folders:
            try:
                golden["folders"].append(one | results(one))
            except Exception as error:  # random folders may be ones that transformers does not load
                print("left out:", one["name"], str(error)[:100])
    else:
        golden = json.loads(OUTPUT.read_text())
        golden["versions"]["second"] = transformers.__version__
        for one in golden["folders"]:
            try:
                ids = results(one)["ids"]
                one.pop("ids_4", None)
                if ids != one["ids"]:
                    one["ids_4"] = ids
            except Exception:
                one["refused_4"] = True
    with open(OUTPUT, "w", encoding="ascii", newline="\n") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
