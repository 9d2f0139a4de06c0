"""Eight steps of LoRA adapters whose first values come from the weights: from PEFT's folders, and from the weights themselves.

    python make_initial_factors.py

reads families/BASE/ and writes initial_factors/INIT_BASE/ beside this script; see README.md.
"""

import json
import pathlib
import shutil

import peft
import peft.utils.loftq_utils
import torch

import make_families
import make_methods

HERE = pathlib.Path(__file__).resolve().parent
# PEFT's OLoRA multiplies GPT-2's weights, which lie [in, out], by factors of [out, in]
CASES = (("pissa", "llama3"), ("pissa", "qwen3"), ("pissa", "gpt2"), ("olora", "llama3"), ("olora", "qwen3"),
         ("loftq", "llama3"), ("loftq", "gpt2"))
OPTIONS = dict(r=3, lora_alpha=6, rank_pattern={r"mlp\..*": 5})


def adapted(init, base):
    model = make_methods.load_base(base, "nf4" if init == "loftq" else "none")
    config = peft.LoraConfig(init_lora_weights=True if init == "loftq" else init, **OPTIONS, **make_methods.common(base))
    model = peft.get_peft_model(model, config)
    if init == "loftq":
        start_with_loftq(model, make_methods.load_base(base, "none"), base)
    return model


def start_with_loftq(model, full, base):
    """PEFT's loftq_init needs a GPU; its own decomposition, of what its quantizer loses, does not."""
    weights = dict(full.named_parameters())
    for name, module in model.named_modules():
        if isinstance(module, peft.tuners.lora.Linear):
            lost = weights[name.removeprefix("base_model.model.") + ".weight"] - module.base_layer.weight
            lost = lost.T if base == "gpt2" else lost
            found = peft.utils.loftq_utils._low_rank_decomposition(lost.detach(), reduced_rank=module.r["default"])
            with torch.no_grad():
                module.lora_A["default"].weight.copy_(found["R"])
                module.lora_B["default"].weight.copy_(found["L"])


def make(init, base):
    folder = HERE / "initial_factors" / f"{init}_{base}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = json.loads((HERE / "families" / base / "golden.json").read_text())
    golden = {"init": init, "base": base}
    model = adapted(init, base)
    golden["fresh"] = {"logprobs_init": make_methods.log_probs(model, given["rows"])}
    golden["fresh"]["losses"] = make_families.train(model, given["training_rows"])
    golden["fresh"]["logprobs"] = make_methods.log_probs(model, given["rows"])
    if init != "loftq":
        model = adapted(init, base)
        make_methods.start(model)
        make_methods.save(model, folder / "init", base)
        golden["read"] = {"losses": make_families.train(model, given["training_rows"])}
        make_methods.save(model, folder / "adapter", base)
        golden["read"]["logprobs"] = make_methods.log_probs(model, given["rows"])
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")
    print(f"{init:6} {base:8}", [round(loss, 4) for loss in golden["fresh"]["losses"]])


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        make(*case)
