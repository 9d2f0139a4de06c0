"""Ids and assistant masks of conversations, and labels of texts, as transformers makes them: chat_samples.json, and
chat_samples_of_models.json for tokenizers that are not part of this project (argument; only digests are kept).

    python make_chat_samples.py [/path/to/tokenizers]

The oracle is apply_chat_template(tokenize=True, return_assistant_tokens_mask=True). Most templates have no {% generation %} blocks and so no
mask: each is written out a second time with blocks around what an assistant says and its end token, and must give the same text; the end
tokens of empty answers are taken out of these masks. Texts go through DataCollatorForLanguageModeling(mlm=False), one by one and padded. Versions: requirements.txt (transformers 5.24.0).
"""
import hashlib
import json
import pathlib
import sys

import transformers

GOLDEN = pathlib.Path(__file__).parent
U, A, S = "user", "assistant", "system"


def chat(*turns):
    return [{"role": role, "content": text} for role, text in turns]


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "부산 <&>", "days": 2}}}
CHATS = {
    "one": chat((U, "What is anaemia?"), (A, "Too few red blood cells.")),
    "two": chat((U, "열이 나요."), (A, "  체온을 재세요.\n"), (U, "And\nthen?"), (A, "Rest ☕ 🎉")),
    "system": chat((S, "Be brief."), (U, "Once upon a time"), (A, "there was a dog."), (U, "And?"), (A, " It ran.\n\n")),
    "thoughts": chat((U, "1+1?"), (A, "<think>\none and one\n</think>\n\n2"), (U, "2+2?"), (A, "<think>\ntwo\n</think>\n\n4")),
    "empty answer": chat((U, "a"), (A, ""), (U, "b"), (A, "c")),
    "marks in text": chat((U, "<|im_end|> {{ x }}"), (A, "a</s>b<|im_end|>'\"\\ \t."), (U, "b"), (A, "b")),
    "composed": chat((U, "cafe\u0301 \u1112\u1161\u11ab"), (A, "\u0301cafe\u0301 \u212b \u1112\u1161\u11ab▁x\u0301"), (U, "e\u0301"), (A, "e\u0301")),
    "open": chat((U, "Hi"), (A, "Hello"), (U, "Bye")),
    "long": chat((U, "a"), (A, "b "), (U, "c"), (A, "<think>\nd\n</think>\n\ne"), (U, "f"), (A, " g\n"), (U, "h"), (A, "b")),
    "long and alike": chat((U, "a"), (A, "b"), (U, "a"), (A, " b"), (U, "b"), (A, "c d\n"), (U, "And"), (A, ""), (U, "c d")),
    "calls": chat((S, "Use tools."), (U, "Weather?")) + [{"role": A, "content": "Let me see.", "tool_calls": [CALL, CALL]}, {"role": "tool", "content": "21"},
                                                          {"role": A, "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "x"}] + chat((A, "21 degrees."),),
}
CHATS["calls in two questions"] = CHATS["calls"][1:] + chat((U, "And tomorrow?")) + [{"role": A, "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "y"}] + chat((A, "22 degrees."))
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "z", "parameters": {"type": "object", "properties": {"town": {"type": "string"}}}}}]


def once(text, old, new):
    assert text.count(old) == 1, (text.count(old), old)
    return text.replace(old, new)


def block(text):
    return "{% generation %}{{ " + text + " }}{% endgeneration %}"


def with_blocks(name, text):
    """The template again, with blocks."""
    if name == "chatml":
        whole = "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
        return once(text, whole, "{% if message['role'] == 'assistant' %}{{ '<|im_start|>assistant\\n' }}" + block("message['content'] + '<|im_end|>'") +
                    "{{ '\\n' }}{% else %}" + whole + "{% endif %}")
    if name == "llama2":
        return once(text, "{{ ' ' ~ turn.content | trim ~ ' ' ~ eos_token }}", block("' ' ~ turn.content | trim ~ ' ' ~ eos_token"))
    if name == "llama3":
        return once(text, "{{- text }}", "{%- if message['role'] == 'assistant' %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}" +
                    block("message['content'] | trim + '<|eot_id|>'") + "{%- else %}{{- text }}{%- endif %}")
    if name == "mistral":
        return once(text, '{{- " " + message["content"] | trim + eos_token }}', block('" " + message["content"] | trim + eos_token'))
    if name == "gemma":
        return once(text, "+ message['content'] | trim + '<end_of_turn>\n' }}", "}}{% if role == 'model' %}" + block("message['content'] | trim + '<end_of_turn>'") +
                    "{% else %}{{ message['content'] | trim + '<end_of_turn>' }}{% endif %}{{ '\n' }}")
    if name == "exaone":
        text = once(text, "{{ '[|' + message['role'] + '|]' + message['content'] }}", "{{ '[|' + message['role'] + '|]' }}{% if message['role'] == 'assistant' %}" +
                    block("message['content'] + '[|endofturn|]'") + "{{ '\\n' }}{% else %}{{ message['content'] }}{% endif %}")
        return once(text, "{% else %}{{ '[|endofturn|]\\n' }}", "{% elif message['role'] != 'assistant' %}{{ '[|endofturn|]\\n' }}")
    if name == "zephyr":
        whole = "{{ '<|' ~ message['role'] ~ '|>\\n' ~ message['content'] ~ eos_token }}"
        return once(text, whole, "{% if message['role'] == 'assistant' %}{{ '<|assistant|>\\n' }}" + block("message['content'] ~ eos_token") + "{{ '\\n' }}{% else %}" +
                    whole + "\n{% endif %}")
    if name == "thinking":
        text = once(text, "{%- if message.role == 'assistant' -%}\n    {{ shown", "{%- if message.role == 'assistant' -%}{%- generation -%}\n    {{ shown")
        return once(text, "{%- else -%}\n    {{ message.content }}\n  {%- endif -%}\n  {{ '<|im_end|>\\n' }}",
                    "{{ '<|im_end|>' }}{%- endgeneration -%}\n  {%- else -%}\n    {{ message.content ~ '<|im_end|>' }}\n  {%- endif -%}\n  {{ '\\n' }}")
    if name == "qwen2":
        whole = "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
        return once(text, whole, "{%- if message.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}" + block("message.content + '<|im_end|>'") + "{{- '\\n' }}{%- else %}" +
                    whole + "{%- endif %}")
    if name == "llama2 tokenizer":
        return once(text, "{{ '<|assistant|>\n'  + message['content'] + eos_token }}", "{{ '<|assistant|>\n' }}" + block("message['content'] + eos_token") + "{{ '' }}")
    if name == "exaone4":
        text = once(text, "{{- content }}", "{%- generation %}{{- content ~ '[|endofturn|]' }}{%- endgeneration %}")
        return once(text, "{{- end_of_turn -}}\n\n    {%- elif role == \"tool\" %}", "{{- '\\n' -}}\n\n    {%- elif role == \"tool\" %}")
    if name == "last_user":
        text = once(text, "{{ '[CALLS] ' ~ message.tool_calls | tojson ~ eos_token }}", block("'[CALLS] ' ~ message.tool_calls | tojson ~ eos_token"))
        return once(text, "{{ ' ' ~ message.content | trim ~ eos_token }}", block("' ' ~ message.content | trim ~ eos_token"))
    if name == "split_thoughts":
        text = once(text, "    {%- set parts =", "    {%- generation -%}{%- set parts =")
        return once(text, "~ '<|im_end|>' }}\n  {%- else -%}", "~ '<|im_end|>' }}{%- endgeneration -%}\n  {%- else -%}")
    assert name == "generation"
    return text


MARKS = {"chatml": ["<|im_start|>", "<|im_end|>"], "generation": ["<|im_start|>", "<|im_end|>"], "thinking": ["<|im_start|>", "<|im_end|>"], "llama2": [],
         "llama3": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], "mistral": ["[INST]", "[/INST]"], "gemma": ["<start_of_turn>", "<end_of_turn>"],
         "exaone": ["[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]"], "zephyr": [],
         "last_user": ["[INST]", "[/INST]", "[TOOLS]", "[/TOOLS]", "[CALLS]", "[RESULT]", "[/RESULT]"], "split_thoughts": ["<|im_start|>", "<|im_end|>"]}
BYTES = json.loads((GOLDEN / "byte_level.json").read_text())["variants"]
DOCUMENTS = {"demo": json.loads((GOLDEN.parents[1] / "demo" / "model" / "tokenizer.json").read_text()),
             "gpt2": BYTES[0]["edits"], "qwen2": BYTES[0]["edits"] | next(v["edits"] for v in BYTES if v["name"] == "qwen2")}


# As Qwen2's own. trim_offsets would take white space at the end of a block out of the mask.
DOCUMENTS["qwen2"] = DOCUMENTS["qwen2"] | {"post_processor": DOCUMENTS["qwen2"]["post_processor"] | {"trim_offsets": False}}


def added_tokens(document, contents):
    first = max(document["model"]["vocab"].values()) + 1
    missing = [content for content in contents if all(token["content"] != content for token in document["added_tokens"])]
    return [{"id": first + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for i, content in enumerate(missing)]


def tokenizer_of(document, **names):
    path = pathlib.Path("/tmp/chat_samples_tokenizer.json")
    path.write_text(json.dumps(document))
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), **names)


def without_empty(mask, messages):
    """The mask but for the end tokens of empty answers, which the program leaves out where the template itself has no blocks."""
    mask = list(mask)
    starts = [i for i, one in enumerate(mask) if one and not (i and mask[i - 1])]
    answers = [one for one in messages if one["role"] == A]
    assert len(starts) == len(answers), (mask, messages)
    for start, answer in zip(starts, answers):
        empty = not answer["content"].strip() and "tool_calls" not in answer
        while empty and start < len(mask) and mask[start]:
            mask[start] = 0
            start += 1
    return mask


def sample(tokenizer, template, blocks, messages, tools):
    ids = tokenizer.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=True, return_dict=True)["input_ids"]
    text = tokenizer.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=False)
    assert text == tokenizer.apply_chat_template(messages, tools=tools, chat_template=blocks, tokenize=False), (text, blocks)
    out = tokenizer.apply_chat_template(messages, tools=tools, chat_template=blocks, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    assert out["input_ids"] == ids
    return ids, out["assistant_masks"] if template == blocks else without_empty(out["assistant_masks"], messages)


def fits(template, name):
    if name.startswith("calls"):
        return template in ("thinking", "last_user")
    if template == "split_thoughts":  # without thoughts an answer is trained from behind the generation prompt on, which has empty ones
        return name == "thoughts"
    return not (template == "gemma" and name == "system")


def own_samples():
    for template in MARKS:
        source = (GOLDEN / "chat_templates" / f"{template}.jinja").read_text()
        for kind, base in DOCUMENTS.items():
            added = added_tokens(base, ["<s>", "</s>"] + MARKS[template])
            tokenizer = tokenizer_of(base | {"added_tokens": base["added_tokens"] + added}, bos_token="<s>", eos_token="</s>")
            samples = []
            for name, messages in CHATS.items():
                if fits(template, name):
                    tools = TOOLS if name.startswith("calls") else None
                    ids, mask = sample(tokenizer, source, with_blocks(template, source), messages, tools)
                    samples.append({"chat": name, "input_ids": ids, "mask": "".join(map(str, mask))})
            yield {"template": template, "tokenizer": kind, "added_tokens": added, "samples": samples}


def text_samples():
    texts = ["Once upon a time\nthere was a dog.", "<s> Once</s>", " a <pad> b<pad>", "", "열이 나요 ☕", "<pad>"]
    base = DOCUMENTS["demo"]
    added = added_tokens(base, ["<pad>"])
    for pad in ("<pad>", None):
        tokenizer = tokenizer_of(base | {"added_tokens": base["added_tokens"] + added}, bos_token="<s>", eos_token="</s>", pad_token=pad or "<unk>")
        collate = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False)
        encoded = [tokenizer(text) for text in texts]
        alone = [collate([one]) for one in encoded]
        padded = collate(encoded)
        yield {"pad": pad or "<unk>", "added_tokens": added,
               "texts": [{"text": text, "input_ids": one["input_ids"][0].tolist(), "labels": one["labels"][0].tolist()} for text, one in zip(texts, alone)],
               "padded": {key: padded[key].tolist() for key in ("input_ids", "attention_mask", "labels")}}


def model_samples(folder):
    for name in ("exaone4", "qwen2", "llama2"):
        config = json.loads((folder / name / "tokenizer_config.json").read_text())
        own = folder / name / "chat_template.jinja"
        source = own.read_text() if own.exists() else config["chat_template"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / name)  # which builds Llama's anew
        for chat_name, messages in CHATS.items():
            if chat_name.startswith("calls") or (name == "exaone4" and chat_name in ("empty answer", "long and alike")):
                continue
            ids, mask = sample(tokenizer, source, with_blocks("llama2 tokenizer" if name == "llama2" else name, source), messages, None)
            row = " ".join(f"{token}:{trained}" for token, trained in zip(ids, mask))
            yield {"folder": name, "chat": chat_name, "tokens": len(ids), "trained": sum(mask), "sha256": hashlib.sha256(row.encode()).hexdigest()}


def main():
    versions = {"transformers": transformers.__version__}
    out = {"versions": versions, "chats": CHATS, "tools": TOOLS, "cases": list(own_samples()), "texts": list(text_samples())}
    (GOLDEN / "chat_samples.json").write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n")
    if len(sys.argv) > 1:
        models = {"versions": versions, "samples": list(model_samples(pathlib.Path(sys.argv[1])))}
        (GOLDEN / "chat_samples_of_models.json").write_text(json.dumps(models, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
