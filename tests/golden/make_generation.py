"""Writes generation.json: what transformers' generate() makes of stories260K under several generation_config.json, greedily.

Made with transformers 5.24.0 and torch 2.15.0:  python tests/golden/make_generation.py demo/model
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM

PROMPT = [1, 403, 407, 261, 378]  # "Once upon a time"
CASES = [
    {"eos_token_id": 2},
    {"eos_token_id": [2, 298]},
    {"eos_token_id": 298},
    {"repetition_penalty": 3.0, "eos_token_id": 2},
    {"repetition_penalty": 0.4, "eos_token_id": [2]},
    {"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 2},
]

torch.set_num_threads(1)
results = []
for config in CASES:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(sys.argv[1], folder, dirs_exist_ok=True)
        pathlib.Path(folder, "generation_config.json").write_text(json.dumps(config))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        ids = torch.tensor([PROMPT])
        made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, pad_token_id=0)[0, len(PROMPT):].tolist()
    ends = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    if made[-1] in ends:
        made.pop()  # the program does not return what ends a text
    results.append({"generation_config": config, "input_ids": PROMPT, "output_ids": made})
path = pathlib.Path(__file__).with_name("generation.json")
path.write_text("[\n" + ",\n".join(json.dumps(one) for one in results) + "\n]\n")
