#!/usr/bin/env python3
"""What two builds of earshot make of packs and questions: capture programs, what slots mean, sentences of refusals.

    tests/ir_corpus.py BUILD_A BUILD_B            compare; the exit code is 1 where anything differs
    tests/ir_corpus.py --keep DIR BUILD           write what one build prints
    tests/ir_corpus.py --with DIR BUILD           compare with what was written

For who changes the compiler: what it prints stays, byte for byte, unless a change means otherwise. The questions are those of
tests/ir_questions.txt and every condition that the program `conditions` knows; the packs are all. Each is asked of the test
programs of GO_MINORS (default: six versions), with DWARF and without, for both planters. Needs no root.
"""

import argparse
import concurrent.futures
import difflib
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE / "lib"), str(HERE / "e2e")]
BIN = pathlib.Path(os.environ.get("EARSHOT_CACHE", "/var/cache/earshot")) / "bin"
MINORS = os.environ.get("GO_MINORS", "1.19 1.21 1.23 1.25 1.26 1.27").split()
PACKED = ["httpd", "edges"]
LIMIT = 300  # seconds that one executable may take


def signatures():
    """What is declared where the binary is stripped."""
    import calls
    import trace_conditions
    return {**trace_conditions.SIGNATURES, **calls.SIGNATURES}


def written():
    """{program: [question]} of the file."""
    found, program = {}, None
    for line in (HERE / "ir_questions.txt").read_text().splitlines():
        if line.startswith("["):
            program = line.strip("[]")
        elif line and not line.startswith("#"):
            found.setdefault(program, []).append(line)
    return found


def conditions():
    """Those that the program says it knows, as questions."""
    path = BIN / f"conditions-go{MINORS[-1]}-plain"
    out = subprocess.run([path], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False).stdout
    known = json.loads(out.splitlines()[0])["conditions"]
    return [f"{c['func']} if {c['text']} {{ print(n) }}" for c in known]


def declared(question, known):
    name = question.split(" ", 1)[0]
    return question.replace(name, name + known[name], 1) if name in known else question


def jobs():
    """[(name, arguments)]: one for each executable, its questions or packs, and planter."""
    questions, known = written(), signatures()
    questions["conditions"] = questions.get("conditions", []) + conditions()
    for minor in MINORS:
        for planter in ("uprobe", "patch"):
            for program, asked in questions.items():
                for mode in ("plain", "w", "sw"):
                    path = BIN / f"{program}-go{minor}-{mode}"
                    if path.exists():
                        rest = [declared(q, known) for q in asked] if mode != "plain" else asked
                        yield f"{path.name}-{planter}", path, planter, rest
            for program in PACKED:
                for mode in ("plain", "sw", "pie", "cgo"):
                    path = BIN / f"{program}-go{minor}-{mode}"
                    if path.exists():
                        yield f"{path.name}-{planter}-packs", path, planter, []
    for path in [BIN / "otelcol", BIN / "caddyd", BIN / "client", *sorted((BIN.parent / "third-party").glob("*/*"))]:
        if path.is_file() and os.access(path, os.X_OK):
            yield f"{path.parent.name}-{path.name}-packs", path, "uprobe", []


def run(build, path, planter, questions):
    command = [build, "inspect", path, "--ir", "--planter", planter, *questions]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
    if done.returncode >= 0 or len(questions) < 2:
        return done.stdout + done.stderr + (b"exit code %d\n" % done.returncode if done.returncode else b"")
    # it crashed: one by one, so that the others are seen
    return b"".join(run(build, path, planter, [q]) if q else b"" for q in questions)


def differences(name, before, after):
    lines = list(difflib.unified_diff(before.decode(errors="replace").splitlines(),
                                      after.decode(errors="replace").splitlines(), "before", "after", lineterm="", n=3))
    shown = int(os.environ.get("EARSHOT_DIFFERENCES", "40"))
    return "\n".join([f"{name}:", *lines[:shown], *(["…"] if len(lines) > shown else [])]) if lines else ""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("builds", nargs="+", metavar="BUILD", help="an earshot, or the folder that it was built in")
    arguments.add_argument("--keep", type=pathlib.Path, metavar="DIR")
    arguments.add_argument("--with", type=pathlib.Path, metavar="DIR", dest="kept")
    arguments.add_argument("--only", default="", metavar="TEXT", help="executables with TEXT in their name")
    o = arguments.parse_args()
    builds = [b + "/earshot" if os.path.isdir(b) else b for b in o.builds]
    if len(builds) != (1 if o.keep or o.kept else 2):
        arguments.error("two builds, or one with --keep or --with")
    if o.keep:
        o.keep.mkdir(parents=True, exist_ok=True)
    asked = different = 0

    def work(job):
        name, path, planter, questions = job
        outs = [run(b, path, planter, questions) for b in builds]
        if o.kept:
            kept = o.kept / name
            outs.insert(0, kept.read_bytes() if kept.exists() else b"")
        if o.keep:
            (o.keep / name).write_bytes(outs[0])
        return len(questions), differences(name, outs[0], outs[-1])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for n, text in pool.map(work, [j for j in jobs() if o.only in j[0]]):
            asked += n
            different += bool(text)
            if text:
                print(text, flush=True)
    print(f"{asked} questions of {len(MINORS)} Go versions, and the packs; {different} executables differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
