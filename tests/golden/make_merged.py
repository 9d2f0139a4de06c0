"""tiny_llama_bias with its adapter folded in, both ways.

    python make_merged.py

writes tiny_llama_bias/merged_full.safetensors (PEFT's merge_and_unload) and merged_nf4.safetensors (the same update on weights
that went through bitsandbytes' NF4 with double quantization and back), adapted weights only, in the files' bf16.
"""

import pathlib

import peft
import safetensors.torch
import torch
import transformers

import nf4_base

FOLDER = pathlib.Path(__file__).resolve().parent / "tiny_llama_bias"


def linears(model):
    return {
        name.replace("base_model.model.", "").replace(".base_layer", ""): module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.split(".")[-1] in nf4_base.BLOCK_LINEARS
    }


def load():
    base = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.bfloat16)
    return peft.PeftModel.from_pretrained(base, str(FOLDER / "adapter"), autocast_adapter_dtype=True)


def save(name, tensors):
    safetensors.torch.save_file(
        {f"{key}.weight": value.contiguous() for key, value in tensors.items()}, FOLDER / name, metadata={"format": "pt"}
    )


def main():
    torch.set_num_threads(1)
    full = load().merge_and_unload()
    save("merged_full.safetensors", {name: module.weight.data for name, module in linears(full).items()})

    wrapped = load()
    merged = {}
    for name, module in wrapped.named_modules():
        if not isinstance(module, peft.tuners.lora.Linear):
            continue
        restored, _ = nf4_base.dequantized(module.base_layer.weight.data.float(), double_quant=True)
        update = module.get_delta_weight("default").float()
        merged[name.replace("base_model.model.", "")] = (restored + update).to(torch.bfloat16)
    save("merged_nf4.safetensors", merged)


if __name__ == "__main__":
    main()
