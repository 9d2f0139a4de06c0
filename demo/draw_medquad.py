#!/usr/bin/env python3
"""Draws the demo's questions and answers from MedQuAD: python3 demo/draw_medquad.py medquad_qa.jsonl [folder]

The input has a JSON object per line with source, doc, qid, question and answer (one line per QAPair with an answer, from the XML files of
https://github.com/abachaa/MedQuAD). The draw depends on the input and on SEED alone. The demo's model has 260 thousand
parameters, 512 positions and about 2.4 characters per token, so only short answers are taken.
Validation shares no question and no document with training.
"""
import hashlib
import json
import pathlib
import re
import sys

SEED = "medquad-demo-1"
TRAIN, VALIDATION = 2400, 240
ANSWER_CHARACTERS = (20, 400)
QUESTION_CHARACTERS = 200
SAME_ANSWER = 20  # rows that may share one answer word for word


def place(key):
    """A number that stands for chance: the same on every machine."""
    return hashlib.sha256(f"{SEED}:{key}".encode()).hexdigest()


def plain(text):
    return re.sub(r"\s+", " ", text).strip()


def tidy_question(text):
    return re.sub(r"\s+\?$", "?", plain(text))


def candidates(path):
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            question, answer = tidy_question(row["question"]), plain(row["answer"])
            if ANSWER_CHARACTERS[0] <= len(answer) <= ANSWER_CHARACTERS[1] and len(question) <= QUESTION_CHARACTERS:
                rows.append({"question": question, "answer": answer, "source": row["source"], "doc": row["doc"], "qid": row["qid"]})
    rows.sort(key=lambda row: place(f"row:{row['source']}:{row['qid']}"))
    return rows


def without_repeats(rows):
    questions, answers, kept = set(), {}, []
    for row in rows:
        question = row["question"].lower()
        answers[row["answer"]] = answers.get(row["answer"], 0) + 1
        if question not in questions and answers[row["answer"]] <= SAME_ANSWER:
            questions.add(question)
            kept.append(row)
    return kept


def split(rows):
    """Whole documents go to validation until it is full."""
    documents = {}
    for row in rows:
        documents.setdefault((row["source"], row["doc"]), []).append(row)
    validation, train = [], []
    for key in sorted(documents, key=lambda key: place(f"document:{key[0]}:{key[1]}")):
        full = len(validation) + len(documents[key]) > VALIDATION
        (train if full else validation).extend(documents[key])
    train.sort(key=lambda row: place(f"train:{row['source']}:{row['qid']}"))
    return train[:TRAIN], validation


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else pathlib.Path(__file__).parent / "medquad"
    train, validation = split(without_repeats(candidates(sys.argv[1])))
    if len(train) < TRAIN or len(validation) < VALIDATION - 10:
        sys.exit(f"only {len(train)} training and {len(validation)} validation rows: is this the whole of MedQuAD?")
    write(folder / "train.jsonl", train)
    write(folder / "validation.jsonl", validation)
    print(f"{len(train)} training and {len(validation)} validation rows in {folder}")


if __name__ == "__main__":
    main()
