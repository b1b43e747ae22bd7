"""What the test groups share."""

import os
from dataclasses import dataclass
from typing import Callable


@dataclass
class Test:
    """run() returns a note for the report, raises Skip, or fails by an assertion."""

    name: str
    run: Callable
    seconds: int = 60


def scaled(full, short, name):
    """A count: the full one, EARSHOT_E2E=short's, or what EARSHOT_<name> says."""
    given = os.environ.get(f"EARSHOT_{name}")
    if given:
        return int(given)
    return short if os.environ.get("EARSHOT_E2E") == "short" else full
