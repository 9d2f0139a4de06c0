"""The training rows of lora_steps: short texts made from a seed, with part of the labels left out of the loss."""

import json
import random

ROWS = 80

NAMES = ["Lily", "Tom", "Anna", "Ben", "Mia", "Max", "Sue", "Tim"]
ANIMALS = ["dog", "cat", "bird", "frog", "bear", "fish", "bunny", "mouse"]
THINGS = ["red ball", "big box", "toy car", "blue hat", "kite", "little boat", "book", "cake"]
PLACES = ["park", "garden", "house", "forest", "kitchen", "lake", "school", "yard"]
OPENINGS = [
    "Once upon a time, there was a {animal} who lived in the {place}.",
    "One day, {name} went to the {place} with a {thing}.",
    "{name} had a {animal}. The {animal} liked the {thing}.",
    "It was a sunny day and {name} wanted to play in the {place}.",
    "Doctor {name} asked, \"What is wrong with the {animal}?\"",
]
SENTENCES = [
    "{name} saw a {thing} near the {place}.",
    "The {animal} was sad because it lost its {thing}.",
    "\"Can you help me?\" asked the {animal}.",
    "{name} said, \"Yes, I can help you find the {thing}.\"",
    "They looked in the {place}, but it was not there!",
    "Then the {animal} ran fast and {name} laughed.",
    "Mom gave {name} a {thing} and a hug.",
    "The doctor said to drink water and rest for 3 days.",
    "They were happy and went home to eat.",
    "{name} ate soup at the café with 12 friends.",
    "\"안녕!\" said {name}, and the {animal} waved.",
]


def fill(pattern, rng):
    return pattern.format(
        name=rng.choice(NAMES), animal=rng.choice(ANIMALS), thing=rng.choice(THINGS), place=rng.choice(PLACES)
    )


def make_rows(tokenizer):
    """Rows of 20 to 120 tokens. By row number mod 4: 0 all trained; 1 and 2 the opening masked; 3 the opening and a hole masked."""
    rng = random.Random(20240)
    rows = []
    for number in range(ROWS):
        length = {5: 20, 42: 120}.get(number, rng.randint(20, 120))
        opening = fill(rng.choice(OPENINGS), rng)
        prompt_tokens = len(tokenizer(opening)["input_ids"])  # with BOS
        text = opening
        while len(tokenizer(text)["input_ids"]) < length - 1:
            text += " " + fill(rng.choice(SENTENCES), rng)
        ids = tokenizer(text)["input_ids"][: length - 1] + [tokenizer.eos_token_id]
        labels = list(ids)
        if number % 4 != 0:
            masked = min(prompt_tokens, length - 8)
            labels[:masked] = [-100] * masked
            if number % 4 == 3:
                hole = masked + (length - masked) // 3
                labels[hole : hole + 3] = [-100] * 3
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def write_rows(rows, path):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
