"""Eight steps of each kind of PEFT's prompt learning on tiny models: start and end of the adapter, losses, log-probabilities, a greedy answer.

    python make_prompts.py [METHOD...]

reads families/BASE/ and writes methods/METHOD_BASE/ beside this script; see README.md.
"""

import json
import shutil
import sys

import peft
import safetensors.torch
import torch

import golden_rows
import make_families
import make_methods

TRAINED = ("llama3", "qwen3", "gpt2")
# Only log-probabilities: a scaled embedding, a scaled input, sliding windows
SCORED = {"prompt": ("gemma3", "granite"), "prefix": ("gemma3", "mistral_window")}
VIRTUAL = 3
METHODS = {
    "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL),
    "prefix": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL),
    "p_tuning": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, encoder_hidden_size=8),
    "p_tuning_lstm": lambda: peft.PromptEncoderConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, encoder_hidden_size=6, encoder_reparameterization_type="LSTM"
    ),
    "prefix_projection": lambda: peft.PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, prefix_projection=True, encoder_hidden_size=8
    ),
}
WITH_ENCODER = ("p_tuning", "p_tuning_lstm", "prefix_projection")  # for these, init_BASE.safetensors has PEFT's first values of the encoder


def logits_of(model, ids):
    """[virtual + tokens, vocabulary], or [tokens, vocabulary] of a prefix, which has no hidden states."""
    return model(input_ids=torch.tensor([ids])).logits[0]


def log_probs(model, rows):
    model.eval()
    out = []
    for ids in rows:
        with torch.no_grad():
            given = torch.log_softmax(logits_of(model, ids)[-len(ids) : -1], -1)
        out.append(golden_rows.rounded(given.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()))
    return out


def greedy(model, prompt, tokens=12):
    """The most probable next id over the whole text; stops the script at a near tie."""
    ids = list(prompt)
    for _ in range(tokens):
        with torch.no_grad():
            best = torch.topk(logits_of(model, ids)[-1], 2)
        if (best.values[0] - best.values[1]).item() < 1e-3:
            raise SystemExit("two tokens are as good as equal; choose another seed")
        ids.append(best.indices[0].item())
    return ids[len(prompt) :]


def targets_of(method, row):
    """The last virtual token predicts the first token, unless there are only its keys and values."""
    return row["labels"][1:] if method.startswith("prefix") else row["labels"]


def check_loss(model, method, row):
    """PEFT's own loss is the mean over these targets."""
    with torch.no_grad():
        given = model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss.item()
        targets = targets_of(method, row)
        ours = torch.nn.functional.cross_entropy(logits_of(model, row["input_ids"])[-len(targets) - 1 : -1], torch.tensor(targets))
    assert abs(given - ours.item()) < 1e-5, (given, ours)


def train(model, method, rows):
    model.train()
    parameters = [parameter for _, parameter in make_families.adapter_parameters(model)]
    optimizer = torch.optim.AdamW(parameters, lr=make_families.LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(make_families.STEPS):
        batch = rows[step * make_families.GLOBAL_BATCH : (step + 1) * make_families.GLOBAL_BATCH]
        count = sum(target != -100 for row in batch for target in targets_of(method, row))
        optimizer.zero_grad()
        total = 0.0
        for row in batch:
            targets = targets_of(method, row)
            logits = logits_of(model, row["input_ids"])[-len(targets) - 1 : -1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="sum") / count
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    return losses


def make(method, base):
    folder = make_methods.HERE / "methods" / f"{method}_{base}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = json.loads((make_methods.HERE / "families" / base / "golden.json").read_text())
    golden = {"method": method, "base": base}
    for quantization in ("none", "nf4") if base in TRAINED else ("none",):
        torch.manual_seed(7)  # of PEFT's own first values
        model = peft.get_peft_model(make_methods.load_base(base, quantization), METHODS[method]())
        golden["trainable"] = make_families.trainable_line(model)
        check_loss(model, method, given["training_rows"][0])
        part = {}
        if base in TRAINED and method in WITH_ENCODER:
            encoder = {
                name: parameter.detach().clone()
                for name, parameter in make_families.adapter_parameters(model)
            }
            safetensors.torch.save_file(encoder, str(folder / f"init_{quantization}.safetensors"))
        elif base in TRAINED:
            make_methods.save(model, folder / f"init_{quantization}", base)
        if base in TRAINED:
            part["losses"] = train(model, method, given["training_rows"])
        make_methods.save(model, folder / f"adapter_{quantization}", base)
        part["logprobs"] = log_probs(model, given["rows"])
        part["greedy"] = greedy(model, given["rows"][1])
        golden[quantization] = part
        print(f"{method:10} {base:14} {quantization:5}", [round(loss, 4) for loss in part.get("losses", [])], part["greedy"])
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")


def main():
    torch.set_num_threads(1)
    for method in METHODS:
        if len(sys.argv) < 2 or method in sys.argv[1:]:
            for base in TRAINED + SCORED.get(method, ()):
                make(method, base)


if __name__ == "__main__":
    main()
