"""Log-probabilities of token rows, in the fields of the program's `score` command plus what a test needs to judge ties."""

import json

import torch

IGNORED = -100


def write_input(rows, path):
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def rounded(values):
    return [float(f"{value:.9g}") for value in values]


def log_probs(model, rows):
    """Of each row of ids, log p of every token from the second on; fp32 logits, log softmax in double."""
    scores = []
    for ids in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double()
        given = torch.log_softmax(logits, dim=-1)
        scores.append([given[i - 1, ids[i]].item() for i in range(1, len(ids))])
    return scores


def score_row(model, row):
    """fp32 logits; log softmax in double, so that the numbers carry the forward's rounding alone."""
    ids = row["input_ids"]
    labels = row.get("labels", ids)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    logprobs = torch.log_softmax(logits, dim=-1)
    given = [logprobs[i - 1, ids[i]].item() for i in range(1, len(ids))]
    targets = [given[i - 1] for i in range(1, len(ids)) if labels[i] != IGNORED]
    top = torch.topk(logits, 2, dim=-1)
    result = {
        "id": row["id"],
        "input_ids": ids,
        "logprobs": [None] + rounded(given),
        "argmax": top.indices[:, 0].tolist(),
        "argmax_margin": [float(f"{value:.3g}") for value in (top.values[:, 0] - top.values[:, 1]).tolist()],
        "loss": -sum(targets) / len(targets),
        "target_tokens": len(targets),
    }
    if len(ids) <= 16:
        result["last_logits"] = rounded(logits[-1].tolist())
    return result


def score(model, rows, about):
    """All rows with one thread; how far two threads are from that goes in beside them."""
    model.eval()
    torch.set_num_threads(1)
    scored = [score_row(model, row) for row in rows]
    torch.set_num_threads(2)
    again = [score_row(model, row) for row in rows]
    torch.set_num_threads(1)
    distance = max(
        abs(a - b) for one, two in zip(scored, again) for a, b in zip(one["logprobs"][1:], two["logprobs"][1:])
    )
    return {**about, "oracle_against_itself": {"threads_1_and_2": {"logprobs": distance}}, "rows": scored}


def write_scores(scores, path):
    """One row per line, so that a difference can be read."""
    head = {key: value for key, value in scores.items() if key != "rows"}
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in scores["rows"])
    path.write_text(json.dumps(head)[:-1] + ', "rows": [\n' + lines + "\n]}\n")
