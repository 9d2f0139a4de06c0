"""The quantized bases of the golden numbers: every linear weight of a block goes through bitsandbytes and back to fp32."""

import hashlib

import bitsandbytes as bnb
import bitsandbytes.functional as bnb_functional
import torch

BLOCK_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def dequantized(weight, double_quant, quant_type="nf4"):
    """Four bits in blocks of 64 of `weight` [out, in], and back. Returns the fp32 weight and bitsandbytes' quant state."""
    codes, state = bnb_functional.quantize_4bit(
        weight.clone(), blocksize=64, compress_statistics=double_quant, quant_type=quant_type
    )
    return bnb_functional.dequantize_4bit(codes, state), state


def dequantized_int8(weight):
    """Rows of eight bits of `weight` [out, in], and back to fp32."""
    codes, absmax, _ = bnb_functional.int8_vectorwise_quant(weight.clone())
    return bnb_functional.int8_vectorwise_dequant(codes, absmax)


def check_linear4bit(weight, restored, double_quant):
    """bitsandbytes' own layer on the same weight must give the product with the restored weight."""
    layer = bnb.nn.Linear4bit(
        weight.shape[1], weight.shape[0], bias=False, compute_dtype=torch.float32,
        compress_statistics=double_quant, quant_type="nf4",
    )
    layer.weight = bnb.nn.Params4bit(
        weight.clone(), requires_grad=False, compress_statistics=double_quant, quant_type="nf4", blocksize=64
    )
    layer = layer.to("cpu")  # the move quantizes
    x = torch.randn(7, weight.shape[1], generator=torch.Generator().manual_seed(7))
    return (layer(x) - x @ restored.T).abs().max().item()


def replace_base(model, quantization, double_quant):
    """Replaces the block linears of a model in place by those of a base in fp4 or int8."""
    for name, module in model.named_modules():
        if name.split(".")[-1] in BLOCK_LINEARS:
            weight = module.weight.data
            module.weight.data = (
                dequantized_int8(weight) if quantization == "int8" else dequantized(weight, double_quant, quantization)[0]
            )


def quantize_base(model, double_quant):
    """Replaces the block linears of a LlamaForCausalLM in place.

    Returns {tensor name: {"sha256" of the restored fp32 bytes (little-endian, row-major), "abs_sum" (in double),
    "nested_offset" (None without double quantization), "linear4bit_difference"}}.
    """
    facts = {}
    for name, module in model.named_modules():
        if name.split(".")[-1] not in BLOCK_LINEARS:
            continue
        weight = module.weight.data
        restored, state = dequantized(weight, double_quant)
        facts[name + ".weight"] = {
            "sha256": hashlib.sha256(restored.contiguous().numpy().tobytes()).hexdigest(),
            "abs_sum": restored.double().abs().sum().item(),
            "nested_offset": state.offset.item() if double_quant else None,
            "linear4bit_difference": check_linear4bit(weight, restored, double_quant),
        }
        module.weight.data = restored
    return facts
