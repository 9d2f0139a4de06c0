"""What llama.cpp's reference quantizer makes of fixed vectors.

    cc -O2 -DNDEBUG -ffp-contract=off -fPIC -shared -I GGML/include -I GGML/src GGML/src/ggml-quants.c -o libquants.so -lm
    python make_gguf_quantized.py libquants.so

writes gguf/quantized.json beside this script. GGML: vendor/llama.cpp/ggml of the source archive of llama-cpp-python 0.3.36
(llama.cpp, commit 0c1e5709; MIT). Needs numpy==2.4.6 and gguf==0.19.0, whose own quantizers of Q8_0, Q5_0 and Q5_1 must agree.
The numbers are made by the functions quantize_row_*_ref, which llama-quantize uses without an importance matrix.
"""

import ctypes
import json
import os
import pathlib
import sys

import gguf
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def vectors():
    random = np.random.default_rng(7)
    f = np.float32
    normal = random.normal(size=256).astype(f)
    outlier = (0.01 * random.normal(size=256)).astype(f)
    outlier[77] = 3
    ties = (np.arange(256) % 31 - 15).astype(f) / f(2)
    groups = normal * np.repeat(f(2) ** random.integers(-20, 3, 16).astype(f), 16)
    half_zero = normal.copy()
    half_zero[64:192] = 0
    one = np.zeros(256, f)
    one[200] = -0.7
    return {
        "normal": 0.02 * normal,
        "zeros": np.zeros(256, f),
        "one_outlier": outlier,
        "one_value": one,
        "all_equal": np.full(256, 0.3, f),
        "all_equal_negative": np.full(256, -1.25, f),
        "negative_only": -np.abs(normal) - f(0.1),
        "positive_only": np.abs(normal) + f(5),
        "denormals": np.frombuffer(random.integers(0, 1 << 22, 256, np.uint32).tobytes(), f),
        "small": f(1e-9) * normal,
        "large": f(1e4) * normal,
        "ties": ties,
        "groups_of_other_sizes": groups.astype(f),
        "half_zero": half_zero,
        "heavy_tails": random.standard_cauchy(256).astype(f),
    }


def main():
    library = ctypes.CDLL(sys.argv[1], mode=os.RTLD_LAZY)
    out = {"llama.cpp": "0c1e5709", "vectors": {}, "types": {}}
    for name, values in vectors().items():
        out["vectors"][name] = np.ascontiguousarray(values, np.float32).tobytes().hex()
    for name in ["Q8_0", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]:
        kind = gguf.GGMLQuantizationType[name]
        per_block, size = gguf.GGML_QUANT_SIZES[kind]
        convert = getattr(library, f"quantize_row_{name[:-2].lower()}_{name[-1]}_ref")
        convert.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        out["types"][name] = {"number": int(kind), "blocks": {}}
        for vector, hexadecimal in out["vectors"].items():
            values = np.frombuffer(bytes.fromhex(hexadecimal), np.float32)
            blocks = np.zeros(256 // per_block * size, np.uint8)
            convert(values.ctypes.data, blocks.ctypes.data, 256)
            if name in ("Q8_0", "Q5_0", "Q5_1") and vector not in ("denormals",):
                assert (gguf.quants.quantize(values, kind) == blocks).all(), (name, vector)
            out["types"][name]["blocks"][vector] = blocks.tobytes().hex()
    (HERE / "gguf" / "quantized.json").write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    main()
