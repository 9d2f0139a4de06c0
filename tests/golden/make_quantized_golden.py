"""Writes fp4.json and int8.json beside this script: what bitsandbytes makes of a few small tensors on the CPU.

Usage: python make_quantized_golden.py
Versions that made the committed files are in the JSON header. Floats are given by their bits, so that none is rounded.
"""

import json
import pathlib

import bitsandbytes
import bitsandbytes.functional as F
import numpy
import torch

HERE = pathlib.Path(__file__).parent
torch.manual_seed(20250612)


def bits(tensor):
    return tensor.detach().contiguous().float().numpy().reshape(-1).view(numpy.uint32).tolist()


def integers(tensor):
    return tensor.detach().contiguous().numpy().reshape(-1).tolist()


def fp4_case(name, values, block_size=64):
    packed, state = F.quantize_4bit(values, blocksize=block_size, quant_type="fp4")
    return {
        "name": name,
        "block_size": block_size,
        "values": bits(values),
        "codes": integers(packed),
        "absmax": bits(state.absmax),
        "dequantized": bits(F.dequantize_4bit(packed, state)),
    }


def int8_case(name, values):
    codes, absmax, _ = F.int8_vectorwise_quant(values)
    return {
        "name": name,
        "rows": values.shape[0],
        "values": bits(values),
        "codes": integers(codes),
        "absmax": bits(absmax),
        "dequantized": bits(F.int8_vectorwise_dequant(codes, absmax)),
    }


def write(name, extra):
    header = {"bitsandbytes": bitsandbytes.__version__, "torch": torch.__version__, "numpy": numpy.__version__}
    (HERE / name).write_text(json.dumps({**header, **extra}) + "\n")


zeros = torch.randn(2, 128)
zeros[1] = 0
halves = torch.arange(-254, 255, dtype=torch.float32).reshape(1, -1) / 2  # with absmax 127 every second one is a tie
write(
    "fp4.json",
    {
        "code": bits(F.get_4bit_type("fp4", device="cpu")),
        "cases": [
            fp4_case("normal", torch.randn(8, 64) * 0.02),
            fp4_case("odd count", torch.randn(3, 67)),
            fp4_case("a block of zeros", zeros),
            fp4_case("block 128", torch.randn(2, 256), 128),
            fp4_case("block 32", torch.randn(5, 40), 32),
        ],
    },
)
write(
    "int8.json",
    {
        "cases": [
            int8_case("normal", torch.randn(4, 100) * 0.02),
            int8_case("outliers", torch.randn(3, 33) * torch.tensor([[1.0], [30.0], [1e-6]])),
            int8_case("ties", halves),
        ]
    },
)
