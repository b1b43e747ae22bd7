"""earshot run: the program's own exit code, signals, streams, and every
request from its first instruction on."""

import os
import signal
import subprocess
import time

from earshot import Earshot, need_earshot
from proc import BIN, EARSHOT, Skip, run_once, until
from target import MINORS, Httpd, newest
from testing import Test


def _first_instruction(minor):
    need_earshot()
    path = BIN / f"oneshot-go{minor}-sw"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    with Earshot("run", "-o", "json", "--", path) as e:
        code = e.wait(30)
        assert code == 7, f"exit code {code} instead of the program's 7: {e.describe()}"
        paths = sorted(s["attributes"].get("url.query") for s in e.spans())
        assert paths == ["n=0", "n=1", "n=2"], f"spans {paths}: {e.out()!r} {e.err()!r}"
        routes = {s["attributes"].get("http.route") for s in e.spans()}
        assert routes == {"/oneshot"}, routes


def _exit_code():
    need_earshot()
    for code in (0, 1, 3, 42, 255):
        done = run_once([EARSHOT, "run", "-o", "none", "--", "/bin/sh", "-c", f"exit {code}"])
        assert done.code == code, f"{done.code} instead of {code}: {done.describe()}"


def _killed():
    need_earshot()
    with Httpd(newest(), prefix=[EARSHOT, "run", "-o", "none", "--"]) as httpd:
        os.kill(httpd.pid, signal.SIGKILL)
        code = httpd.process.wait(10)
        assert code == 128 + signal.SIGKILL, f"exit code {code}"


def _signals():
    need_earshot()
    with Httpd(newest(), "-exit", "5", prefix=[EARSHOT, "run", "-o", "none", "--"]) as httpd:
        httpd.process.send_signal(signal.SIGHUP)
        until("SIGHUP arrives", lambda: any(e.get("signal") == "SIGHUP" for e in httpd.report.entries()))
        httpd.process.send_signal(signal.SIGUSR1)
        until("SIGUSR1 arrives", lambda: any("stats" in e for e in httpd.report.entries()))
        httpd.process.send_signal(signal.SIGTERM)
        assert httpd.process.wait(10) == 5, httpd.process.describe()


def _streams():
    """The program's own streams are its own."""
    need_earshot()
    done = subprocess.run(
        [EARSHOT, "run", "-q", "-o", "none", "--", "/bin/sh", "-c", "cat; echo to-err >&2"],
        input="through", capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "through"), done
    assert "to-err" in done.stderr, done


def _environment():
    """Arguments and working directory pass unchanged."""
    need_earshot()
    done = subprocess.run(
        [EARSHOT, "run", "-q", "-o", "none", "--", "/bin/sh", "-c", 'pwd; printf "%s|" "$@"', "x",
         "-o", "two words", ""], capture_output=True, text=True, timeout=30, cwd="/usr", check=False)
    assert done.stdout == "/usr\n-o|two words||", done


def _child_of_a_script():
    """A shell script in front of the server is no obstacle."""
    need_earshot()
    wrapper = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
    with Httpd(newest(), "-exit", "6", prefix=[EARSHOT, "run", "-o", "json", "--", *wrapper],
               process=lambda argv, env: Earshot(*argv[1:], env=env)) as httpd:
        httpd.process.wait_observing(httpd.where["http"])
        os.kill(httpd.pid, signal.SIGTERM)
        code = httpd.process.wait(10)
        assert code == 6, f"exit code {code}"


def _for():
    """--for ends the observation, not the program."""
    need_earshot()
    with Httpd(newest(), prefix=[EARSHOT, "run", "-o", "none", "--for", "1s", "--"]) as httpd:
        time.sleep(2.5)
        assert httpd.get("/plain")[0] == 200
        code = httpd.process.stop()
        assert code == 0, f"exit code {code}: {httpd.process.describe()}"


def _missing_command():
    need_earshot()
    done = run_once([EARSHOT, "run", "--", "/nonexistent/program"])
    assert done.code == 127, f"exit code {done.code}"
    assert "/nonexistent/program" in done.err(), done.err()


def tests():
    for minor in MINORS:
        yield Test(f"first-instruction-go{minor}", lambda m=minor: _first_instruction(m))
    yield Test("exit-code", _exit_code)
    yield Test("exit-code-when-killed", _killed)
    yield Test("signals", _signals)
    yield Test("streams", _streams)
    yield Test("arguments", _environment)
    yield Test("child-of-a-script", _child_of_a_script)
    yield Test("for-ends-the-observation", _for)
    yield Test("missing-command", _missing_command)
