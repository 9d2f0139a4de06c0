"""Eight steps of each adapter method of PEFT on tiny models: start and end of the adapter, losses, log-probabilities.

    python make_methods.py [METHOD...]

reads families/BASE/ and writes methods/METHOD_BASE/ beside this script; see README.md.
"""

import json
import pathlib
import shutil
import sys
import types

import peft
import peft.optimizers
import torch
import transformers

import make_families

HERE = pathlib.Path(__file__).resolve().parent
BASES = ("llama3", "qwen3", "gpt2")
MORE_BASES = {"ln_tuning": ("gemma2",)}  # files store w of norms of (1 + w), which come before and after each half of a block
LORAPLUS_RATIO = 16.0
# a budget of 4, then 3 and 2 per module; the last masks are forced and kept
SCHEDULE = dict(init_r=4, target_r=2, tinit=1, tfinal=2, deltaT=1, beta1=0.85, beta2=0.85, orth_reg_weight=0.5)


def common(base):
    return dict(task_type="CAUSAL_LM", target_modules="all-linear", **({"fan_in_fan_out": True} if base == "gpt2" else {}))


def patterns(base):
    first, second = ("h.0.attn.c_attn", r"mlp\..*") if base == "gpt2" else ("layers.0.self_attn.q_proj", r"mlp\..*_proj")
    return dict(rank_pattern={first: 2, second: 5}, alpha_pattern={first: 7})


# name: (PEFT's configuration of a base, what the program's configuration says of it besides)
METHODS = {
    "lora_patterns": (lambda base: peft.LoraConfig(r=3, lora_alpha=6, **patterns(base), **common(base)), {}),
    "loraplus": (
        lambda base: peft.LoraConfig(r=3, lora_alpha=6, **common(base)), {"adapter.loraplus_ratio": str(LORAPLUS_RATIO)},
    ),
    # PEFT's default modules of the family, some of them feed-forward
    "ia3": (lambda base: peft.IA3Config(task_type="CAUSAL_LM", fan_in_fan_out=base == "gpt2"), {"adapter.method": "ia3"}),
    # projections in the folder, and drawn from the key
    "vera": (lambda base: peft.VeraConfig(r=4, projection_prng_key=11, **common(base)),
             {"adapter.method": "vera", "adapter.vera.projection_key": "11"}),
    "vera_key": (lambda base: peft.VeraConfig(r=4, projection_prng_key=12, save_projection=False, **common(base)),
                 {"adapter.method": "vera", "adapter.vera.save_projection": "false"}),
    "adalora": (
        lambda base: peft.AdaLoraConfig(lora_alpha=6, total_step=make_families.STEPS, **SCHEDULE, **common(base)),
        {"adapter.method": "adalora", **{f"adapter.adalora.{'delta_t' if key == 'deltaT' else key}": str(value) for key, value in SCHEDULE.items()}},
    ),
    "dora": (lambda base: peft.LoraConfig(r=3, lora_alpha=6, use_dora=True, **common(base)), {"adapter.method": "dora"}),
    # PEFT's default modules of the family
    "ln_tuning": (lambda base: peft.LNTuningConfig(task_type="CAUSAL_LM"), {"adapter.method": "ln_tuning"}),
}


def load_base(base, quantization):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        HERE / "families" / base, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    if quantization == "nf4":
        make_families.quantize_base(model)
    return model


def start(model):
    """Every trained tensor moves off its initial value, so that no gradient begins at zero."""
    generator = torch.Generator().manual_seed(4321)
    for _, parameter in sorted(make_families.adapter_parameters(model), key=lambda pair: pair[0]):
        with torch.no_grad():
            parameter.add_((torch.rand(parameter.shape, generator=generator) - 0.5) * 0.1)


def save(model, folder, base, **options):
    model.save_pretrained(str(folder), **options)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base
    for key in ("target_modules", "feedforward_modules"):
        if config.get(key):
            config[key] = sorted(config[key])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def optimizer_of(method, model):
    """LoRA+'s groups, AdaLoRA's step; None: the usual optimizer."""
    if method == "adalora":
        return AdaLora(model)
    if method != "loraplus":
        return None
    return peft.optimizers.create_loraplus_optimizer(
        model, torch.optim.AdamW, loraplus_lr_ratio=LORAPLUS_RATIO, lr=make_families.LEARNING_RATE, betas=(0.9, 0.999),
        eps=1e-8, weight_decay=0.0,
    )


def orthogonality(adalora):
    """PEFT's term of the loss, by its own code."""
    forward = adalora.model.forward
    adalora.model.forward = lambda: types.SimpleNamespace(loss=torch.zeros(()))
    try:
        return adalora.forward().loss
    finally:
        adalora.model.forward = forward


class AdaLora(torch.optim.AdamW):
    """AdamW with what AdaLoRA does in a step; keeps the masks, and how far the score at the threshold is from the next one."""

    def __init__(self, model):
        parameters = [parameter for _, parameter in make_families.adapter_parameters(model)]
        super().__init__(parameters, lr=make_families.LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
        self.adalora, self.count, self.terms, self.masks, self.gaps = model.base_model, 0, [], [], []

    def step(self):
        term = orthogonality(self.adalora)
        term.backward()
        self.terms.append(term.item())
        super().step()
        self.count += 1
        kthvalue, gap = torch.kthvalue, []

        def watched(scores, k):
            ordered = scores.double().sort().values
            gap.append(((ordered[k] - ordered[k - 1]) / ordered[k]).item() if k < len(ordered) else 1.0)
            return kthvalue(scores, k)

        torch.kthvalue = watched
        try:
            self.adalora.update_and_allocate(self.count)
        finally:
            torch.kthvalue = kthvalue
        kept = self.adalora.peft_config["default"].rank_pattern
        self.masks.append({} if kept is None else {
            name.split(".lora_E")[0]: "".join("01"[value] for value in values)
            for name, values in sorted(kept.items())
        })
        self.gaps.append(gap[0] if gap else None)


def log_probs(model, rows):
    return make_families.log_probs(model.eval(), rows)


def make(method, base):
    folder = HERE / "methods" / f"{method}_{base}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config_of, settings = METHODS[method]
    given = json.loads((HERE / "families" / base / "golden.json").read_text())
    golden = {"method": method, "base": base, "settings": settings}
    for quantization in ("none", "nf4"):
        torch.manual_seed(7)  # of PEFT's own first values
        model = peft.get_peft_model(load_base(base, quantization), config_of(base))
        if quantization == "none":
            golden["trainable"] = make_families.trainable_line(model)
            if method == "dora":  # before any change: the lengths of the base's rows
                golden["magnitudes"] = {
                    name.removeprefix("base_model.model."): [float(f"{value:.8g}") for value in parameter.tolist()]
                    for name, parameter in make_families.adapter_parameters(model) if "magnitude" in name
                }
        start(model)
        save(model, folder / f"init_{quantization}", base)
        part = {"logprobs_init": log_probs(model, given["rows"])}
        optimizer = optimizer_of(method, model)
        part["losses"] = make_families.train(model, given["training_rows"], optimizer)
        if method == "adalora":
            part |= {"orthogonality": optimizer.terms, "masks": optimizer.masks, "gaps": optimizer.gaps}
        save(model, folder / f"adapter_{quantization}", base)
        part["logprobs"] = log_probs(model, given["rows"])
        golden[quantization] = part
        print(f"{method:14} {base:8} {quantization:5}", [round(loss, 4) for loss in part["losses"]])
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")


def main():
    torch.set_num_threads(1)
    for method in METHODS:
        if len(sys.argv) < 2 or method in sys.argv[1:]:
            bases = BASES + MORE_BASES.get(method, ())
            for base in bases if method != "vera_key" else BASES[:1]:  # it differs from vera in what the folder holds alone
                make(method, base)


if __name__ == "__main__":
    main()
