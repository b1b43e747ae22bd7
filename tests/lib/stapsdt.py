"""USDT notes as a second reader has them, and made programs with probes.

read() is a parser of its own of .note.stapsdt and of x86-64 operands; readelf() is binutils'. Both give lists of sites in the
order of the file.
"""

import pathlib
import re
import struct
import subprocess

REGISTERS = {}
for _r in "abcd":
    REGISTERS |= {f"r{_r}x": f"r{_r}x", f"e{_r}x": f"r{_r}x", f"{_r}x": f"r{_r}x", f"{_r}l": f"r{_r}x"}
for _r in ("si", "di", "bp", "sp"):
    REGISTERS |= {f"r{_r}": f"r{_r}", f"e{_r}": f"r{_r}", _r: f"r{_r}", f"{_r}l": f"r{_r}"}
for _n in range(8, 16):
    REGISTERS |= {f"r{_n}{s}": f"r{_n}" for s in ("", "d", "w", "b")}


def _sections(data):
    shoff, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * size) for i in range(count)] if shoff else []
    text = lambda table, at: data[table[4] + at:data.index(b"\0", table[4] + at)].decode()  # noqa: E731
    return [(text(heads[names], h[0]), h) for h in heads], text


def _symbols(data):
    """Name → addresses, of .symtab, else of .dynsym."""
    sections, text = _sections(data)
    found = {}
    for kind in (2, 11):
        for _, h in sections:
            if h[1] != kind:
                continue
            for at in range(h[4] + 24, h[4] + h[5], 24):
                name, info, _, index, value, _ = struct.unpack_from("<IBBHQQ", data, at)
                if index and name and info & 15 in (0, 1, 2):
                    found.setdefault(text(sections[h[6]][1], name), set()).add(value)
            return found
    return found


def operand(text, symbols):
    """{"type", "place", …} as `usdt list --json` has it; None: this reader refuses it."""
    m = re.fullmatch(r"(-?)([1248])(f?)@(.*)", text)
    if not m:
        return None
    sign, size, is_float, rest = m[1], int(m[2]), m[3], m[4]
    ret = {"type": f"float{size * 8}" if is_float else f"{'' if sign else 'u'}int{size * 8}"}
    if m := re.fullmatch(r"\$(-?\d+)", rest):
        return ret | {"place": "constant", "value": int(m[1])}
    if m := re.fullmatch(r"%(\w+)", rest):
        return ret | {"place": "register", "register": REGISTERS[m[1]]} if m[1] in REGISTERS else None
    if m := re.fullmatch(r"(?:(-?\d+)\+)?([A-Za-z_]\w*)\(%rip\)", rest):
        at = symbols.get(m[2], ())
        return ret | {"place": "memory", "address": list(at)[0] + int(m[1] or 0)} if len(at) == 1 else None
    if m := re.fullmatch(r"(-?\d+)?\(%(\w+)(?:,%(\w+)(?:,([1248]))?)?\)", rest):
        ret |= {"place": "memory", "base": REGISTERS[m[2]], "offset": int(m[1] or 0)}
        return ret | {"index": REGISTERS[m[3]], "scale": int(m[4] or 1)} if m[3] else ret
    return None


def read(path):
    """(provider, name, address, semaphore, [operand text]) of each note, and the file's symbols."""
    data = pathlib.Path(path).read_bytes()
    sections, _ = _sections(data)
    base = next((h[3] for name, h in sections if name == ".stapsdt.base"), 0)
    sites = []
    for name, h in sections:
        at, end = h[4], h[4] + h[5]
        while name == ".note.stapsdt" and at < end:
            owner, size, kind = struct.unpack_from("<III", data, at)
            desc = at + 12 + (owner + 3) // 4 * 4
            if kind == 3 and data[at + 12:at + 12 + owner] == b"stapsdt\0":
                address, link_base, semaphore = struct.unpack_from("<QQQ", data, desc)
                moved = base - link_base if base and link_base else 0
                provider, probe, args = data[desc + 24:desc + size].split(b"\0")[:3]
                sites.append((provider.decode(), probe.decode(), address + moved, semaphore and semaphore + moved,
                              args.decode().split()))
            at = desc + (size + 3) // 4 * 4
    return sites, _symbols(data)


def readelf(path):
    """What binutils makes of them: without the adjustment by .stapsdt.base."""
    text = subprocess.run(["readelf", "-nW", path], capture_output=True, text=True, timeout=60, check=True).stdout
    return [(m[1], m[2], int(m[3], 16), int(m[5], 16), m[6].split()) for m in re.finditer(
        r"Provider: (\S*)\n\s*Name: (\S*)\n\s*Location: (\S+), Base: (\S+), Semaphore: (\S+)\n\s*Arguments: ?(.*)", text)]


# ---- made programs ----

def note(label, provider, name, args, semaphore="0"):
    """Assembly: the note of the site at a label."""
    return f"""
	.pushsection .note.stapsdt,"","note"
	.balign 4
	.long 992f-991f, 994f-993f, 3
991:	.asciz "stapsdt"
992:	.balign 4
993:	.8byte {label}, _.stapsdt.base, {semaphore}
	.asciz "{provider}"
	.asciz "{name}"
	.asciz "{args}"
994:	.balign 4
	.popsection
"""


BASE = """
	.section .note.GNU-stack,"",@progbits
	.section .stapsdt.base,"aG","progbits",.stapsdt.base,comdat
	.weak _.stapsdt.base
	.hidden _.stapsdt.base
_.stapsdt.base: .space 1
	.size _.stapsdt.base, 1
	.text
"""


def build(folder, name, source, *flags):
    """Assembles and links source; the path."""
    path = pathlib.Path(folder) / name
    path.with_suffix(".s").write_text(BASE + source)
    subprocess.run(["gcc", "-o", path, *flags, path.with_suffix(".s")], check=True, timeout=60)
    return path


def library(folder, name="probes.so"):
    """A library with two probes as libstapsdt makes them: functions of their own that are a nop and a return."""
    source = "".join(f"""
	.globl {probe}
	.type {probe}, @function
{probe}:	nop
	ret
	.size {probe}, .-{probe}
{note(probe, "app", probe, args)}""" for probe, args in (("hit", "8@%rdi -4@%rsi"), ("miss", "")))
    return build(folder, name, source, "-shared", "-nostdlib")
