"""Training steps of the same shapes with transformers + PEFT in PyTorch, to stand beside gpu_step_benchmark.

Random weights are made in place from benchmarks/shapes/<name>/config.json; nothing is downloaded. The batch, r 16 on every linear,
AdamW and what a step counts are those of gpu_step_benchmark: ids by one formula, tokens are the input tokens of the global batch,
every token but each sequence's first is a target. bf16 through autocast with factors in fp32, as transformers' Trainer does with
bf16=True; NF4 by bitsandbytes with double quantization. Where Python lacks something it is named, and the exit code is 0.

    python benchmarks/peft_step.py --all
    python benchmarks/peft_step.py --shape tiny --device cpu --sequence-length 64
"""

import argparse
import gc
import importlib.util
import json
import os
import pathlib
import sys
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore", category=FutureWarning)  # names that a later transformers will have changed

SHAPES = pathlib.Path(__file__).resolve().parent / "shapes"
NAMES = ["tiny", "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "llama-3.1-8b"]  # smallest first
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WARM_STEPS = 2


def arguments():
    parser = argparse.ArgumentParser(description="steps of transformers + PEFT beside gpu_step_benchmark")
    parser.add_argument("--shape", choices=NAMES)
    parser.add_argument("--base", choices=["nf4", "bf16"])
    parser.add_argument("--recompute", choices=["none", "block"], help="block: gradient checkpointing")
    parser.add_argument("--all", action="store_true", help="every shape but tiny, base and mode that is not given")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    for name, value in [("steps", 5), ("sequence-length", 2048), ("micro-batch", 2), ("global-batch", 8)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    if min(given.steps, given.sequence_length, given.micro_batch, given.global_batch) < 1:
        parser.error("--steps, --sequence-length, --micro-batch and --global-batch are 1 or more")
    return given


def values(given, every, otherwise, run_all):
    return [given] if given else every if run_all else [otherwise]


def make_base(torch, shape, base, device):
    """The frozen model on the device, its linears in bf16 or NF4."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**json.loads((SHAPES / shape / "config.json").read_text()))
    config._attn_implementation = "sdpa"
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.config.use_cache = False
    if base == "nf4":
        quantize(torch, model, device)
    return model


def quantize(torch, model, device):
    """Puts NF4 linears in the place of the blocks' own, one after another."""
    import bitsandbytes as bnb

    for block in model.model.layers:
        for name in LINEARS:
            parent = block.self_attn if hasattr(block.self_attn, name) else block.mlp
            old = getattr(parent, name)
            new = bnb.nn.Linear4bit(old.in_features, old.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4",
                                    compress_statistics=True, device="meta")
            new.weight = bnb.nn.Params4bit(old.weight.data.to("cpu"), requires_grad=False, quant_type="nf4",
                                           compress_statistics=True, module=new)
            setattr(parent, name, new.to(device))
            del old
    model.is_loaded_in_4bit = True  # PEFT asks for it


def with_adapters(model, recompute):
    from peft import LoraConfig, get_peft_model

    if recompute == "block":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LINEARS, task_type="CAUSAL_LM"))
    model.train()
    return model


def fixed_batch(torch, given, vocab, device):
    """[global batch, tokens]: the formula of gpu_step_benchmark."""
    rows = torch.arange(given.global_batch, dtype=torch.int64)[:, None] * 7919
    columns = torch.arange(given.sequence_length, dtype=torch.int64)[None, :] * 104729
    return ((rows + columns) % vocab).to(device)


def one_step(torch, model, optimizer, ids, micro_batch, device):
    """Sums over the global batch / its targets, as gpu_step_benchmark does. Returns the loss."""
    targets = ids.shape[0] * (ids.shape[1] - 1)
    total = 0.0
    for part in ids.split(micro_batch):
        with torch.autocast(device, torch.bfloat16):
            loss = model(input_ids=part, labels=part, num_items_in_batch=targets).loss
        loss.backward()
        total += loss.detach()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(total)  # waits for the device


def measure(torch, given, shape, base, recompute):
    model = with_adapters(make_base(torch, shape, base, given.device), recompute)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=given.device == "cuda")
    ids = fixed_batch(torch, given, model.config.vocab_size, given.device)
    cuda = given.device == "cuda"
    if cuda:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_STEPS):
        loss = one_step(torch, model, optimizer, ids, given.micro_batch, given.device)
    start = time.perf_counter()
    for _ in range(given.steps):
        loss = one_step(torch, model, optimizer, ids, given.micro_batch, given.device)
    seconds = (time.perf_counter() - start) / given.steps
    peak = torch.cuda.max_memory_allocated() if cuda else 0
    in_use = torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0] if cuda else 0
    factors = sum(p.numel() for p in trained)
    return f"{ids.numel() / seconds:.0f} | {seconds:.4g} s | {loss:.4f} | {gib(peak)} | {gib(in_use)} | {factors}"


def gib(count):
    return f"{count / 2**30:.2f} GiB" if count else "not known"


def row(torch, given, shape, base, recompute):
    try:
        return measure(torch, given, shape, base, recompute)
    except torch.OutOfMemoryError:
        return "out of memory"


def product_rate(torch, n=8192):
    """TFLOP/s of a bf16 product, the same measure as gpu_step_benchmark's."""
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) * 0.02 for _ in range(2))
    best = float("inf")
    for _ in range(6):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(10):
            a @ b.T
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / 10)
    return 2 * n**3 / best / 1e12


def lacking(device):
    """What Python does not have here, as a sentence; empty where it has all."""
    missing = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if missing:
        return f"Python has no {', '.join(missing)}"
    import torch

    return "" if device == "cpu" or torch.cuda.is_available() else "PyTorch sees no GPU"


def main():
    given = arguments()
    sentence = lacking(given.device)
    if sentence:
        print(f"transformers + PEFT skipped: {sentence}")
        return
    import peft
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(42)
    where = torch.cuda.get_device_name() if given.device == "cuda" else f"the CPU, {torch.get_num_threads()} threads"
    rate = f", bf16 product {product_rate(torch):.0f} TFLOP/s" if given.device == "cuda" else ""
    print(f"transformers {transformers.__version__}, PEFT {peft.__version__}, PyTorch {torch.__version__} on {where}{rate}\n")
    print(f"Steps of {given.global_batch} sequences of {given.sequence_length} tokens, {given.micro_batch} a pass: "
          f"{given.global_batch * given.sequence_length} tokens, {given.global_batch * (given.sequence_length - 1)} of them targets.\n")
    bases = values(given.base, ["nf4", "bf16"], "bf16", given.all)
    if "nf4" in bases and importlib.util.find_spec("bitsandbytes") is None:
        print("NF4 skipped: Python has no bitsandbytes\n")
        bases.remove("nf4")
    print("| shape | base | recompute | tokens/s | step | loss | peak allocated | device memory in use | trained parameters |")
    print("|---|---|---|---|---|---|---|---|---|")
    for shape in values(given.shape, NAMES[1:], "llama-3.1-8b", given.all):
        for base in bases:
            for recompute in values(given.recompute, ["block", "none"], "none", given.all):
                print(f"| {shape} | {base} | {recompute} | {row(torch, given, shape, base, recompute)} |", flush=True)
                gc.collect()
                if given.device == "cuda":
                    torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
