"""Writes nf4.json and nf4.bin beside this script: what bitsandbytes makes of a few tensors.

Usage: python make_nf4_golden.py STORIES260K_HF_FOLDER
Versions that made the committed files are in the JSON header. The binary holds little-endian arrays; the JSON gives
each one's offset (bytes), count and dtype.
"""

import json
import pathlib
import sys

import bitsandbytes
import bitsandbytes.functional as F
import numpy
import safetensors
import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
torch.manual_seed(20240501)
torch.set_num_threads(1)  # the mean behind the offset depends on it in its last bits

blob = bytearray()


def put(tensor):
    array = tensor.detach().contiguous().cpu().numpy().reshape(-1)
    entry = {"offset": len(blob), "count": int(array.size), "dtype": str(array.dtype)}
    blob.extend(array.tobytes())
    blob.extend(b"\0" * (-len(blob) % 8))
    return entry


def case(name, values, block_size=64):
    packed, plain = F.quantize_4bit(values, blocksize=block_size, quant_type="nf4")
    again, nested = F.quantize_4bit(values, blocksize=block_size, quant_type="nf4", compress_statistics=True)
    assert torch.equal(packed, again)
    return {
        "name": name,
        "shape": list(values.shape),
        "block_size": block_size,
        "values": put(values),
        "codes": put(packed),
        "absmax": put(plain.absmax),
        "dequantized": put(F.dequantize_4bit(packed, plain)),
        "offset": float(nested.offset),
        "nested_codes": put(nested.absmax),
        "nested_absmax": put(nested.state2.absmax),
        "dequantized_nested": put(F.dequantize_4bit(packed, nested)),
    }


def nested_case(name, absmax):
    offset = absmax.mean()
    codes, state = F.quantize_blockwise(absmax - offset, blocksize=256)
    restored = F.dequantize_blockwise(codes, state) + offset
    return {
        "name": name,
        "absmax": put(absmax),
        "offset": float(offset),
        "nested_codes": put(codes),
        "nested_absmax": put(state.absmax),
        "restored": put(restored),
    }


weights = load_file(pathlib.Path(sys.argv[1]) / "model.safetensors")
outliers = torch.randn(24, 128) * 0.02
outliers[torch.rand_like(outliers) < 0.01] *= 50
zeros = torch.randn(4, 128)
zeros[1] = 0
tiny = torch.randn(2, 64) * 1e-30
header = {
    "bitsandbytes": bitsandbytes.__version__,
    "torch": torch.__version__,
    "numpy": numpy.__version__,
    "safetensors": safetensors.__version__,
    "dynamic_map": put(F.create_dynamic_map(signed=True)),
    "cases": [
        case("normal", torch.randn(64, 64) * 0.02),
        case("short last block", torch.randn(5, 78)),
        case("odd count", torch.randn(3, 67)),
        case("outliers", outliers),
        case("a block of zeros", zeros),
        case("tiny", tiny),
        case("block 128", torch.randn(8, 256), 128),
        case("block 4096", torch.randn(3, 4096), 4096),
        case("block 32", torch.randn(16, 40), 32),
        case("stories260K embed_tokens, rows 0..127", weights["model.embed_tokens.weight"][:128].contiguous()),
        case("stories260K layer 0 down_proj", weights["model.layers.0.mlp.down_proj.weight"].contiguous()),
    ],
    "nested_cases": [
        nested_case("absmax of normal blocks", torch.randn(10000, 64).abs().amax(-1) * 0.02),
        nested_case("wide spread", torch.exp(torch.randn(3000))),
        nested_case("equal values", torch.full((300,), 0.25)),
        nested_case("one value", torch.tensor([0.7])),
    ],
}
(HERE / "nf4.bin").write_bytes(blob)
(HERE / "nf4.json").write_text(json.dumps(header, indent=1) + "\n")
print(len(blob), "bytes")
