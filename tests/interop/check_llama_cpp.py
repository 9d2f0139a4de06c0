"""Reads GGUF files of lora_dist with llama.cpp (llama-cpp-python 0.3.36) and gguf-py 0.19.0, and compares with `lora_dist score`.

    python check_llama_cpp.py PROGRAM [RESULTS.md]

For small random models of five families, and for SmolLM2-135M if demo/smollm2/fetch_model.sh has put it into build-deps: some steps of
training; then the log-probabilities of base and adapter by `score` against llama.cpp's of the merged model in F32, F16 and Q8_0, and of base
and LoRA as two files. Then every model of tests/golden/gguf, written again in F32. gguf-py reads every file that was written. Prints
tables (and writes them to RESULTS.md); ends with 1 where a difference is above LARGEST. Says so and ends with 0 if a package is missing.

llama.cpp rounds more than weights: activations to F16 or to blocks of Q8_0 before a product, as its weights are, and GELU to F16. In F32 only the
latter is left.
"""

import json
import pathlib
import platform
import sys
import tempfile

try:
    import gguf
    import llama_cpp
    import numpy as np
    import torch
    import transformers
except ImportError as missing:
    print(f"llama.cpp was not compared: {missing}; pip install llama-cpp-python==0.3.36 gguf==0.19.0 builds it from source, about ten minutes")
    sys.exit(0)

import check_interop
from check_interop import GOLDEN, make_families, run, score, train, write_data

ROOT = GOLDEN.parents[1]
SMOLLM2 = ROOT / "build-deps" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
# How far apart log-probabilities may be: the largest, and the mean.
LARGEST = {"f32": (0.005, 0.001), "f16": (0.02, 0.004), "q8_0": (1.0, 0.06), "lora": (0.03, 0.004)}
# What llama.cpp does otherwise than the file says, and so is shown without a limit.
KNOWN = {
    "exaone4_hybrid": "windows of EXAONE 4 only in models of 64 layers",
    "olmo3": "one rotation for all layers",
    "phi3": "the longer factors for all texts if the context is longer than the original one",
    "phi3_window": "no windows",
}
SIZES = dict(vocab_size=128, bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA = dict(SIZES, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=128)
# name: class, configuration, target modules. Rows of 64 and 128 are whole blocks of Q8_0.
MODELS = {
    "llama": (transformers.LlamaForCausalLM, dict(LLAMA, tie_word_embeddings=False), "all-linear"),
    "qwen2": (transformers.Qwen2ForCausalLM, dict(LLAMA, tie_word_embeddings=True), "all-linear"),
    "gemma3": (
        transformers.Gemma3ForCausalLM,
        dict(LLAMA, head_dim=32, query_pre_attn_scalar=32, sliding_window=8, num_hidden_layers=6), "all-linear",
    ),
    "gpt2": (
        transformers.GPT2LMHeadModel,
        dict(SIZES, n_embd=64, n_layer=3, n_head=4, n_positions=128, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0), "all-linear",
    ),
    "gpt_neox": (
        transformers.GPTNeoXForCausalLM,
        dict(SIZES, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=128),
        "all-linear",
    ),
}
TEXTS = [
    "Once there was a small village by the sea. 안녕하세요, 한국어 문장입니다.",
    "def add(a, b):\n    return a + b  # 😀🎉\n\nprint(add(1, 2))\t<|im_start|>",
]


def by_llama_cpp(file, rows, lora=None):
    """Log-probabilities of each row's tokens from the second on; keys and values of attention in F32."""
    model = llama_cpp.Llama(str(file), n_ctx=256, n_batch=256, logits_all=True, verbose=False, type_k=0, type_v=0, n_threads=2,
                            lora_path=str(lora) if lora else None, swa_full=True)
    out = []
    for ids in rows:
        model.reset()
        model.eval(ids)
        logits = np.array(model.scores[: len(ids)], np.float64)
        top = logits.max(axis=1, keepdims=True)
        given = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        out.append([given[i - 1, ids[i]] for i in range(1, len(ids))])
    model.close()
    return out


def distances(ours, theirs):
    pairs = [abs(a - b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)]
    return max(pairs), sum(pairs) / len(pairs)


def read_by_gguf_py(file):
    """Every tensor is decoded, and must be finite."""
    reader = gguf.GGUFReader(file)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if not np.isfinite(values).all() or values.size != tensor.n_elements:
            raise SystemExit(f"{file}: gguf-py reads tensor {tensor.name} as something else")
    return len(reader.tensors)


def export(program, kind, model, work, *more):
    file = work / f"{kind}{'_merged' if more else ''}.gguf"
    run(program, "export", "--for", "gguf", "--type", kind, "--model", str(model), "--quantization", "none", "--output", str(file), *more)
    read_by_gguf_py(file)
    return file


def make_model(name, folder):
    kind, sizes, _ = MODELS[name]
    model = kind(kind.config_class(**sizes)).float()
    make_families.fill_random(model, 7)
    model.save_pretrained(folder)
    return folder


def rows_of_smollm2():
    model = llama_cpp.Llama(str(SMOLLM2), vocab_only=True, verbose=False)
    return [model.tokenize(text.encode(), add_bos=True, special=True) for text in TEXTS]


def check_ids(program, rows, work):
    """SmolLM2's ids of the texts are llama.cpp's."""
    (work / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    run(program, "score", "--model", str(SMOLLM2), "--quantization", "none", "--input", str(work / "texts.jsonl"),
        "--output", str(work / "ids.jsonl"))
    ours = [json.loads(line)["input_ids"] for line in (work / "ids.jsonl").read_text().splitlines()]
    if ours != rows:
        raise SystemExit(f"SmolLM2: ids differ from llama.cpp's: {ours} and {rows}")


def check(program, name, work):
    """Base and adapter by `score`, and what llama.cpp makes of the files."""
    smollm2 = name == "SmolLM2-135M"
    base = SMOLLM2 if smollm2 else make_model(name, work / "model")
    rows = rows_of_smollm2() if smollm2 else make_families.make_rows(3, 128)
    if smollm2:
        check_ids(program, rows, work)
    targets = '["q_proj","k_proj","v_proj","o_proj","down_proj"]' if smollm2 else MODELS[name][2]
    adapter = train(program, base, write_data(work, rows), work / "run",
                    {"adapter.r": "4", "adapter.alpha": "8", "adapter.target_modules": targets,
                     "train.learning_rate": "1e-3" if smollm2 else "1e-2"})
    ours = score(program, base, rows, work, "--adapter", str(adapter), "--quantization", "none")
    plain = score(program, base, rows, work, "--quantization", "none")
    result = {"moved": distances(plain, ours)}
    for kind in ("f32", "f16", "q8_0"):
        file = export(program, kind, base, work, "--adapter", str(adapter))
        result[kind] = distances(ours, by_llama_cpp(file, rows))
        result[f"{kind} in lora_dist"] = distances(ours, score(program, file, rows, work, "--quantization", "none"))
        file.unlink()
    lora = work / "lora.gguf"
    run(program, "export", "--for", "llama.cpp", "--model", str(base), "--adapter", str(adapter), "--output", str(lora))
    read_by_gguf_py(lora)
    result["lora"] = distances(ours, by_llama_cpp(export(program, "f16", base, work), rows, lora))
    return result


def check_golden(program, file, work):
    """A file of tests/golden/gguf, written again, in llama.cpp and by `score`."""
    vocabulary = next(tensor for tensor in gguf.GGUFReader(file).tensors if tensor.name == "token_embd.weight").shape[1]
    rows = make_families.make_rows(3, int(vocabulary))
    written = export(program, "f32", file, work)
    return distances(score(program, file, rows, work, "--quantization", "none"), by_llama_cpp(written, rows))


def table(results, golden):
    lines = [
        f"llama-cpp-python {llama_cpp.__version__}, gguf-py 0.19.0, Python {platform.python_version()}. Differences of log-probabilities, "
        "the largest and the mean, from base and adapter in lora_dist (fp32).",
        "",
        "| model | merged, F32 | merged, F16 | merged, Q8_0 | the same Q8_0 file in lora_dist | base in F16 + LoRA | what training moved |",
        "|---|---|---|---|---|---|---|",
    ]
    pair = "{0[0]:.1e}, {0[1]:.1e}".format
    for name, result in results:
        columns = [pair(result[key]) for key in ("f32", "f16", "q8_0", "q8_0 in lora_dist", "lora", "moved")]
        lines.append(f"| {name} | " + " | ".join(columns) + " |")
    lines += ["", "| tests/golden/gguf, written again in F32 | difference |", "|---|---|"]
    lines += [f"| {name} | {pair(difference)}{'; llama.cpp has ' + KNOWN[name] if name in KNOWN else ''} |" for name, difference in golden]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    program = str(pathlib.Path(sys.argv[1]).resolve())
    names = list(MODELS) + (["SmolLM2-135M"] if SMOLLM2.exists() else [])
    if not SMOLLM2.exists():
        print("SmolLM2 was left out: demo/smollm2/fetch_model.sh fetches it")
    results, golden, wrong = [], [], []
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            results.append((name, check(program, name, pathlib.Path(work))))
        for kind, limits in LARGEST.items():
            if not all(value <= limit for value, limit in zip(results[-1][1][kind], limits)):
                wrong.append(f"{name} ({kind})")
    for file in sorted((GOLDEN / "gguf").glob("*.gguf")):
        with tempfile.TemporaryDirectory() as work:
            golden.append((file.stem, check_golden(program, file, pathlib.Path(work))))
        if file.stem not in KNOWN and not golden[-1][1][0] <= LARGEST["f32"][0]:
            wrong.append(file.stem)
    text = table(results, golden)
    print(text, end="")
    if sys.argv[2:]:
        pathlib.Path(sys.argv[2]).write_text("# Read by llama.cpp\n\n`make interop PYTHON=...`\n\n" + text)
    if wrong:
        raise SystemExit(f"further apart than llama.cpp rounds: {', '.join(wrong)}")


if __name__ == "__main__":
    check_interop.transformers.logging.set_verbosity_error()
    main()
