"""A tiny random model of each family, with log-probabilities, a greedy answer and eight steps of LoRA.

    python make_families.py [NAME...]

writes families/NAME/ beside this script, but for greedy.json (make_window_greedy.py); see README.md. EXAONE 3 has no class in transformers: it is a Llama under other names.
"""

import json
import math
import pathlib
import random
import shutil
import sys

import bitsandbytes.functional as bnb_functional
import peft
import safetensors.torch
import torch
import transformers
from transformers.pytorch_utils import Conv1D

import golden_rows

HERE = pathlib.Path(__file__).resolve().parent
STEPS, GLOBAL_BATCH, LEARNING_RATE = 8, 4, 2e-3
ANSWER_TOKENS = 12
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32, "rope_theta": 5000.0,
}
DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}


def sizes(hidden, layers, heads, kv_heads, intermediate, vocabulary, **more):
    return dict(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
        intermediate_size=intermediate, vocab_size=vocabulary, max_position_embeddings=128, bos_token_id=1, eos_token_id=2,
        pad_token_id=None, **more,
    )


class InternLM3ForCausalLM(transformers.LlamaForCausalLM):
    """What AutoModelForCausalLM makes of an InternLM3."""

    config_class = transformers.InternLM3Config


# name: class, keys of its configuration, dtype of the file, how config.json is written, target modules of the LoRA run
VARIANTS = {
    "llama3": (
        transformers.LlamaForCausalLM,
        sizes(40, 2, 4, 2, 72, 97, attention_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-5, rope_parameters=LLAMA3),
        torch.float16, "v4", "all-linear",
    ),
    "mistral_window": (
        transformers.MistralForCausalLM,
        sizes(36, 2, 6, 1, 70, 101, head_dim=8, sliding_window=7, tie_word_embeddings=False, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v5", "all-linear",
    ),
    "qwen2_window": (
        transformers.Qwen2ForCausalLM,
        sizes(40, 3, 4, 2, 52, 90, use_sliding_window=True, sliding_window=6, max_window_layers=1, tie_word_embeddings=True,
              rope_parameters={**DEFAULT_ROPE, "rope_theta": 1000000.0}),
        torch.float32, "v4", ["q_proj", "v_proj", "down_proj"],
    ),
    "qwen3": (
        transformers.Qwen3ForCausalLM,
        sizes(40, 2, 4, 2, 66, 103, head_dim=16, tie_word_embeddings=False, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v5", "all-linear",
    ),
    "gemma": (
        transformers.GemmaForCausalLM,
        sizes(44, 2, 4, 1, 60, 99, head_dim=16, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v4", "all-linear",
    ),
    "gpt2": (
        transformers.GPT2LMHeadModel,
        dict(n_embd=40, n_layer=2, n_head=4, n_positions=64, vocab_size=95, bos_token_id=1, eos_token_id=2,
             resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
        torch.float32, "v4", ["c_attn", "c_proj"],
    ),
    "gpt2_bare": (  # no "transformer." before the names, the masks of old files among the tensors
        transformers.GPT2LMHeadModel,
        dict(n_embd=42, n_layer=2, n_head=6, n_positions=64, n_inner=74, vocab_size=91, bos_token_id=1, eos_token_id=2,
             resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, scale_attn_by_inverse_layer_idx=True),
        torch.bfloat16, "v5", "all-linear",
    ),
    "gpt_neox_parallel": (
        transformers.GPTNeoXForCausalLM,
        dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=76, vocab_size=94,
             max_position_embeddings=128, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
             rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.25}),
        torch.float16, "v4", "all-linear",
    ),
    "gpt_neox_serial": (  # an odd number of dimensions to rotate: transformers rotates one more
        transformers.GPTNeoXForCausalLM,
        dict(hidden_size=40, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80, vocab_size=105,
             max_position_embeddings=128, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
             use_parallel_residual=False, rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.5}),
        torch.bfloat16, "v5", ["query_key_value", "dense"],
    ),
    "exaone3": (
        transformers.LlamaForCausalLM,
        sizes(40, 2, 4, 2, 68, 98, head_dim=12, tie_word_embeddings=True, rms_norm_eps=1e-5, rope_parameters=LLAMA3),
        torch.bfloat16, "exaone", "all-linear",
    ),
    "exaone4_hybrid": (
        transformers.Exaone4ForCausalLM,
        sizes(40, 3, 4, 2, 50, 93, sliding_window=8, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
              tie_word_embeddings=False, rope_parameters=LLAMA3),
        torch.bfloat16, "v5", "all-linear",
    ),
    "exaone4_global": (
        transformers.Exaone4ForCausalLM,
        sizes(36, 2, 6, 3, 64, 92, sliding_window=None, layer_types=["full_attention"] * 2, tie_word_embeddings=True,
              rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v4", "all-linear",
    ),
    "gemma3": (  # two rotations, a global layer among those with a window
        transformers.Gemma3ForCausalLM,
        sizes(44, 3, 4, 2, 62, 97, head_dim=16, query_pre_attn_scalar=20, sliding_window=7,
              layer_types=["sliding_attention", "full_attention", "sliding_attention"], final_logit_softcapping=4.0,
              tie_word_embeddings=False,
              rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 50000.0},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "gemma2": (  # caps that bend most scores and logits
        transformers.Gemma2ForCausalLM,
        sizes(40, 3, 4, 2, 58, 95, head_dim=12, query_pre_attn_scalar=9, sliding_window=6, attn_logit_softcapping=1.5,
              final_logit_softcapping=3.0, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v4", "all-linear",
    ),
    "phi3": (  # two sets of rotations, of which the longest row takes the second; a part of each head; fewer key heads
        transformers.Phi3ForCausalLM,
        sizes(56, 2, 4, 2, 58, 96, tie_word_embeddings=False, original_max_position_embeddings=24, rms_norm_eps=1e-5,
              rope_parameters={"rope_type": "longrope", "rope_theta": 500.0, "partial_rotary_factor": 0.75,
                               "short_factor": [1.0, 1.1, 1.3, 1.6, 2.0], "long_factor": [1.5, 2.0, 3.0, 5.0, 8.0]}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "phi3_window": (
        transformers.Phi3ForCausalLM,
        sizes(40, 2, 4, 4, 50, 94, tie_word_embeddings=True, sliding_window=7, rope_parameters=DEFAULT_ROPE),
        torch.float16, "v4", ["qkv_proj", "down_proj"],
    ),
    "smollm3": (
        transformers.SmolLM3ForCausalLM,
        sizes(40, 4, 4, 2, 54, 97, tie_word_embeddings=False, no_rope_layer_interval=2, attention_bias=True, mlp_bias=True,
              rope_parameters={**DEFAULT_ROPE, "rope_theta": 5000.0}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "granite": (
        transformers.GraniteForCausalLM,
        sizes(40, 2, 4, 2, 62, 93, tie_word_embeddings=False, embedding_multiplier=3.0, residual_multiplier=0.22, logits_scaling=0.4,
              attention_multiplier=0.25, mlp_bias=True, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v5", "all-linear",
    ),
    "glm4": (
        transformers.Glm4ForCausalLM,
        sizes(40, 2, 6, 2, 50, 99, head_dim=12, tie_word_embeddings=False,
              rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.5}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "hyperclovax": (
        transformers.HyperCLOVAXForCausalLM,
        sizes(40, 2, 4, 2, 56, 95, tie_word_embeddings=False, embedding_multiplier=2.0, residual_multiplier=0.3, logits_scaling=1.7,
              attention_multiplier=0.2, use_post_norm=True, attention_bias=True, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v5", "all-linear",
    ),
    "hyperclovax_plain": (  # without norms after attention and MLP
        transformers.HyperCLOVAXForCausalLM,
        sizes(36, 2, 6, 3, 50, 91, tie_word_embeddings=True, residual_multiplier=0.5, use_post_norm=False,
              rope_parameters=DEFAULT_ROPE),
        torch.float32, "v5", "all-linear",
    ),
    "cohere2": (
        transformers.Cohere2ForCausalLM,
        sizes(48, 4, 4, 2, 50, 92, tie_word_embeddings=False, sliding_window=6, logit_scale=0.7,
              layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
              rope_parameters={**DEFAULT_ROPE, "rope_theta": 500.0}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "ministral3": (  # the longest row reaches queries that have grown
        transformers.Ministral3ForCausalLM,
        sizes(40, 2, 4, 2, 52, 90, head_dim=16, tie_word_embeddings=False,
              rope_parameters={"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16,
                               "beta_fast": 4.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 0.5,
                               "llama_4_scaling_beta": 0.3}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "stablelm": (
        transformers.StableLmForCausalLM,
        sizes(48, 2, 4, 2, 54, 96, tie_word_embeddings=False, use_qkv_bias=True,
              rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.5}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "stablelm_parallel": (
        transformers.StableLmForCausalLM,
        sizes(40, 2, 4, 4, 50, 93, tie_word_embeddings=False, use_parallel_residual=True,
              rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.4}),
        torch.float16, "v5", ["q_proj", "v_proj", "up_proj"],
    ),
    "starcoder2": (
        transformers.Starcoder2ForCausalLM,
        sizes(40, 2, 4, 2, 70, 94, tie_word_embeddings=False, sliding_window=7, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v5", "all-linear",
    ),
    "nemotron": (
        transformers.NemotronForCausalLM,
        sizes(40, 2, 4, 2, 60, 97, head_dim=12, tie_word_embeddings=False,
              rope_parameters={**DEFAULT_ROPE, "partial_rotary_factor": 0.5}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "internlm3": (
        InternLM3ForCausalLM,
        sizes(40, 2, 4, 2, 50, 94, head_dim=12, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
              rope_parameters={"rope_type": "dynamic", "factor": 6.0, "rope_theta": 500.0}),
        torch.bfloat16, "v5", "all-linear",
    ),
    "olmo2": (
        transformers.Olmo2ForCausalLM,
        sizes(40, 2, 4, 2, 50, 97, tie_word_embeddings=False, attention_bias=True, rope_parameters=DEFAULT_ROPE),
        torch.bfloat16, "v4", "all-linear",
    ),
    "olmo3": (
        transformers.Olmo3ForCausalLM,
        sizes(36, 3, 6, 3, 54, 93, tie_word_embeddings=False, sliding_window=7,
              layer_types=["sliding_attention", "full_attention", "sliding_attention"],
              rope_parameters={"full_attention": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
                                                  "rope_theta": 5000.0},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}),
        torch.bfloat16, "v5", "all-linear",
    ),
}
EXAONE_NAMES = [  # Llama's, EXAONE 3's
    ("model.embed_tokens.", "transformer.wte."), ("model.norm.", "transformer.ln_f."), ("model.layers.", "transformer.h."),
    (".input_layernorm.", ".ln_1."), (".post_attention_layernorm.", ".ln_2."), (".self_attn.o_proj", ".attn.attention.out_proj"),
    (".self_attn.", ".attn.attention."), (".gate_proj", ".c_fc_0"), (".up_proj", ".c_fc_1"), (".down_proj", ".c_proj"),
]
EXAONE_CONFIG = {  # Llama's, EXAONE 3's
    "num_hidden_layers": "num_layers", "hidden_act": "activation_function", "rms_norm_eps": "layer_norm_epsilon",
}


def exaone_name(name):
    for ours, theirs in EXAONE_NAMES:
        name = name.replace(ours, theirs)
    return name


def fill_random(model, seed):
    """Spread enough that a wrong bias, norm or rotation moves the log-probabilities by far more than rounding."""
    generator = torch.Generator().manual_seed(seed)
    one = 0.0 if model.config.model_type.startswith(("gemma", "nemotron")) else 1.0  # whose norms add the one themselves
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        last = name.split(".")[-2]
        with torch.no_grad():
            if name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif "norm" in last or last.startswith("ln_"):
                parameter.copy_(one + 0.3 * noise)
            elif last in ("embed_tokens", "embed_in", "wte", "wpe"):
                parameter.copy_(noise * (0.35 if model.config.tie_word_embeddings else 1.0))  # a tied head sets the logits' size
            else:
                width = parameter.shape[0 if ".c_" in name and model.config.model_type == "gpt2" else 1]
                parameter.copy_(noise * 1.2 / math.sqrt(width))


def config_text(name, config, form):
    """config.json as transformers 5 writes it, or with the keys of transformers 4, or as EXAONE 3 has it."""
    keys = json.loads(config.to_json_string(use_diff=False))
    for key in ("transformers_version", "_name_or_path", "architectures", "layer_types" if name == "qwen2_window" else ""):
        keys.pop(key, None)
    if form == "v5":
        return keys
    rope = dict(keys.pop("rope_parameters", None) or {})
    keys["torch_dtype"] = keys.pop("dtype", None)
    if rope:
        base = "rotary_emb_base" if config.model_type == "gpt_neox" else "rope_theta"
        keys[base] = rope.pop("rope_theta")
        if "partial_rotary_factor" in rope:
            keys["rotary_pct"] = rope.pop("partial_rotary_factor")
        keys["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    if form == "exaone":
        keys = {EXAONE_CONFIG.get(key, key): value for key, value in keys.items()}
        keys["model_type"] = "exaone"
        keys.pop("tie_word_embeddings")  # tied is its default
    return keys


def save_model(folder, name, seed):
    kind, keys, dtype, form, _ = VARIANTS[name]
    config = kind.config_class(**keys)
    model = kind(config).float()
    fill_random(model, seed)
    model = model.to(dtype)
    tensors = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        for key in ("lm_head.weight", "embed_out.weight"):
            tensors.pop(key, None)
    if form == "exaone":
        tensors = {exaone_name(key): value for key, value in tensors.items()}
    if name == "gpt_neox_parallel":  # the head's name before transformers 5
        tensors["embed_out.weight"] = tensors.pop("lm_head.weight")
    if name == "gpt2_bare":
        tensors = {key.removeprefix("transformer."): value for key, value in tensors.items()}
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 8, 8)
        tensors["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    folder.mkdir(parents=True)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config_text(name, config, form), indent=1, sort_keys=True) + "\n")
    return config, model.state_dict()


def check_config(folder, name, config):
    """What transformers reads from config.json must be what the model was made with."""
    kind, _, _, form, _ = VARIANTS[name]
    if form == "exaone":
        return
    again = kind.config_class.from_pretrained(str(folder))
    for key, value in config.to_dict().items():
        if key not in ("transformers_version", "_name_or_path", "architectures", "dtype") and getattr(again, key) != value:
            raise SystemExit(f"{name}: {key} is {getattr(again, key)} in config.json, {value} in the model")


def new_model(name, config, state):
    kind = VARIANTS[name][0]
    config._attn_implementation = "eager"
    model = kind(config).float()
    model.load_state_dict({key: value.float() for key, value in state.items()})
    return model.eval()


def block_linears(model):
    """The linear layers of the blocks."""
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)) and name.split(".")[-1] not in ("lm_head", "embed_out"):
            yield name, module


def quantize_base(model):
    """Every linear weight of a block through bitsandbytes' NF4 (blocks of 64, no double quantization) and back."""
    for _, module in block_linears(model):
        weight = module.weight.data
        weight = weight.T.contiguous() if isinstance(module, Conv1D) else weight
        # As one row: with AVX-512, dequantize_4bit 0.50.2 takes other scales for rows of 48 elements.
        codes, state = bnb_functional.quantize_4bit(
            weight.reshape(-1).clone(), blocksize=64, compress_statistics=False, quant_type="nf4"
        )
        restored = bnb_functional.dequantize_4bit(codes, state).reshape(weight.shape)
        module.weight.data = restored.T.contiguous() if isinstance(module, Conv1D) else restored


def make_rows(seed, vocabulary):
    rng = random.Random(seed)
    return [[1] + [rng.randrange(3, vocabulary) for _ in range(length - 1)] for length in (2, 9, 40)]


def make_training_rows(seed, vocabulary):
    rng = random.Random(1000 + seed)
    rows = []
    for number in range(STEPS * GLOBAL_BATCH):
        ids = [1] + [rng.randrange(3, vocabulary) for _ in range(rng.randint(9, 26))]
        masked = rng.randint(0, 4)
        rows.append({"input_ids": ids, "labels": [-100] * masked + ids[masked:]})
    return rows


def log_probs(model, rows):
    return [golden_rows.rounded(given) for given in golden_rows.log_probs(model, rows)]


def greedy(model, prompt):
    """The most probable next id, again and again over the whole text; stops the script at a near tie."""
    ids = list(prompt)
    for _ in range(ANSWER_TOKENS):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
        best = torch.topk(logits, 2)
        if (best.values[0] - best.values[1]).item() < 1e-3:
            raise SystemExit("two tokens are as good as equal; choose another seed")
        ids.append(best.indices[0].item())
    model.generation_config.eos_token_id = None
    made = model.generate(torch.tensor([prompt]), max_new_tokens=ANSWER_TOKENS, do_sample=False, pad_token_id=0)
    if made[0].tolist() != ids:
        raise SystemExit("generate disagrees with the whole text")
    return ids[len(prompt):]


def adapter_parameters(model):
    return [
        (name.replace(".default.", "."), parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def new_adapter(model, targets):
    model = peft.get_peft_model(
        model,
        peft.LoraConfig(
            r=3, lora_alpha=6, lora_dropout=0.0, target_modules=targets, bias="none", task_type="CAUSAL_LM",
            fan_in_fan_out=model.config.model_type == "gpt2",
        ),
    )
    generator = torch.Generator().manual_seed(1234)
    for name, parameter in sorted(adapter_parameters(model), key=lambda pair: pair[0]):
        with torch.no_grad():
            if "lora_A" in name:
                parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2.0 - 1.0) / math.sqrt(parameter.shape[1]))
            else:
                parameter.zero_()
    return model


def save_adapter(model, folder, name):
    """PEFT's own writer; then what depends on the run is made fixed, and EXAONE 3 gets its names."""
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = name
    config["target_modules"] = sorted(config["target_modules"])
    if VARIANTS[name][3] == "exaone":
        config["target_modules"] = sorted({exaone_name("." + target)[1:] for target in config["target_modules"]})
        config["target_modules"] = sorted("out_proj" if target == "o_proj" else target for target in config["target_modules"])
        file = folder / "adapter_model.safetensors"
        tensors = {exaone_name(key): value for key, value in safetensors.torch.load_file(file).items()}
        safetensors.torch.save_file(tensors, file, {"format": "pt"})
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def train(model, rows, optimizer=None):
    """AdamW on every trained tensor, or the given optimizer. Each row by itself; the loss is the sum of the token losses over the number of target tokens of the batch."""
    model.train()
    parameters = [parameter for _, parameter in adapter_parameters(model)]
    optimizer = optimizer or torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        batch = rows[step * GLOBAL_BATCH : (step + 1) * GLOBAL_BATCH]
        count = sum(label != -100 for row in batch for label in row["labels"][1:])
        optimizer.zero_grad()
        total = 0.0
        for row in batch:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"][1:]), reduction="sum") / count
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    return losses


def trainable_line(model):
    trainable, everything = model.get_nb_trainable_parameters()
    return f"trainable params: {trainable:,} || all params: {everything:,} || trainable%: {100 * trainable / everything:.4f}"


def make_variant(name, seed):
    folder = HERE / "families" / name
    shutil.rmtree(folder, ignore_errors=True)
    config, state = save_model(folder, name, seed)
    check_config(folder, name, config)
    rows = make_rows(seed, config.vocab_size)
    training = make_training_rows(seed, config.vocab_size)
    golden = {"rows": rows, "training_rows": training}
    for quantization in ("none", "nf4"):
        model = new_model(name, config, state)
        if quantization == "nf4":
            quantize_base(model)
        part = {"logprobs": log_probs(model, rows), "greedy": greedy(model, rows[1])}
        adapted = new_adapter(model, VARIANTS[name][4])
        if quantization == "none":
            save_adapter(adapted, folder / "adapter_init", name)
            golden["trainable"] = trainable_line(adapted)
        part["losses"] = train(adapted, training)
        save_adapter(adapted, folder / f"adapter_{quantization}", name)
        adapted.eval()
        part["logprobs_adapted"] = log_probs(adapted, rows)
        golden[quantization] = part
        print(f"{name:18} {quantization:5}", [round(loss, 4) for loss in part["losses"]], part["greedy"][:4])
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")


def main():
    torch.set_num_threads(1)
    for seed, name in enumerate(VARIANTS):
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make_variant(name, 10 + seed)


if __name__ == "__main__":
    main()
