"""Woven programs decide themselves which traces are kept, as planted ones do: where the first point of a trace comes by.

They run without privileges where nothing may be planted beside what is woven. Requests and messages get the trace context from
woven code, too: what propagate and propagate_messages check, without privileges.
"""

import pathlib

import one_trace
import propagate
import propagate_messages
import sampling
import weave
from earshot import planter
from proc import public_copy, scratch
from target import MINORS
from testing import Test, scaled
from woven import NOBODY

LAST = MINORS[-1]


def _fanout(minor):
    path, said = weave._woven(minor, "fanout")  # pylint: disable=protected-access
    assert "earshot: " not in said, said
    return pathlib.Path(public_copy(path))


def _whole_or_absent(minor):
    return sampling.whole_or_absent(minor, _fanout(minor), functions=(), prefix=NOBODY)


def _counts(minor):
    """One record more than where it is planted: the route is told by two functions."""
    return sampling.counts(minor, _fanout(minor), each=4, prefix=NOBODY)


def _module(minor, name, *options):
    path = scratch() / name
    more = () if minor == LAST else ("-modfile=go1.21.mod",)
    # pylint: disable-next=protected-access
    said = weave._build(minor, *more, "-o", path, ".", options=options, cwd=weave.SOURCES / name)
    assert "earshot: " not in said, said
    return path


def _crowd(minor, seconds):
    """Orders over three services: what is not woven of them is planted beside."""
    return one_trace.crowd("woven", seconds, path=_module(minor, "trio"))


def _propagate(minor):
    path = pathlib.Path(public_copy(_module(minor, "sender")))
    return "; ".join(f"{kind}: {propagate.check_woven(path, kind, NOBODY)}" for kind in ("h1", "h2", "grpc"))


def _tracestate(minor):
    path, requests = pathlib.Path(public_copy(_module(minor, "relay"))), scaled(240, 240, "PROPAGATE")
    return "; ".join(f"{kind}: {propagate.check_states('woven', kind, requests, path, NOBODY)}"
                     for kind in ("h1", "h2", "grpc", "grpc0"))


def _messages(minor):
    path = pathlib.Path(public_copy(_module(minor, "mailer", "--packs", "*", "--packs", propagate_messages.calls_pack())))
    messages = scaled(1000, 500, "PROPAGATE")
    return f"nats: {propagate_messages.check_nats('woven', messages, path, NOBODY)}; " \
           f"kafka-go: {propagate_messages.check_kafka(messages, path, NOBODY)}"


def tests():
    if planter():
        return
    seconds = scaled(3, 2, "ONE_TRACE_SECONDS")
    for minor in dict.fromkeys(("1.21", LAST) if seconds > 3 else (LAST,)):
        yield Test(f"crowd-go{minor}", lambda minor=minor: _crowd(minor, seconds), seconds + 900)
    for minor in dict.fromkeys(("1.21", LAST)):
        yield Test(f"whole-or-absent-go{minor}", lambda minor=minor: _whole_or_absent(minor), 600)
    yield Test(f"counts-go{LAST}", lambda: _counts(LAST), 600)
    long = propagate.LONG
    for minor in dict.fromkeys(("1.21", LAST)):
        yield Test(f"propagate-go{minor}", lambda minor=minor: _propagate(minor), 900 * long)
        if long > 1:
            yield Test(f"tracestate-go{minor}", lambda minor=minor: _tracestate(minor), 900 * long)
            yield Test(f"messages-go{minor}", lambda minor=minor: _messages(minor), 900 * long)
