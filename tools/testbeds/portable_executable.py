"""Windows' executables, as few of them as the testbed needs, written byte by byte: no compiler for Windows is needed.

Facts of the format (PE32+, x86-64) that this relies on:
* A file is a header, a table of sections, and the sections. One section holds everything here, readable, writable and
  executable, and is loaded at SECTION, to which all addresses are relative.
* An import is a name that the loader replaces by an address, in a table that code calls through.
* An export whose address lies inside the directory of exports is not code but the name, DLL.FUNCTION, of another one.
* A program says whether it is for the console or has windows. For one of the console, started by one that has none,
  Wine starts a console, which inherits every inheritable handle and so keeps pipes open: ours has windows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SECTION = 0x1000
_FILE_ALIGNMENT = 0x200
_EXECUTABLE, _LIBRARY = 0x22, 0x2022   # characteristics
_EXPORTS, _IMPORTS = 0, 1   # numbers of directories
_DIRECTORIES = 16


def python_program(library: str) -> bytes:
    """A python.exe that hands its command line to `library`, such as python311.dll."""
    calls = {
        "KERNEL32.dll": ["GetCommandLineW", "ExitProcess"],
        "SHELL32.dll": ["CommandLineToArgvW"],
        library: ["Py_Main"],
    }
    room = 0x80   # bytes for the code
    content = bytearray(room)
    address = _imports(content, calls)
    code = bytearray(b"\x48\x83\xec\x38")                       # sub rsp, 0x38
    code += _call(address["GetCommandLineW"], len(code))
    code += b"\x48\x89\xc1\x48\x8d\x54\x24\x28"                 # mov rcx, rax; lea rdx, [rsp + 0x28]
    code += _call(address["CommandLineToArgvW"], len(code))
    code += b"\x8b\x4c\x24\x28\x48\x89\xc2"                     # mov ecx, [rsp + 0x28]; mov rdx, rax
    code += _call(address["Py_Main"], len(code))
    code += b"\x89\xc1"                                         # mov ecx, eax
    code += _call(address["ExitProcess"], len(code))
    assert len(code) <= room
    content[: len(code)] = code
    size = 20 * (len(calls) + 1)
    return _file(content, {_IMPORTS: (SECTION + room, size)}, SECTION, _EXECUTABLE)


def forwarding_library(name: str, exports: Mapping[str, str]) -> bytes:
    """A DLL called `name`; `exports`: its functions, each of which is another's: {"Random": "ADVAPI32.Function"}."""
    names = sorted(exports)
    functions, texts, ordinals = 40, 40 + 4 * len(names), 40 + 8 * len(names)
    content = bytearray(40 + 10 * len(names))

    def put(text: str) -> int:
        where = SECTION + len(content)
        content.extend(text.encode() + b"\0")
        return where

    for number, export in enumerate(names):
        struct.pack_into("<I", content, texts + 4 * number, put(export))
        struct.pack_into("<I", content, functions + 4 * number, put(exports[export]))
        struct.pack_into("<H", content, ordinals + 2 * number, number)
    own = put(name)
    tables = (SECTION + functions, SECTION + texts, SECTION + ordinals)
    struct.pack_into("<IIHHIIIIIII", content, 0, 0, 0, 0, 0, own, 1, len(names), len(names), *tables)
    return _file(content, {_EXPORTS: (SECTION, len(content))}, 0, _LIBRARY)


def exports(library: Path) -> Iterator[str]:
    """The names that a DLL exports."""
    content = library.read_bytes()
    (header,) = struct.unpack_from("<I", content, 0x3C)
    (sections,), (options,) = (struct.unpack_from("<H", content, header + offset) for offset in (6, 20))
    first = header + 24 + options
    loaded = [struct.unpack_from("<IIII", content, first + 40 * number + 8) for number in range(sections)]

    def place(address: int) -> int:
        start: int
        offset: int
        for size, start, stored, offset in loaded:
            if start <= address < start + max(size, stored):
                return address - start + offset
        raise ValueError(f"{library} has no address {address:#x}")

    directory = place(struct.unpack_from("<I", content, header + 24 + 112)[0])
    (count,) = struct.unpack_from("<I", content, directory + 24)
    texts = place(struct.unpack_from("<I", content, directory + 32)[0])
    for number in range(count):
        start = place(struct.unpack_from("<I", content, texts + 4 * number)[0])
        yield content[start : content.index(b"\0", start)].decode()


def _imports(content: bytearray, calls: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Append the directory of imports and its tables to `content`; where the address of each function will be."""
    directory = len(content)
    content.extend(bytes(20 * (len(calls) + 1)))
    address: dict[str, int] = {}
    for number, (library, functions) in enumerate(calls.items()):
        names = []
        for function in functions:
            content.extend(bytes(len(content) % 2))
            names.append(SECTION + len(content))
            content.extend(b"\0\0" + function.encode() + b"\0")
        text = SECTION + len(content)
        content.extend(library.encode() + b"\0")
        content.extend(bytes(-len(content) % 8))
        tables = []
        for _ in ("names", "addresses"):
            tables.append(SECTION + len(content))
            content.extend(struct.pack(f"<{len(names) + 1}Q", *names, 0))
        address |= {function: tables[1] + 8 * index for index, function in enumerate(functions)}
        struct.pack_into("<IIIII", content, directory + 20 * number, tables[0], 0, 0, text, tables[1])
    return address


def _call(target: int, offset: int) -> bytes:
    """A call through the table entry at `target`, from code at `offset`."""
    return b"\xff\x15" + struct.pack("<i", target - (SECTION + offset + 6))


def _file(content: bytearray, directories: Mapping[int, tuple[int, int]], entry: int, characteristics: int) -> bytes:
    size = len(content)
    content = content + bytes(-size % _FILE_ALIGNMENT)
    table = bytearray(8 * _DIRECTORIES)
    for number, place in directories.items():
        struct.pack_into("<II", table, 8 * number, *place)
    image = SECTION + (size + SECTION - 1) // SECTION * SECTION
    options = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        0x20B, 14, 0, len(content), 0, 0, entry, SECTION,             # PE32+, sizes of code and data, entry
        0x140000000, SECTION, _FILE_ALIGNMENT, 6, 0, 0, 0, 6, 0, 0,   # base, alignments, versions
        image, _FILE_ALIGNMENT, 0, 2, 0x8100,                         # sizes, has windows, may be moved
        0x400000, 0x1000, 0x100000, 0x1000, 0, _DIRECTORIES,          # stack and heap
    ) + table  # fmt: skip
    header = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(options), characteristics)
    section = b".text\0\0\0" + struct.pack(
        "<IIIIIIHHI", size, SECTION, len(content), _FILE_ALIGNMENT, 0, 0, 0, 0, 0xE0000020
    )
    head = b"MZ" + bytes(58) + struct.pack("<I", 0x40) + b"PE\0\0" + header + options + section
    return head + bytes(_FILE_ALIGNMENT - len(head)) + content
