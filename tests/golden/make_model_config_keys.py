"""Writes model_config_keys.json (every key that transformers' configuration classes of the model families have, and defaults) and rope_configs.json
(what their rotations make of config.json files that say it in one place, in two, or in two that disagree).

Made with transformers 5.24.0 and torch 2.15.0:  python tests/golden/make_model_config_keys.py
"""

import dataclasses
import importlib
import json
import pathlib

import torch
from transformers import CONFIG_MAPPING, GenerationConfig
from transformers.configuration_utils import PreTrainedConfig

FAMILIES = ["cohere2", "exaone4", "gemma", "gemma2", "gemma3_text", "glm4", "gpt2", "gpt_neox", "granite", "hyperclovax", "internlm3", "llama",
            "ministral3", "mistral", "nemotron", "olmo2", "olmo3", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2"]
HERE = pathlib.Path(__file__).parent


def keys_of(config_class):
    return sorted(field.name for field in dataclasses.fields(config_class) if not field.name.startswith("_"))


shared = keys_of(PreTrainedConfig)
keys = {
    "every_class": shared,
    "generation": sorted(GenerationConfig._get_default_generation_params()),
    **{family: [key for key in keys_of(CONFIG_MAPPING[family]) if key not in shared] for family in FAMILIES},
}
DEFAULTS = ["num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "layer_norm_eps",
            "layer_norm_epsilon", "norm_eps", "norm_epsilon", "tie_word_embeddings", "attention_bias", "n_inner", "n_positions", "activation_function",
            "use_parallel_residual", "sliding_window"]
keys["defaults"] = {
    family: {field.name: field.default for field in dataclasses.fields(CONFIG_MAPPING[family]) if field.name in DEFAULTS}
    for family in FAMILIES
}
(HERE / "model_config_keys.json").write_text(json.dumps(keys, indent=1) + "\n")

SIZES = {
    "gpt_neox": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 64},
    None: {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
           "intermediate_size": 64, "vocab_size": 64},
}
LINEAR2 = {"rope_type": "linear", "factor": 2.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 5000.0}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0 + 0.1 * i for i in range(8)],
            "long_factor": [2.0 + 0.5 * i for i in range(8)], "original_max_position_embeddings": 64, "rope_theta": 7000.0}
VARIANTS = [
    {},
    {"rope_theta": 5000.0},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 7000.0}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 7000.0}, "rope_theta": 5000.0},
    {"rope_parameters": {"rope_theta": 7000.0}, "rope_theta": 5000.0},
    {"rope_parameters": {"rope_type": "default"}, "rope_theta": 5000.0},
    {"rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 5000.0},
    {"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0}},
    {"rope_scaling": {"type": "default", "rope_type": "linear", "factor": 2.0}},
    {"rope_scaling": LINEAR2, "rope_parameters": {"rope_type": "default", "rope_theta": 7000.0}},
    {"rope_scaling": LINEAR2, "rope_parameters": {"rope_type": "default", "rope_theta": 7000.0}, "rope_theta": 5000.0},
    {"rope_scaling": {**LINEAR2, "rope_theta": 3000.0}, "rope_parameters": {"rope_theta": 7000.0}, "rope_theta": 5000.0},
    {"rope_scaling": LINEAR2, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0}, "rope_theta": 7000.0},
    {"rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 7000.0}},
    {"rope_scaling": None, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 7000.0}},
    {"rope_scaling": {"rope_type": "default"}, "rope_parameters": LLAMA3},
    {"rope_scaling": LLAMA3, "rope_parameters": {"rope_type": "default"}, "rope_theta": 5000.0, "max_position_embeddings": 1024},
    {"rope_parameters": {**LLAMA3, "rope_theta": 5000.0}, "max_position_embeddings": 1024},
    {"rope_scaling": LLAMA3, "original_max_position_embeddings": 128, "max_position_embeddings": 1024},
    {"rope_scaling": {key: LLAMA3[key] for key in LLAMA3 if key != "original_max_position_embeddings"},
     "original_max_position_embeddings": 128, "max_position_embeddings": 1024},
    {"rope_scaling": {key: LLAMA3[key] for key in LLAMA3 if key != "original_max_position_embeddings"},
     "max_position_embeddings": 256},
    {"rope_scaling": {key: LLAMA3[key] for key in LLAMA3 if key != "low_freq_factor"}, "max_position_embeddings": 1024},
    {"rope_scaling": {key: LLAMA3[key] for key in LLAMA3 if key != "high_freq_factor"}, "max_position_embeddings": 1024},
    {"rope_scaling": {"type": "linear"}},
    {"rope_scaling": {"factor": 2.0}},
    {"rope_parameters": {"rope_type": "linear", "factor": 2.0}, "rope_scaling": {"factor": 4.0}},
    {"rope_parameters": YARN},
    {"rope_parameters": {**YARN, "truncate": False, "beta_fast": 4.0, "beta_slow": 0.5, "mscale": 1.0, "mscale_all_dim": 0.5}},
    {"rope_scaling": {**YARN, "attention_factor": 1.3}, "rope_theta": 5000.0, "max_position_embeddings": 1024},
    {"rope_scaling": {"type": "yarn", "factor": 4.0}, "rope_theta": 5000.0, "max_position_embeddings": 64},
    {"rope_scaling": {"rope_type": "yarn"}},
    {"rope_parameters": LONGROPE, "max_position_embeddings": 256},
    {"rope_parameters": {**LONGROPE, "factor": 2.0, "attention_factor": 1.2}},
    {"rope_parameters": {key: LONGROPE[key] for key in LONGROPE if key != "long_factor"}},
    {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 7000.0}},
    {"rope_scaling": {"type": "dynamic"}},
    {"partial_rotary_factor": 0.5},
    {"partial_rotary_factor": 0.5, "rope_scaling": LINEAR2},
    {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5, "rope_theta": 7000.0}},
]
NEOX = [
    {"rotary_emb_base": 5000, "rotary_pct": 0.5},
    {"rotary_pct": 0.5, "partial_rotary_factor": 0.75},
    {"rope_theta": 5000.0, "rotary_pct": 0.5},
    {"rotary_emb_base": 5000, "rope_theta": 6000.0, "rotary_pct": 0.5},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 7000.0, "partial_rotary_factor": 0.75}, "rotary_pct": 0.5,
     "rotary_emb_base": 5000},
    {"rope_scaling": LINEAR2, "rotary_pct": 0.5, "rotary_emb_base": 5000},
    {"rope_scaling": LINEAR2, "rotary_pct": 0.5, "rotary_emb_base": 5000,
     "rope_parameters": {"rope_type": "default", "rope_theta": 7000.0, "partial_rotary_factor": 0.75}},
    {"rope_scaling": {**LINEAR2, "partial_rotary_factor": 1.0}, "rotary_pct": 0.5},
]


def rotation(family, keys):
    """The frequencies that turn queries and keys, or why there are none."""
    config = {"model_type": family, **SIZES.get(family, SIZES[None]), **keys}
    modeling = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    prefix = {"llama": "Llama", "qwen2": "Qwen2", "gpt_neox": "GPTNeoX", "exaone4": "Exaone4"}[family]
    try:
        made = getattr(modeling, prefix + "Config").from_dict(json.loads(json.dumps(config)))
        rotary = getattr(modeling, prefix + "RotaryEmbedding")(made)
    except Exception as problem:  # what transformers does not load
        return {"family": family, "config": config, "refused": type(problem).__name__}
    return {"family": family, "config": config, "scaling": float(rotary.attention_scaling),
            "inverse_frequencies": [float(x) for x in rotary.inv_freq.to(torch.float64)]}


cases = [rotation(family, keys) for family in ["llama", "qwen2", "exaone4"] for keys in VARIANTS]
cases += [rotation("gpt_neox", keys) for keys in VARIANTS + NEOX]
(HERE / "rope_configs.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
