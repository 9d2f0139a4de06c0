"""One Markdown file from what gpu_suite.sh left of each step: write_report.py WORK RESULTS [--part]. Prints its name.

The file is RESULTS/<model>_<hardware>_<yyyymm>.md. Names of folders of this machine are taken out of what programs said.
"""

import pathlib
import re
import sys


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def hardware(facts):
    gpus = [line.split(",")[0] for line in facts.get("gpu", [])]
    if gpus:
        count = f"{len(gpus)}x-" if len(gpus) > 1 else ""
        return count + slug(gpus[0].replace("NVIDIA", ""))
    name = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", "", facts["processor"][0].rsplit(",", 1)[0])
    return slug(name + " " + facts["processor"][0].rsplit(",", 1)[1])


def read_facts(path):
    facts = {}
    for line in path.read_text().splitlines():
        key, _, value = line.partition(": ")
        facts.setdefault(key, []).append(value)
    return facts


def without_folders(text):
    here = str(pathlib.Path.cwd())
    return text.replace(here + "/", "").replace(here, ".")


def section(outcome_file):
    title, outcome, seconds = outcome_file.read_text().splitlines()
    body = without_folders(outcome_file.with_suffix(".md").read_text(errors="replace")).strip()
    if outcome == "skipped":
        return (title, body.splitlines()[-1], seconds), ""
    text = f"## {title}\n\n{outcome}, {seconds} s\n"
    if body:
        text += f"\n{body}\n"
    if outcome.startswith("failed"):
        log = outcome_file.with_suffix(".log")
        lines = log.read_text(errors="replace").splitlines()[-25:] if log.exists() else []
        text += "\nLast lines of its log:\n\n```\n" + without_folders("\n".join(lines)) + "\n```\n"
    return (title, outcome, seconds), text


def main():
    work, results = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    facts = read_facts(work / "machine.txt")
    month = "".join(facts["date"][0].split("-")[:2])
    part = "_part" if "--part" in sys.argv else ""
    file = results / f"demo_{hardware(facts)}_{month}{part}.md"

    sections = [section(path) for path in sorted((work / "steps").glob("*.outcome"))]
    text = f"# GPU suite, {facts['date'][0]}\n\n"
    for key, what in [("gpu", "GPU (name, memory, driver)"), ("processor", "Processor"), ("system", "System"), ("bundle", "Bundle"), ("build", "Build")]:
        text += "".join(f"* {what}: {value}\n" for value in facts.get(key, []))
    text += "\n```\n" + "\n".join(facts.get("version", [])) + f"\n```\n\nCommand: `{facts['command'][0]}`\n\n"
    text += "| step | outcome | seconds |\n|---|---|---|\n"
    text += "".join(f"| {title} | {outcome} | {seconds} |\n" for (title, outcome, seconds), _ in sections)
    text += "".join("\n" + body for _, body in sections if body)
    file.write_text(without_folders(text))
    print(file)


main()
