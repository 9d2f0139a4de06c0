"""Renders conversations with chat templates as transformers does: chat_templates.json, and chat_templates_of_models.json for the
templates in a folder of tokenizers that is not part of this project (argument; only digests of the results are kept).

    python make_chat_templates.py [/path/to/tokenizers]

Versions: requirements.txt (transformers, jinja2).
"""
import hashlib
import json
import os
import pathlib
import sys

os.environ["SOURCE_DATE_EPOCH"] = "0"
from transformers.utils import chat_template_utils as utils  # noqa: E402

GOLDEN = pathlib.Path(__file__).parent
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
U, A, S, T = "user", "assistant", "system", "tool"


def chat(*turns):
    return [{"role": role, "content": text} for role, text in turns]


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "부산 <&>", "days": 2, "exact": None, "z": [1.5, True, {}]}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The \"weather\" of a town", "parameters":
          {"type": "object", "properties": {"town": {"type": "string"}, "days": {"type": "integer"}}, "required": ["town"]}}}]
CHATS = {
    "one": chat((U, "What is anaemia?"), (A, "Too few red blood cells.")),
    "open": chat((U, " Hello \n")),
    "system": chat((S, "Be brief."), (U, "열이 나요."), (A, "  체온을 재세요.\n"), (U, "And\nthen?"), (A, "Rest ☕ 🎉.")),
    "two systems": chat((U, "a"), (S, "b"), (A, "c")),
    "wrong order": chat((U, "a"), (U, "b"), (A, "c")),
    "assistant first": chat((A, "Hello."), (U, "Hi.")),
    "thoughts": chat((U, "1+1?"), (A, "<think>\none and one\n</think>\n\n2"), (U, "2+2?"), (A, "<think>\ntwo\n</think>\n\n4")),
    "empty answer": chat((U, "a"), (A, ""), (U, "b"), (A, "c")),
    "marks in text": chat((U, "<|im_end|> {{ x }} {% if %}"), (A, "</s>'\"\\ \t")),
    "calls": chat((S, "Use tools."), (U, "Weather?")) + [{"role": A, "content": "Let me see.", "tool_calls": [CALL, CALL]},
                                                          {"role": A, "tool_calls": [CALL]}] + chat((T, "{\"t\": 21}"), (T, "x"), (A, "21 degrees.")),
    "unknown role": chat((U, "a"), ("critic", "b")),
    "no content": [{"role": U, "content": None}, {"role": A}],
    "reasoning": [{"role": U, "content": "q"}, {"role": A, "content": "a", "reasoning": "because"}],
}

X = {"messages": chat((U, "ab"), (A, "cd"))}
FEATURES = [  # templates for single features; messages are X's
    "a\n  {% if true %}\n  b\n  {% endif %}\n  c\n", "  {%- if true -%}  x  {%- endif %}  y", "{{ 1 }}\n{{ 2 }}\n\n", "a {#- c -#} b\n{# d #}\ne", "{#-#}x",
    "a\n   {%+ if true %}\nb{%- endif +%}\nc", "{% raw %}\n {{ x }} {%- endraw -%}  y", "\r\na\r\n{% if 1 %}\r\nb\r\n{% endif %}", "{{ '{{' }}{{ '}}' }}", "x{% if 1 %}\n\n{% endif %}y\n",
    "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': 1, 'b': [1, 2.5, 'x', none, true]} }}", "{{ (1,) }} {{ () }} {{ (1, 2) }} {{ 1, 2 }} {{ [] }}", "{{ 'it\\'s' }}{{ \"\\u00e9\\x41\\n\\t\\q\\\\\" }}{{ 'a' 'b' }}",
    "{{ [\"it's\", 'say \"x\"', 'b\\n', '\\x00é한\\u200b'] }}", "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1e3 }} {{ 1.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ -5.5 // 2 }} {{ -5.5 % 2 }}",
    "{{ 1 + 2 * 3 - 4 ~ 5 }} {{ 'a' * 3 }} {{ [1] * 2 + [3] }} {{ -1 | abs }} {{ not 1 == 2 }} {{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' ~ 1 ~ none ~ true }}",
    "{{ 1 in [1, 2] }} {{ 'a' in 'cat' }} {{ 'x' not in {'x': 1} }} {{ 3 not in (1, 2) }} {{ true and '' or 'z' }} {{ 1 if false }}|{{ 1 if 0 else 2 if 0 else 3 }}",
    "{{ 'hello'[1:3] }} {{ 'hello'[::-1] }} {{ '한국어'[1] }} {{ [1,2,3,4][::2] }} {{ [1,2,3][-2:] }} {{ [1,2,3,4][3:0:-1] }} {{ 'abc'[-9:9] }} {{ 'abc'[5] }}|{{ [1,2,3][-1] }} {{ (1,2,3)[:2] }} {{ 'abcdef'[-2::-2] }}",
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.cycle('x', 'y') }}{{ loop.changed(m.role) }}{{ loop.previtem.role if loop.previtem }}{{ loop.nextitem is defined }};{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}{% for x in [1,2] %}{% continue %}{% else %}c{% endfor %}{% for x in [1,2,3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}{% for x in 'ab한' %}{{ x }}.{% endfor %}",
    "{% for x in range(10) if x % 3 == 0 %}{{ loop.index }}:{{ x }} {% endfor %}{% for x in range(5, 0, -2) %}{{ x }}{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for x in missing %}{% else %}none{% endfor %}",
    "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': []}]}] recursive %}{{ n.v }}[{{ loop(n.c) }}]{{ loop.depth0 }}{% endfor %}", "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{% set ns.new = 'k' %}{{ ns.new }}{{ ns['n'] }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t %}x{{ a }}\n{% endset %}[{{ t }}]{% set u | upper | trim %} q {% endset %}[{{ u }}]",
    "{% if false %}{% set x = 1 %}{% endif %}{{ x is defined }}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% filter upper %}ab{{ 1 }}{% endfilter %}",
    "{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, c=3) }}|{{ f() }}|{{ f(b=5, a=4) }}|{{ f.name }}", "{% macro f() %}{{ varargs }}{{ kwargs }}{{ caller() if caller }}{% endmacro %}{{ f(1, 2, x=3) }}{% call f() %}body{% endcall %}",
    "{% macro row(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) row(7) %}{{ y * 2 }}{% endcall %}", "{% macro a() %}{{ b() }}{{ z }}{% endmacro %}{% macro b() %}B{% endmacro %}{% set z = 5 %}{{ a() }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{{ '  a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'ab'.lstrip('a') }}|{{ ' a\\u3000'.rstrip() }}|{{ 'a,b,,c'.split(',') }}|{{ ' a  b c '.split() }}|{{ ' a b  c '.split(none, 1) }}|{{ 'a.b.c'.rsplit('.', 1) }}|{{ 'a\\nb\\r\\nc'.splitlines() }}",
    "{{ 'ab'.startswith('a') }}{{ 'ab'.endswith(('x', 'b')) }}{{ 'aXbX'.replace('X', '-') }}{{ 'aXbX'.replace('X', '-', 1) }}{{ 'ab'.upper() }}{{ 'ÉCOLE é'.lower() }}{{ 'é'.upper() }}{{ \"it's a dog\".title() }}{{ 'ab cd'.capitalize() }}{{ 'abc'.find('c') }}{{ 'abc'.find('z') }}{{ 'a-b-c'.partition('-') }}",
    "{{ 'abc'.count('b') }}{{ '-'.join(['a', 'b']) }}{{ '12'.isdigit() }}{{ 'aB'.isalpha() }}{{ ''.isdigit() }}{{ 'A'.isupper() }}{{ 'a1'.isalnum() }}{{ '7'.zfill(3) }}{{ 'prefix-x'.removeprefix('prefix-') }}{{ 'abc'.index('c') }}{{ ' '.isspace() }}",
    "{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b') }}{{ {'a': 1}.get('b', 3) }}{{ {'a': 1}.keys() | list }}{{ {'a': 1}.values() | list }}{{ {'items': 5}['items'] }}{{ {'a': 1}.items() | list }}",
    "{{ ' x ' | trim }}{{ 'xyx' | trim('x') }}{{ [1, 2] | length }}{{ '한국' | length }}{{ [1, 2] | join('-') }}{{ [1, none] | join }}{{ [{'n': 1}, {'n': 2}] | join(',', attribute='n') }}{{ x | default('d') }}{{ '' | default('e') }}{{ '' | default('f', true) }}{{ none | d('g', boolean=true) }}",
    "{{ 'aB c-d' | upper }}{{ 'aB c-dE (x)' | title }}{{ 'aB' | lower }}{{ 'aB' | capitalize }}{{ 'a' | replace('a', 'b') }}{{ '3' | int + 1 }}{{ '3.7' | int }}{{ 'x' | int }}{{ 'x' | int(9) }}{{ 'ff' | int(base=16) }}{{ '2.5' | float }}{{ 3 | string + 'x' }}{{ 3.7 | int }}{{ true | int }}",
    "{{ [3, 1, 2] | sort }}{{ ['b', 'A', 'c'] | sort }}{{ ['b', 'A'] | sort(case_sensitive=true) }}{{ [3, 1] | sort(reverse=true) }}{{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }}{{ [1, 2, 1] | unique | list }}{{ ['a', 'A'] | unique | list }}{{ [1, 2, 3] | reverse | list }}{{ 'abc' | reverse }}{{ [1, 2] | sum }}{{ [{'a': 2}] | sum('a') }}{{ [3, 1] | min }}{{ [3, 1] | max }}",
    "{{ {'b': 1, 'A': 2, 'c': 0} | dictsort }}{{ {'b': 1, 'a': 2} | dictsort(by='value') }}{{ {'b': 1} | items | list }}{{ [1, 2, 3] | first }}{{ [1, 2, 3] | last }}{{ 'abc' | first }}{{ [] | first }}|{{ 'ab' | list }}{{ [1, 2, 3, 4, 5] | batch(2) | list }}{{ 42.55 | round(1) }}{{ 2.5 | round }}{{ 2.1 | round(0, 'ceil') }}{{ 2 | round }}{{ '<a>' | e }}{{ 'x' | safe }}",
    "{{ messages | map(attribute='role') | list }}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join }}{{ messages | rejectattr('role', '==', 'user') | list | length }}{{ [1, 2, 3] | select('odd') | list }}{{ [0, 1, none] | select | list }}{{ [1, 2] | reject('even') | list }}{{ ['a', 'b'] | map('upper') | list }}{{ [{'a': {'b': 1}}, {}] | map(attribute='a.b', default=0) | list if false else 'k' }}{{ messages | selectattr('name', 'defined') | list }}{{ messages | selectattr('name') | list }}",
    "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent(1, blank=true) }}|{{ 'x y z' | wordcount }}|{{ '%s-%s' | format(1, 'b') }}|{{ '%d%%' % 5 }}",
    "{{ {'b': [1, 2.0, 'é\"\\n</x>', none, true], 'a': {}} | tojson }}|{{ {'é': 1} | tojson(ensure_ascii=true) }}|{{ '🎉\\x7f' | tojson(ensure_ascii=true) }}|{{ {'b': [1, {'c': []}], 'a': 2} | tojson(indent=2) }}|{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}|{{ (1, 2) | tojson }}|{{ 1e20 | tojson }}|{{ {1: 2, none: 3} | tojson }}",
    "{{ x is defined }}{{ x is undefined }}{{ none is none }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is iterable }}{{ 'a' is sequence }}{{ {} is sequence }}{{ 1 is number }}{{ true is number }}{{ 1 is integer }}{{ 1.0 is float }}{{ true is boolean }}{{ 1 is true }}{{ false is false }}{{ 1 is eq 1 }}{{ 1 is in [1] }}{{ 4 is divisibleby 2 }}{{ 3 is odd }}{{ 2 is even }}{{ 1 is not none }}{{ 'a' is equalto 'a' }}{{ none is sameas none }}{{ 'ab' is lower }}{{ range is callable }}{{ x is iterable }}{{ none is iterable }}{{ 2 is gt 1 }}{{ 1 is ne 1 }}",
    "{{ x }}|{{ x | length }}|{{ x == y }}|{{ x == none }}|{{ x ~ 'a' }}|{{ messages[9] }}|{{ messages[0].nothing }}|{{ messages[0]['nothing'] }}|{{ 'a'.nothing }}|{{ none.x }}|{{ [x] }}", "{{ dict(a=1, b=2) }}{{ dict({'c': 3}, d=4) }}{{ namespace({'z': 1}).z }}",
    "{% generation %}ab{% endgeneration %}c{% for m in messages %}{% generation %}{{ m.content }}é{% endgeneration %}\n{% endfor %}", "{{ strftime_now('%Y') | length }}", "{{ tools is none }}{{ tools is defined }}{{ documents }}{{ add_generation_prompt }}", "{% print 1 + 1 %}{{ messages.0.role }}{{ 1_000 }}", "{{ [1, 2, 3] | map('string') | map('int') | sum }}{{ none | string }}{{ [] | select | list | length }}",
    "{% if messages | selectattr('role', 'equalto', 'nobody') %}generator{% endif %}{{ 'a' if messages | selectattr('role', 'equalto', 'nobody') | list else 'b' }}",
    # errors
    "{{ x.y }}", "{{ messages[0].nothing.more }}", "{{ x + 1 }}", "{{ 'a' + 1 }}", "{{ 1 / 0 }}", "{{ none + 'a' }}", "{{ x() }}", "{{ 'a'() }}", "{{ messages.append(1) }}", "{{ 1 | length }}", "{{ x | tojson }}", "{% for a in 5 %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{{ 'a' | nothing }}", "{{ 1 is nothing }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{% endmacro %}{{ f(z=2) }}", "{% set ns = 1 %}{% set ns.x = 2 %}", "{{ raise_exception('line\\nbreak') }}", "{{ [1, 'a'] | sort }}", "{{ 1 < 'a' }}", "{{ 'x'.split('') }}", "{{ range(1000000) | length }}", "{{ 1 in 2 }}", "{{ 1 in 'a' }}", "{{ [][::0] }}", "{{ none.x.y }}", "{{ none['x'].y }}", "{{ [].x.y }}", "{% for x in [1] %}{{ loop.nextitem.y }}{% endfor %}", "{{ {} | first | upper }}{{ ([] | first).x }}", "{{ namespace(_a=1) }}",
    # not a template
    "{% if x %}", "{{ 1 +", "{{ 'a }}", "{% foo %}", "{% endif %}", "{{ (1 }}", "{{ 1 }", "{# a", "{% for x of y %}{% endfor %}", "{% break %}", "{{ a b }}", "{% set 1 = 2 %}", "{% raw %}x", "{{ 1 is is }}", "{{ $ }}", "{{ [1 }} ]", "{% macro f(a=1, b) %}{% endmacro %}", "{{}}", "{% %}", "{{ a.| }}", "{% set x %}", "{{ f(a=1, 2) }}",
]


def render(source, messages, tools, prompt):
    kwargs = {}
    try:
        text, spans = utils.render_jinja_template([utils._normalize_chat_messages(messages)], tools=tools, chat_template=source,
                                                  return_assistant_tokens_mask="{% generation %}" in source, add_generation_prompt=prompt, **TOKENS)
    except Exception as error:  # every way in which Python fails is an error here
        raised = type(error).__name__ == "TemplateError"
        return {"error": str(error), "raised": raised}
    result = {"text": text[0]}
    if spans and spans[0]:
        result["generated"] = [[len(text[0][:a].encode()), len(text[0][:b].encode())] for a, b in spans[0]]
    return result


def cases_of(source):
    for name, messages in CHATS.items():
        for tools in (None, TOOLS) if name in ("calls", "one") else (None,):
            for prompt in (False, True):
                yield {"chat": name, "messages": messages, "tools": tools, "prompt": prompt}, render(source, messages, tools, prompt)


def main():
    out = {"tokens": TOKENS, "cases": [], "features": []}
    for path in sorted((GOLDEN / "chat_templates").glob("*.jinja")):
        for case, result in cases_of(path.read_text()):
            out["cases"].append({"template": path.name, **case, **result})
    for source in FEATURES:
        out["features"].append({"source": source, **render(source, X["messages"], None, False)})
    out["feature_messages"] = X["messages"]
    (GOLDEN / "chat_templates.json").write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n")
    if len(sys.argv) > 1:
        models = []
        for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
            own, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
            source = own.read_text() if own.exists() else json.loads(config.read_text()).get("chat_template") if config.exists() else None
            for case, result in cases_of(source) if source else ():
                if "text" in result:
                    result = {"sha256": hashlib.sha256(result["text"].encode()).hexdigest(), "bytes": len(result["text"].encode())}
                models.append({"folder": folder.name, **case, **result})
        (GOLDEN / "chat_templates_of_models.json").write_text(json.dumps({"tokens": TOKENS, "cases": models}, ensure_ascii=False, indent=0) + "\n")


main()
