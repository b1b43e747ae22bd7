"""tests/go/relay: asks another one whatever it is asked."""

import subprocess

from proc import BIN, Process, Skip, clean_env, until


class Relay(Process):
    """relay ARG…, on a port that it chose."""

    def __init__(self, program, *args, path=None, prefix=()):
        path = path or BIN / f"relay-go{program}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        super().__init__([*prefix, path, *args], env=clean_env(GOGC=5), stdin=subprocess.PIPE)
        self.port = int(until("it is ready", lambda: self.out().strip()))
