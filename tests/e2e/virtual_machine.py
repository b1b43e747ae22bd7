"""Linux 6.1, in a virtual machine: uprobes as that kernel has them, a perf event for each; and the newest Linux."""

import json
import re
import shutil

import vm
from cases import expectations, plan
from proc import BIN, ROOT, Skip, json_lines
from spans import check
from target import newest
from testing import Test

LISTENERS = ("http", "bare", "https", "h2c", "h2cstd")

# Requests are written here and sent there, where the server says which ports it has got.
SERVE = f"""
earshot run -o json -- ./httpd -report /out/report >/out/spans &
first=$!
until grep -q ready /out/report 2>/dev/null; do sleep 0.1; done
if [ -e second ]; then
	earshot attach -o json -p $(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p' /out/report) >/out/second 2>second &
	until grep -q observing second; do sleep 0.1; done
fi
for name in {" ".join(LISTENERS)}; do
	port=$(sed -n "s/.*\\"$name\\":\\([0-9]*\\).*/\\1/p" /out/report)
	sed -i "s/@$name@/$port/g" script
done
./client <script >/out/responses
kill -TERM $first
wait
"""


WARNING = "may corrupt user memory"


class There:
    """A server in the machine: at first with names for its ports."""

    def __init__(self, report=None):
        self.where = report or {name: f"@{name}@" for name in LISTENERS}
        self.pid = self.where.get("pid")
        self.go = tuple(int(n) for n in re.findall(r"\d+", self.where.get("go", "0"))[:2])

    def base(self, listener):
        return f"{'https' if listener == 'https' else 'http'}://127.0.0.1:{self.where[listener]}"


def _uprobes(kernel, observers=("spans",)):
    """Each request of cases.py gives its one span, as on this machine, whoever else observes the server."""
    script = "".join(json.dumps(line) + "\n" for _, _, line in plan(There()))
    done = vm.run(SERVE, {"httpd": newest(), "client": BIN / "client", "script": script} | dict.fromkeys(observers[1:], ""), 200,
                  kernel=kernel)
    assert done.code == 0, done.describe()
    assert WARNING not in done.log, done.log
    there = There(next(json_lines(done.files["report"])))
    responses = {r["id"]: r for r in json_lines(done.files["responses"])}
    want = expectations(there, list(plan(there)), responses)
    # The preface of HTTP/2 in clear text is a request as long as the connection, which the server may end before.
    for name in observers:
        check(want, [o for o in json_lines(done.files[name]) if o.get("kind") == "server"
                     and o["attributes"].get("http.request.method_original") != "PRI"])
    return f"{len(want)} spans"


def _writing(told):
    """What doctor says of writing into programs: (ok, text)."""
    check = next(c for c in json.loads(told)["checks"] if c["name"] == "writing")
    return check["ok"], check["text"]


def _writing_is_allowed():
    """There probes may write; with fewer capabilities they may not, and the one that is missing is named."""
    setpriv = shutil.which("setpriv")
    done = vm.run(f"{setpriv} --inh-caps=-all --bounding-set=-all,+bpf,+perfmon earshot doctor --json >/out/fewer\n"
                  "dmesg >/out/before\nearshot doctor --json", seconds=40, programs=[setpriv])
    ok, text = _writing(done.out)
    assert ok, text
    ok, text = _writing(done.files["fewer"])
    assert not ok and "missing CAP_SYS_ADMIN" in text, text
    # Whoever is not asked what is allowed must not load such a program: the kernel tells it to everyone.
    assert WARNING in done.log and WARNING not in done.files["before"], done.log


def _writing_is_locked_down():
    done = vm.run("earshot doctor --json", seconds=60, options="lockdown=integrity")
    ok, text = _writing(done.out)
    assert not ok and "kernel lockdown forbids" in text, text
    assert WARNING not in done.log, done.log


def _unit_test(name, *arguments, tests, kernel=vm.OLD):
    """A unit test of what the uprobe planter's programs do, on such a kernel."""
    program = ROOT / "build" / "tests" / "unit" / name
    if not program.exists():
        raise Skip(f"{name} is not built (make tests)")
    done = vm.run(" ".join([str(program), *arguments]), seconds=200, programs=[str(program)], kernel=kernel)
    assert done.code == 0, done.describe()
    for test in tests:
        assert re.search(rf"OK \] {test}", done.out + done.err), done.describe()
    assert "SKIPPED" not in done.out + done.err, done.describe()


def _writes():
    """What probes write, compared with the reference interpreter, on a kernel that lets them."""
    _unit_test("uprobe_inject_test", "write", tests=["scene_cases", "scene_random", "scene_faults", "scene_states"])


def _marks():
    """This kernel's verifier takes the largest programs, too."""
    _unit_test("uprobe_marks_test", "few", tests=["scene_header", "scene_context", "scene_creator", "scene_key", "scene_state"])


def _calls():
    """The newest kernel preempts programs: none writes into what another one has, and returns find their calls."""
    _unit_test("calls_test", tests=["pairs", "threads", "random_calls"], kernel=vm.NEWEST)


def tests():
    yield Test("writes", _writes, 300)
    yield Test("marks", _marks, 300)
    yield Test("writing-is-allowed", _writing_is_allowed, 150)
    yield Test("writing-is-locked-down", _writing_is_locked_down, 150)
    yield Test("uprobes", lambda: _uprobes(vm.OLD), 200)
    yield Test("calls-newest", _calls, 300)
    yield Test("uprobes-newest", lambda: _uprobes(vm.NEWEST, ("spans", "second")), 300)
