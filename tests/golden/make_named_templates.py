"""Folders with several chat templates, and what transformers' apply_chat_template makes of a conversation there, with and without tools:
named_templates.json. Where it refuses, the names that it lists.

    python make_named_templates.py

Versions: requirements.txt (transformers).
"""
import ast
import json
import pathlib
import tempfile

import transformers

GOLDEN = pathlib.Path(__file__).parent
DEMO = GOLDEN.parents[1] / "demo" / "model"
MESSAGES = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
A, B, C, D = ("%s {{ messages[0].content }}{{ tools | length if tools }}" % name for name in "ABCD")


def in_list(**templates):
    return [{"name": name, "template": text} for name, text in templates.items()]


FOLDERS = [
    {"config": A},
    {"config": in_list(default=A)},
    {"config": in_list(tool_use=B, default=A, rag=C)},
    {"config": in_list(rag=C, tool_use=B)},
    {"config": in_list(rag=C)},
    {"config": in_list(default=A) + in_list(default=B)},
    {"jinja": C},
    {"config": A, "jinja": C},
    {"config": in_list(default=A, tool_use=B), "jinja": C},
    {"jinja": C, "additional": {"tool_use": D}},
    {"jinja": C, "additional": {"default": D}},
    {"additional": {"default": D}},
    {"additional": {"default": D, "tool_use": B, "rag": C}},
    {"config": A, "additional": {"rag": D}},
    {"config": in_list(default=A), "additional": {"tool_use": D}},
    {"config": A, "additional": {}},
]


def files_of(folder):
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    if "config" in folder:
        config["chat_template"] = folder["config"]
    files = {"tokenizer_config.json": json.dumps(config)}
    if "jinja" in folder:
        files["chat_template.jinja"] = folder["jinja"]
    if "additional" in folder:
        files["additional_chat_templates/README"] = "not a template"
    for name, text in folder.get("additional", {}).items():
        files[f"additional_chat_templates/{name}.jinja"] = text
    return files


def text_of(path, tools):
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    try:
        return {"text": tokenizer.apply_chat_template(MESSAGES, tools=tools, tokenize=False)}
    except ValueError as error:
        names = str(error).split("template names are ")[1].rstrip(".")
        return {"names": ast.literal_eval(names)}


def main():
    out = {"versions": {"transformers": transformers.__version__}, "messages": MESSAGES, "tools": TOOLS, "folders": []}
    for folder in FOLDERS:
        files = files_of(folder)
        with tempfile.TemporaryDirectory() as path:
            for name, text in files.items():
                file = pathlib.Path(path) / name
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)
            (pathlib.Path(path) / "tokenizer.json").write_text((DEMO / "tokenizer.json").read_text())
            out["folders"].append({"files": files, "plain": text_of(path, None), "with_tools": text_of(path, TOOLS), "no_tools": text_of(path, [])})
    (GOLDEN / "named_templates.json").write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n")


main()
