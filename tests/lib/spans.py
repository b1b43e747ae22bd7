"""Compare the spans that came with the spans that should have come."""

import os

from cases import ABSENT, HEX
from earshot import agent


def _fits(want, got):
    if want is ABSENT:
        return got is None
    if hasattr(want, "accepts"):
        return want.accepts(ABSENT if got is None else got)
    if isinstance(want, tuple):
        return isinstance(got, (int, float)) and want[0] <= got <= want[1]
    return type(want) is type(got) and want == got


def _short(value):
    text = repr(value)
    return text if len(text) < 120 else f"{text[:60]}…{text[-20:]} ({len(text)} characters)"


def _shape(span):
    """What every span must be like, whatever it is about."""
    for key, pattern in HEX.items():
        if not pattern.fullmatch(span.get(key, "")):
            yield f"{key} is {span.get(key)!r}"
    for key in ("start_unix_ns", "duration_ns", "pid", "goid"):
        if not isinstance(span.get(key), int) or span[key] < 0:
            yield f"{key} is {span.get(key)!r}"
    if span.get("goid") == 0:
        yield "goid is 0"
    if not span.get("service"):
        yield "service is missing"


def mismatches(want, span):
    """Sentences on how a span differs from what it should be."""
    yield from _shape(span)
    attributes = span.get("attributes", {})
    for key, value in want.get("attributes", {}).items():
        if not _fits(value, attributes.get(key)):
            yield f"{key}: {_short(attributes.get(key))} instead of {_short(value)}"
    for key, value in want.items():
        if key != "attributes" and not _fits(value, span.get(key)):
            yield f"{key}: {_short(span.get(key))} instead of {_short(value)}"


def compare(expected, spans):
    """All that is wrong, as a list of sentences; empty when all is right.

    expected maps a User-Agent to its span; each must appear exactly once,
    and no other span may appear."""
    wrong, seen, ids = [], {}, set()
    for span in spans:
        seen.setdefault(agent(span), []).append(span)
        if span.get("span_id") in ids:
            wrong.append(f"span_id {span['span_id']} appears twice")
        ids.add(span.get("span_id"))
    for who, want in expected.items():
        found = seen.pop(who, [])
        if len(found) != 1:
            wrong.append(f"{_short(who)}: {len(found)} spans instead of 1")
        for span in found[:1]:
            wrong.extend(f"{_short(who)}: {m}" for m in mismatches(want, span))
    for who, found in seen.items():
        wrong.append(f"{len(found)} spans nobody asked for, of {who!r}: {_short(found[0])}")
    return wrong


def check(expected, spans, limit=int(os.environ.get("EARSHOT_DIFFERENCES", "12"))):
    wrong = compare(expected, spans)
    if wrong:
        more = f"\n  … and {len(wrong) - limit} more" if len(wrong) > limit else ""
        raise AssertionError(f"{len(wrong)} differences:\n  " + "\n  ".join(wrong[:limit]) + more)
