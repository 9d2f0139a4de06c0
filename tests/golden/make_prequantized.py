"""Tiny models that transformers and bitsandbytes quantized and saved, with log-probabilities of what transformers reads back.

    python make_prequantized.py [NAME...]

writes prequantized/NAME/ beside this script; see README.md.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import safetensors
import torch
import transformers

import make_families

OUT = pathlib.Path(__file__).resolve().parent / "prequantized"

# name: class, keys of its configuration, type, nested, how the codes are shown. llama_nf4 has weights of more than 256 scales.
VARIANTS = {
    "llama_nf4_nested": (
        transformers.LlamaForCausalLM,
        make_families.sizes(32, 1, 4, 2, 544, 61, tie_word_embeddings=False, rope_parameters=make_families.DEFAULT_ROPE),
        "nf4", True, torch.uint8,
    ),
    "gpt2_fp4_in_bf16": (
        transformers.GPT2LMHeadModel,
        dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=59, bos_token_id=1, eos_token_id=2,
             resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
        "fp4", False, torch.bfloat16,
    ),
    "qwen2_fp4_nested_in_f32": (
        transformers.Qwen2ForCausalLM,
        make_families.sizes(32, 2, 4, 2, 48, 57, tie_word_embeddings=True, rope_parameters=make_families.DEFAULT_ROPE),
        "fp4", True, torch.float32,
    ),
}


def save_quantized(folder, seed, kind, keys, quant_type, nested, storage):
    model = kind(kind.config_class(**keys)).float()
    make_families.fill_random(model, seed)
    how = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=quant_type, bnb_4bit_use_double_quant=nested,
        bnb_4bit_compute_dtype=torch.float32, bnb_4bit_quant_storage=storage,
    )
    with tempfile.TemporaryDirectory() as plain:
        model.save_pretrained(plain)
        quantized = kind.from_pretrained(plain, quantization_config=how, dtype=torch.float32, device_map="cpu")
        quantized.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def main():
    torch.set_num_threads(1)
    for seed, (name, (kind, keys, quant_type, nested, storage)) in enumerate(VARIANTS.items()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_quantized(folder, seed, kind, keys, quant_type, nested, storage)
        model = kind.from_pretrained(folder, dtype=torch.float32, device_map="cpu", attn_implementation="eager").eval()
        rows = make_families.make_rows(seed, model.config.vocab_size)
        golden = {
            "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
            "quant_type": quant_type, "nested": nested, "storage": str(storage).removeprefix("torch."),
            "rows": rows, "logprobs": make_families.log_probs(model, rows),
        }
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        with safetensors.safe_open(folder / "model.safetensors", "pt") as file:
            print(name, sum(path.stat().st_size for path in folder.iterdir()), "bytes", len(file.keys()), "tensors")


if __name__ == "__main__":
    main()
