#!/usr/bin/env python3
"""Makes tokenizer_digests.json: SHA-256 of all ids that Hugging Face's tokenizers give for whole corpora.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python3 tests/golden/make_tokenizer_digests.py DATA_FOLDER

DATA_FOLDER holds tokenizers/<name>/tokenizer.json and datasets/{medquad,komedmcqa,tinyshakespeare}; neither is shipped. A text is each string value of
a JSON line, in the order of the file; of a plain text, the whole file and each of its paragraphs. Digested are, for each text, its ids as 32-bit
little-endian numbers and then -1 (`ids`), and the UTF-8 of what the ids decode to without special tokens and then a zero byte (`texts`).
`count`: ids in all. tests/tokenizer/tokenizer_corpora_test.cpp compares.
"""
import array
import hashlib
import json
import os
import pathlib
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece
import tokenizers

GOLDEN = pathlib.Path(__file__).resolve().parent
CORPORA = {
    "medquad": ["medquad/medquad_qa.jsonl"],
    "komedmcqa": ["komedmcqa/dev_cot_fewshot.jsonl", "komedmcqa/train_low_c2_n1000_r42.jsonl"],
    "tinyshakespeare": ["tinyshakespeare/input.txt"],
}
FILES = ["exaone4/tokenizer.json", "gpt2/tokenizer.json", "llama2/tokenizer.json", "llama2/tokenizer.model", "llama3/tokenizer.json",
         "mistral-newformat/tokenizer.json", "neox/tokenizer.json", "neox/tokenizer_newformat.json", "qwen2/tokenizer.json"]


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def texts_of(file):
    text = file.read_bytes().decode("utf-8")
    if file.suffix == ".txt":
        return [text] + text.split("\n\n")
    return [one for line in text.split("\n") if line for one in strings(json.loads(line))]


def opened(file):
    """Two functions: ids of a text with special tokens, and the text of ids without them."""
    if file.suffix == ".model":
        processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
        return lambda text: [processor.bos_id()] + processor.encode(text), lambda ids: processor.decode(ids[1:])
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text).ids, tokenizer.decode


def digest(texts, encode, decode):
    ids_hash, text_hash, count = hashlib.sha256(), hashlib.sha256(), 0
    for text in texts:
        ids = encode(text)
        count += len(ids)
        ids_hash.update(array.array("i", ids + [-1]).tobytes())
        text_hash.update(decode(ids).encode() + b"\0")
    return {"count": count, "ids": ids_hash.hexdigest(), "texts": text_hash.hexdigest()}


def main():
    assert sys.byteorder == "little" and array.array("i").itemsize == 4
    data = pathlib.Path(sys.argv[1])
    corpora = {name: [text for file in files for text in texts_of(data / "datasets" / file)] for name, files in CORPORA.items()}
    assert not any(token in text for texts in corpora.values() for text in texts for token in ("<s>", "</s>", "<unk>"))  # sentencepiece's own
    out = {"versions": {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__}, "corpora": CORPORA, "digests": {}}
    for name in FILES:
        encode, decode = opened(data / "tokenizers" / name)
        out["digests"][name] = {corpus: digest(texts, encode, decode) for corpus, texts in corpora.items()}
        print(name, out["digests"][name], flush=True)
    (GOLDEN / "tokenizer_digests.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
