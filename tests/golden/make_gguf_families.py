"""GGUF files of tiny models of families/ as llama.cpp's own converter writes them, and transformers' log-probabilities.

    python make_gguf_families.py LLAMA_CPP [NAME...]

LLAMA_CPP is llama.cpp's source at commit 0c1e5709 (vendor/llama.cpp of the source archive of llama-cpp-python 0.3.36). Writes
gguf/NAME.gguf and gguf/families.json beside this script. The models have no tokenizer, so that step of the converter is left
out: they get a vocabulary of made-up words. Where such a file cannot say what the model of families/ does, CHANGES makes it another model. Needs requirements.txt with
transformers 5.24.0.

families.json: for each name "rows", "logprobs" of the changed model, and "file_in_transformers": the largest difference when
transformers reads the GGUF file itself; null where it does not know the architecture.
"""

import json
import pathlib
import sys
import tempfile

import safetensors.torch
import torch
import transformers

import golden_rows

HERE = pathlib.Path(__file__).resolve().parent
NO_BIAS = {"attention_bias": False, "mlp_bias": False}
# Name: class, changed keys of config.json, tensors that are left out.
CHANGES = {
    "gemma2": ("Gemma2ForCausalLM", {"query_pre_attn_scalar": 12}, ()),  # there is no key: it is head_dim
    "gemma3": (  # layers with windows as without a list in the file: five of six
        "Gemma3ForCausalLM",
        {"query_pre_attn_scalar": 16, "layer_types": ["sliding_attention"] * 3, "tie_word_embeddings": True}, ("lm_head.",),
    ),
    "phi3": ("Phi3ForCausalLM", {}, ()),
    "phi3_window": ("Phi3ForCausalLM", {}, ()),
    "olmo2": ("Olmo2ForCausalLM", {"attention_bias": False}, (".bias",)),
    "olmo3": ("Olmo3ForCausalLM", {}, ()),
    "smollm3": ("SmolLM3ForCausalLM", {**NO_BIAS, "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4}, (".bias",)),
    "glm4": ("Glm4ForCausalLM", {}, ()),
    "granite": ("GraniteForCausalLM", {}, ()),
    "cohere2": (
        "Cohere2ForCausalLM",
        {"tie_word_embeddings": True, "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "rotary_pct": 1.0},
        ("lm_head.",),
    ),
    "stablelm": ("StableLmForCausalLM", {}, ()),
    "stablelm_parallel": ("StableLmForCausalLM", {}, ()),
    "starcoder2": ("Starcoder2ForCausalLM", {"sliding_window": None}, ()),  # windows are not written
    "nemotron": (  # heads that fill the hidden size, as llama.cpp wants them
        "NemotronForCausalLM",
        {"head_dim": 10, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4}}, (),
    ),
    "ministral3": ("Ministral3ForCausalLM", {}, ()),
    "internlm3": ("LlamaForCausalLM", {"model_type": "llama"}, ()),  # as AutoModelForCausalLM runs it
}


def put_folder(name, folder):
    """The changed model as a folder that the converter takes."""
    kind, changes, left_out = CHANGES[name]
    source = HERE / "families" / name
    config = {**json.loads((source / "config.json").read_text()), **changes, "architectures": [kind]}
    if config.get("torch_dtype", 0) is None:
        config.pop("torch_dtype")
    tensors = {
        key: value
        for key, value in safetensors.torch.load_file(source / "model.safetensors").items()
        if not any(part in key for part in left_out)
    }
    if name == "nemotron":
        tensors = {key: narrowed(key, value, config) for key, value in tensors.items()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {str(token): token for token in range(config["vocab_size"])}  # Gemma 3's converter counts it
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": []}))
    return config


def narrowed(name, weights, config):
    """Rows of q, k and v, and columns of o, for the new head_dim."""
    heads = config["num_key_value_heads" if "k_proj" in name or "v_proj" in name else "num_attention_heads"]
    width = heads * config["head_dim"]
    if any(part in name for part in ("q_proj", "k_proj", "v_proj")):
        return weights[:width].contiguous()
    return weights[:, :width].contiguous() if "o_proj" in name else weights


def convert(folder, config, target, conversion):
    """What convert_hf_to_gguf.py does, without the vocabulary."""
    if config["model_type"] == "internlm3":
        config["architectures"] = ["InternLM3ForCausalLM"]
    kind = conversion.get_model_class(config["architectures"][0])
    types = sys.modules["conversion.base"].gguf.LlamaFileType
    with torch.inference_mode():
        halves = safetensors.torch.load_file(folder / "model.safetensors")["model.embed_tokens.weight"].dtype == torch.float16
        kept = types.MOSTLY_F16 if halves else types.MOSTLY_BF16
        model = kind(folder, kept, target, eager=True)
        for each in (model, getattr(model, "impl", None)):
            if each is not None:
                each.set_vocab = lambda each=each: add_vocabulary(each.gguf_writer, config["vocab_size"])
        model.write()


def add_vocabulary(writer, size):
    """Any one, since the models have none; transformers takes its size, and llama.cpp looks for Phi-3's end."""
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(["<unk>", "<s>", "</s>", "<|endoftext|>"] + [f"token{number}" for number in range(4, size)])
    writer.add_token_scores([-float(number) for number in range(size)])
    writer.add_token_types([2, 3, 3, 3] + [1] * (size - 4))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)


def log_probs(model, rows):
    model.config._attn_implementation = "eager"
    return golden_rows.log_probs(model.eval(), rows)


def distance(one, other):
    return max(abs(a - b) for x, y in zip(one, other) for a, b in zip(x, y))


def read_by_transformers(folder, file, rows, expected):
    """Null: it does not know the architecture. Else the largest difference."""
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager"
        )
        scores = log_probs(model, rows)
    except (ValueError, NotImplementedError, KeyError, AttributeError, AssertionError, RuntimeError, TypeError) as problem:
        print(f"  transformers does not read {file.name}: {str(problem)[:120]}")
        return None
    return float(f"{distance(scores, expected):.2g}")


def main(llama_cpp, names):
    sys.path[:0] = [str(llama_cpp / "gguf-py"), str(llama_cpp)]
    import conversion

    (HERE / "gguf").mkdir(exist_ok=True)
    out_file = HERE / "gguf" / "families.json"
    out = json.loads(out_file.read_text()) if out_file.exists() else {}
    for name in names or CHANGES:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / name  # whose name the file holds
            folder.mkdir()
            config = put_folder(name, folder)
            target = HERE / "gguf" / f"{name}.gguf"
            target.unlink(missing_ok=True)
            convert(folder, config, target, conversion)
            rows = json.loads((HERE / "families" / name / "golden.json").read_text())["rows"]
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
            scores = log_probs(model, rows)
            read = read_by_transformers(folder, target, rows, scores)
            print(f"{name}: {target.stat().st_size} bytes, transformers' reading differs by {read}")
            out[name] = {
                "rows": rows,
                "none": {"logprobs": [golden_rows.rounded(given) for given in scores]},
                "file_in_transformers": read,
            }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(out[name], separators=(',', ':'))}" for name in sorted(out))
    out_file.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
