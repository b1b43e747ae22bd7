"""What of a program's code differs from its file: the probes in place.

Go code needs no relocation, so executable memory equals the file wherever
nobody has put a probe."""

import re

_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ (\d+)\s*(.*)")


def _code_mappings(pid):
    exe = None
    for line in open(f"/proc/{pid}/maps"):
        start, end, perms, offset, inode, path = _LINE.match(line).groups()
        if path.startswith("/") and exe is None:
            exe = path  # the program itself is mapped first
        if "x" in perms and path == exe and inode != "0":
            yield int(start, 16), int(end, 16), int(offset, 16)


def changed_text(pid):
    """{address: (byte in the file, byte in memory)} of the program's own code."""
    changed = {}
    with open(f"/proc/{pid}/exe", "rb") as exe, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for start, end, offset in _code_mappings(pid):
            exe.seek(offset)
            want = exe.read(end - start)
            mem.seek(start)
            have = mem.read(end - start)[:len(want)]  # the last page may outlast the file
            if want != have:
                changed.update({start + i: (a, b) for i, (a, b) in enumerate(zip(want, have)) if a != b})
    return changed
