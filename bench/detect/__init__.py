"""``python -m bench detect``: what the signals see, when, and what they take for a storm falsely.

Real detectors on virtual time: recorded organic traffic, and closed-loop
callers with the SDKs' own retry laws against a modelled service. Nothing here
opens a socket or sleeps. One section a file, see :mod:`bench.detect.base`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from bench.children import BenchError
from bench.detect.base import REPORT_SEEDS, SECTIONS, TUNE_SEEDS, Options, Section
from bench.detect.page import write_page, write_pngs
from bench.detect.traces import find_folder
from bench.report import RESULTS, revision, save, table

NAME = "detect"

KEPT = ("claims", "state", "took_s", "is_quick", "commit", "measured")
"""What is saved of a section's data; single runs stay out of the repository."""


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench detect",
        description="What the signals see, when, and what they take for a storm falsely.",
    )
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="a smoke run, < 30 s a section")
    parser.add_argument("--traces", type=Path, help="folder of recorded traffic")
    parser.add_argument("--seeds", default="", help="report these seeds, comma-separated")
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results")
    parser.add_argument("--pictures", type=Path, default=RESULTS, help="folder of pictures")
    options = parser.parse_args(argv)
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return options


def run_section(name: str, options: Options) -> tuple[Section, bool]:
    """Run one section; return it and whether it came to its end."""
    module_name = SECTIONS[name]
    if importlib.util.find_spec(module_name) is None:
        return Section(name.capitalize(), "*Not built.*", {"state": "absent"}), True
    started_s = time.perf_counter()
    try:
        section: Section = importlib.import_module(module_name).run(options)
    except Exception as error:
        traceback.print_exc()
        text = f"**This section broke off: {type(error).__name__}: {error}**"
        return Section(name.capitalize(), text, {"state": "broken"}), False
    took_s = time.perf_counter() - started_s
    about = {"state": "done", "took_s": round(took_s, 1), "is_quick": options.quick}
    about |= {"commit": revision(), "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
    return section._replace(data={**section.data, **about}), True


def claims_table(sections: dict[str, dict[str, Any]]) -> str:
    """Return the table of all that was asked: section, asked, measured, met."""
    words = {True: "yes", False: "**no**", None: "–"}
    rows = [
        [name, what, asked, measured, words[met]]
        for name, entry in sections.items()
        for what, asked, measured, met in entry["data"].get("claims", [])
    ]
    return table(["section", "what", "asked", "measured", "met?"], rows) if rows else ""


def as_text(entry: dict[str, Any]) -> str:
    """Return one section as Markdown, with its own place and time of measurement."""
    data = entry["data"]
    about = ""
    if data["state"] == "done":
        kind = "quick run, " if data["is_quick"] else ""
        about = f"*{kind}{data['took_s']:.0f} s, {data['measured']}, commit {data['commit']}*\n\n"
    pictures = "".join(f"\n\n![{name}]({name}.png)" for name in entry["pictures"])
    return f"## {entry['title']}\n\n{about}{entry['markdown']}{pictures}"


def as_report(sections: dict[str, dict[str, Any]]) -> str:
    """Return the whole report: the table of claims, then every section in order."""
    parts = ["## What was asked, and what was measured", claims_table(sections)]
    parts += [as_text(sections[name]) for name in SECTIONS if name in sections]
    return "\n\n".join(part for part in parts if part)


def earlier_sections() -> dict[str, dict[str, Any]]:
    """Return the sections of the last report that was saved, to keep those not run now."""
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        return {}
    kept: dict[str, dict[str, Any]] = json.loads(path.read_text()).get("sections", {})
    return kept


def main(argv: list[str]) -> int:
    """Run the named sections (all by default), print and write the report; 1 if one broke off.

    A part run replaces its own sections in the saved report and keeps the
    others, each with its own date and commit. Quick runs are not saved.
    """
    parsed = parse(argv)
    os.nice(10)
    folder = find_folder(parsed.traces)
    if parsed.traces is not None and folder is None:
        raise BenchError(f"{parsed.traces} is no folder of traces")
    report_seeds = tuple(int(x) for x in parsed.seeds.split(",") if x) or REPORT_SEEDS
    options = Options(folder, parsed.quick, TUNE_SEEDS, report_seeds)
    is_saved = not parsed.no_save and not parsed.quick
    names = [name for name in SECTIONS if not parsed.sections or name in parsed.sections]
    found: dict[str, dict[str, Any]] = {}
    figures: dict[str, list[tuple[str, Any]]] = {}
    is_whole = True
    for name in names:
        print(f"detect: {name} …", file=sys.stderr, flush=True)
        section, has_ended = run_section(name, options)
        is_whole = is_whole and has_ended
        figures[name] = [(f"{NAME}-{stem}", figure) for stem, figure in section.figures]
        found[name] = {
            "title": section.title,
            "markdown": section.markdown,
            "data": {key: value for key, value in section.data.items() if key in KEPT},
            "pictures": [stem for stem, _ in figures[name]],
        }
    drawn = [pair for pairs in figures.values() for pair in pairs]
    if drawn and (is_saved or parsed.pictures != RESULTS):
        parsed.pictures.mkdir(parents=True, exist_ok=True)
        write_pngs(drawn, parsed.pictures)
        for name, pairs in figures.items():
            if pairs:
                write_page(pairs, parsed.pictures / f"{NAME}-{name}.html", found[name]["title"])
    if not is_saved:
        print(as_report(found))
        return 0 if is_whole else 1
    known = {**earlier_sections(), **found}
    whole = {name: known[name] for name in SECTIONS if name in known}
    save(NAME, " ".join([NAME, *parsed.sections]), as_report(whole), {"sections": whole})
    return 0 if is_whole else 1
