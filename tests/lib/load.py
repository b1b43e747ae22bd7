"""Load by Debian's wrk."""

import re
import shutil

from proc import Process, Skip


class Wrk(Process):
    """wrk for some seconds, on one core, so that server and Earshot share the rest."""

    def __init__(self, url, seconds, connections=16):
        if not shutil.which("wrk"):
            raise Skip("wrk is not installed")
        self.seconds = seconds
        super().__init__(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", url])

    def result(self):
        """{"requests": …, "failed": …, "rate": …} after the end."""
        self.wait(self.seconds + 20)
        text = self.out()
        answered = re.search(r"(\d+) requests in", text)
        if not answered:
            raise AssertionError(f"wrk: {self.describe()} {text}")
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        failed = sum(map(int, errors.groups())) if errors else 0
        return {"requests": int(answered.group(1)), "failed": failed + (int(bad.group(1)) if bad else 0),
                "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))}
