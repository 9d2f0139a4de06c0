"""Loads an adapter folder written by lora_dist with Hugging Face PEFT and checks every tensor and the scale.

python check_peft_adapter.py ADAPTER_FOLDER

The base is a random Llama whose sizes are taken from the adapter's tensors, so no model files are needed. Not part of
`make test`: it needs requirements.txt. Exit status 0 means that PEFT loaded every tensor, bit for bit, and no other.
"""

import json
import re
import sys
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM


def base_for(tensors):
    def shape(module, half, axis, otherwise):
        found = [t.shape[axis] for name, t in tensors.items() if f".{module}.lora_{half}." in name]
        return found[0] if found else otherwise

    layers = 1 + max(int(re.search(r"layers\.(\d+)\.", name)[1]) for name in tensors)
    hidden = next((shape(m, "A", 1, None) for m in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj") if shape(m, "A", 1, None)), None)
    hidden = hidden or shape("down_proj", "B", 0, None) or shape("o_proj", "B", 0, None)
    heads_width = shape("q_proj", "B", 0, shape("o_proj", "A", 1, hidden))
    kv_width = shape("k_proj", "B", 0, shape("v_proj", "B", 0, heads_width))
    head_dim = torch.tensor([heads_width, kv_width]).gcd(torch.tensor(kv_width))[0].item()
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads_width // head_dim,
            num_key_value_heads=kv_width // head_dim, head_dim=head_dim,
            intermediate_size=shape("gate_proj", "B", 0, shape("up_proj", "B", 0, shape("down_proj", "A", 1, 2 * hidden))),
        )
    )


def main(folder):
    tensors = load_file(folder / "adapter_model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # PEFT warns about unknown configuration keys and about missing or unexpected tensors
        config = PeftConfig.from_pretrained(str(folder))
        model = PeftModel.from_pretrained(base_for(tensors), str(folder))
    assert isinstance(config, LoraConfig), type(config)
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    assert loaded.keys() == tensors.keys(), sorted(loaded.keys() ^ tensors.keys())
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor), name
    adapted = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    assert 2 * len(adapted) == len(tensors), sorted(adapted)
    for name, module in adapted.items():
        alpha, r = module.lora_alpha["default"], module.r["default"]
        assert module.scaling["default"] == alpha / (r**0.5 if config.use_rslora else r), name
    logits = model(input_ids=torch.arange(8)[None]).logits
    assert torch.isfinite(logits).all()
    # What PEFT itself writes for the same configuration has the same value under every key written here.
    config.inference_mode = True
    base = base_for(tensors)
    base.name_or_path = config.base_model_name_or_path  # get_peft_model copies it from there
    theirs = json.loads(json.dumps(get_peft_model(base, config).peft_config["default"].to_dict(), default=sorted))
    ours = json.loads((folder / "adapter_config.json").read_text())
    theirs["target_modules"] = sorted(theirs["target_modules"])  # a set there
    for key, value in ours.items():
        assert theirs[key] == value, (key, value, theirs[key])
    print(f"PEFT loaded {len(tensors)} tensors of {folder}")


main(Path(sys.argv[1]))
