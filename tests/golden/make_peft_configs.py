"""Writes peft_configs/: the adapter_config.json that PEFT saves for a few LoRA adapters.

    python make_peft_configs.py

The models are random and tiny; only the adapters' configurations are kept.
"""

import json
import pathlib
import tempfile

import peft
import transformers

OUT = pathlib.Path(__file__).resolve().parent / "peft_configs"
LLAMA = transformers.LlamaConfig(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=32
)
GPT2 = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=32, n_positions=16)

ADAPTERS = {  # file: (model, name of the base model, options)
    "plain.json": (LLAMA, "models/llama", dict(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=["q_proj", "v_proj"])),
    "transposed.json": (
        GPT2, "models/gpt2", dict(r=16, lora_alpha=32, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
    ),
    "patterns.json": (
        LLAMA,
        "models/llama",
        dict(
            r=4,
            lora_alpha=6,
            use_rslora=True,
            target_modules=r".*\.(q|o)_proj",
            rank_pattern={"layers.1.self_attn.q_proj": 2},
            alpha_pattern={"o_proj": 12},
        ),
    ),
}

OUT.mkdir(exist_ok=True)
for name, (shape, base, options) in ADAPTERS.items():
    model = transformers.AutoModelForCausalLM.from_config(shape)
    model.config.name_or_path = base
    model.name_or_path = base
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    with tempfile.TemporaryDirectory() as folder:
        adapted.save_pretrained(folder, save_embedding_layers=False)  # else it looks the base model up
        document = json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
    if isinstance(document["target_modules"], list):
        document["target_modules"].sort()  # a set in PEFT: its order changes from run to run
    (OUT / name).write_text(json.dumps(document, indent=2, sort_keys=True))  # as PEFT writes it
