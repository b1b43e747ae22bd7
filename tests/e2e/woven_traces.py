"""Woven programs decide themselves which traces are kept, as planted ones do: where the first point of a trace comes by.

They run without privileges where nothing may be planted beside what is woven. Requests of HTTP/1 get the trace context from
woven code, too.
"""

import pathlib

import one_trace
import propagate
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


def _module(minor, name):
    path = scratch() / name
    more = () if minor == LAST else ("-modfile=go1.21.mod",)
    # pylint: disable-next=protected-access
    said = weave._build(minor, *more, "-o", path, ".", cwd=weave.SOURCES / name)
    assert "earshot: " not in said, said
    return path


def _crowd(minor, seconds):
    """Orders over three services: what is not woven of them is planted beside."""
    return one_trace.crowd("woven", seconds, path=_module(minor, "trio"))


def _propagate(minor):
    return propagate.check_woven(_module(minor, "sender"))


def tests():
    if planter():
        return
    seconds = scaled(3, 2, "ONE_TRACE_SECONDS")
    for minor in dict.fromkeys(("1.21", LAST) if seconds > 3 else (LAST,)):
        yield Test(f"crowd-go{minor}", lambda minor=minor: _crowd(minor, seconds), seconds + 900)
    for minor in dict.fromkeys(("1.21", LAST)):
        yield Test(f"whole-or-absent-go{minor}", lambda minor=minor: _whole_or_absent(minor), 600)
    yield Test(f"counts-go{LAST}", lambda: _counts(LAST), 600)
    for minor in dict.fromkeys(("1.21", LAST) if seconds > 3 else (LAST,)):
        yield Test(f"propagate-go{minor}", lambda minor=minor: _propagate(minor), 900)
