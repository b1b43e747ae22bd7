"""Woven programs decide themselves which traces are kept, as planted ones do: where the first point of a trace comes by.

They run without privileges, so that nothing can be planted beside what is woven.
"""

import pathlib

import sampling
from earshot import planter
from proc import public_copy
from target import MINORS
from testing import Test
from weave import _woven as woven
from woven import NOBODY

LAST = MINORS[-1]


def _fanout(minor):
    path, said = woven(minor, "fanout")
    assert "earshot: " not in said, said
    return pathlib.Path(public_copy(path))


def _whole_or_absent(minor):
    return sampling.whole_or_absent(minor, _fanout(minor), functions=(), prefix=NOBODY)


def _counts(minor):
    """One record more than where it is planted: the route is told by two functions."""
    return sampling.counts(minor, _fanout(minor), each=4, prefix=NOBODY)


def tests():
    if planter():
        return
    for minor in dict.fromkeys(("1.21", LAST)):
        yield Test(f"whole-or-absent-go{minor}", lambda minor=minor: _whole_or_absent(minor), 600)
    yield Test(f"counts-go{LAST}", lambda: _counts(LAST), 600)
