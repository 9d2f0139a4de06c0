"""GGUF files of the tiny models of families/, and what blocks of every quantized type mean.

    python make_gguf.py

writes gguf/NAME.gguf and gguf/blocks.json beside this script. Needs gguf==0.19.0 and numpy==2.4.6 alone. gguf-py writes the
container, names the tensors and decodes the blocks; what is done to the weights is told after llama.cpp's
convert_hf_to_gguf.py (commit 0c1e5709).
"""

import json
import math
import pathlib
import struct

import gguf
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ARCHITECTURES = {
    "llama3": gguf.MODEL_ARCH.LLAMA,
    "qwen2_window": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma": gguf.MODEL_ARCH.GEMMA,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox_parallel": gguf.MODEL_ARCH.GPTNEOX,
    "exaone3": gguf.MODEL_ARCH.EXAONE,
    "exaone4_hybrid": gguf.MODEL_ARCH.EXAONE4,
}


def read_safetensors(file):
    """Names to values in f32 and the name of their type."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        data = content[8 + length + begin : 8 + length + end]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data, {"F32": np.float32, "F16": np.float16}[entry["dtype"]]).astype(np.float32)
        tensors[name] = values.reshape(entry["shape"]), entry["dtype"]
    return tensors


def pairs(weights, heads):
    """Llama's q and k: the halves of each head side by side."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def slices(weights, heads):
    """GPT-NeoX's query_key_value: all of q, then k, then v."""
    width = weights.shape[0] // heads // 3
    by_head = weights.reshape(heads, 3, width, *weights.shape[1:])
    return np.concatenate([by_head[:, part].reshape(heads * width, *weights.shape[1:]) for part in range(3)])


def converted(architecture, name, weights, heads, kv_heads):
    arch = gguf.MODEL_ARCH
    if architecture == arch.LLAMA and (".q_proj." in name or ".k_proj." in name):
        return pairs(weights, heads if ".q_proj." in name else kv_heads)
    if architecture == arch.GPTNEOX and ".query_key_value." in name:
        return slices(weights, heads)
    if architecture == arch.GEMMA and name.endswith("norm.weight"):
        return weights + np.float32(1)
    if architecture == arch.GPT2 and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return weights.T
    return weights


def stretched(rope, dims, theta):
    """rope_freqs: what Llama 3.1's stretching divides each frequency by."""
    divisors = []
    for i in range(0, dims, 2):
        length = 2 * math.pi * theta ** (i / dims)
        old = rope["original_max_position_embeddings"]
        low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
        if length < old / high:
            divisors.append(1)
        elif length > old / low:
            divisors.append(factor)
        else:
            smooth = (old / length - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, np.float32)


def write_model(name, architecture):
    folder = HERE / "families" / name
    config = json.loads((folder / "config.json").read_text())
    get = lambda *keys: next((config[key] for key in keys if config.get(key) is not None), None)
    layers, heads = get("num_hidden_layers", "num_layers", "n_layer"), get("num_attention_heads", "n_head")
    kv_heads = get("num_key_value_heads") or heads
    hidden = get("hidden_size", "n_embd")
    rope = get("rope_scaling", "rope_parameters") or {}
    theta = rope.get("rope_theta") or get("rope_theta", "rotary_emb_base") or 10000.0
    writer = gguf.GGUFWriter(HERE / "gguf" / f"{name}.gguf", gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type("model")
    writer.add_context_length(get("max_position_embeddings", "n_positions"))
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(get("intermediate_size", "n_inner") or 4 * hidden)
    writer.add_head_count(heads)
    if architecture in (gguf.MODEL_ARCH.GPT2, gguf.MODEL_ARCH.GPTNEOX):
        writer.add_layer_norm_eps(get("layer_norm_epsilon", "layer_norm_eps"))
    else:
        writer.add_head_count_kv(kv_heads)
        writer.add_layer_norm_rms_eps(get("rms_norm_eps", "layer_norm_epsilon"))
        writer.add_rope_freq_base(theta)
    if head_dim := get("head_dim"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    dims = get("head_dim") or hidden // heads
    if architecture == gguf.MODEL_ARCH.GPTNEOX:
        writer.add_rope_dimension_count(int(dims * (rope.get("partial_rotary_factor") or get("rotary_pct"))))
        writer.add_parallel_residual(config["use_parallel_residual"])
    if architecture == gguf.MODEL_ARCH.EXAONE4:
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config["layer_types"]])
    if (rope.get("rope_type") or rope.get("type")) == "llama3":
        writer.add_tensor("rope_freqs.weight", stretched(rope, dims, theta))
    names = gguf.get_tensor_name_map(architecture, layers)
    for tensor, (weights, dtype) in read_safetensors(folder / "model.safetensors").items():
        there = names.get_name(tensor, try_suffixes=(".weight", ".bias"))
        assert there, tensor
        weights = np.ascontiguousarray(converted(architecture, tensor, weights, heads, kv_heads))
        kind = gguf.GGMLQuantizationType[dtype if weights.ndim > 1 and not there.endswith("_norm.weight") else "F32"]
        writer.add_tensor(there, gguf.quants.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_blocks():
    random = np.random.default_rng(1)
    types = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]
    halves = {  # where the scales lie, which must be finite
        "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
        "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
    }
    out = {"gguf": "0.19.0", "types": {}}
    for name in types:
        kind = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        count = 2 if values == 256 else 5
        blocks = random.integers(0, 256, (count, size), np.uint8)
        for row, block in enumerate(blocks):
            for at in halves[name]:
                scale = np.float16(random.normal()) if row else np.float16(3e-6)  # a subnormal one
                block[at : at + 2] = np.frombuffer(scale.tobytes(), np.uint8)
        if name == "MXFP4":
            blocks[:, 0] = [0, 1, 2, 120, 130]  # the last two are ordinary
        floats = gguf.quants.dequantize(blocks, kind)
        assert np.isfinite(floats).all() and floats.size == count * values
        out["types"][name] = {"number": int(kind), "blocks": blocks.tobytes().hex(), "values": floats.astype("<f4").tobytes().hex()}
    (HERE / "gguf" / "blocks.json").write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    (HERE / "gguf").mkdir(exist_ok=True)
    for each, of in ARCHITECTURES.items():
        write_model(each, of)
    write_blocks()
