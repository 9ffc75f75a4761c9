"""windows FOLDER [REQUIREMENT...]: Windows' own CPython, run by Wine, made in FOLDER from Debian and PyPI alone.

FOLDER/python is the command: `FOLDER/python -m pytest tests`. Paths of this system work, / is its drive Z:. The
requirements are installed for it as wheels; pip reads their markers as this system's, so what Windows alone needs is
named, too. What is there already is not made again.

Where it comes from, and why so:
* PyPI's panda3d brings the Windows build of CPython, signed by the Python Software Foundation, for programs that are
  made with it; the C extensions and DLLs are taken from there. The modules in Python are this system's of that version,
  which are the same files. python.exe, which panda3d lacks, is written by us; it does what the original does.
* Wheels for the stable ABI want python3.dll; those written in Rust bcryptprimitives.dll, which Wine 8 lacks.
* Tcl's and Tk's scripts are Debian's, whose version is told to be the DLLs'.

Facts of Wine 8, and what they mean for us:
* A regular file as standard input, output or error fails: the command makes pipes of them.
* The server that the first process starts stays, with that process's descriptors: it is started before. The desktop,
  which the first window starts, stays as well: who waits for the end of the output waits no longer than a second after
  that of the process.
* All that runs in a prefix shares that server and that desktop, and is lost with them, as when the process group is
  killed that the first window was of. So each command runs in a copy of the prefix (85 MB, half a second), which ends
  with it.
* Most of a prefix are copies of Wine's own DLLs (630 MB): they are replaced by links.
* _wmi (Python 3.12 and later) crashes. Without a manifest that names Windows 10 programs are told that it is Windows 8.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tools.testbeds.portable_executable import exports, forwarding_library, python_program

PANDA3D = "1.10.16"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
DIGITS = VERSION.replace(".", "")
DLL = f"python{DIGITS}.dll"
WINE = {
    "WINEARCH": "win64", "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
    "DISPLAY": "",   # nothing shall wait for a desktop
}  # fmt: skip
PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
WHEELS = [
    "--only-binary=:all:", "--platform", "win_amd64", "--python-version", VERSION, "--implementation", "cp",
    "--abi", f"cp{DIGITS}", "--abi", "abi3", "--abi", "none",
]  # fmt: skip
TCL = Path("/usr/share/tcltk")
_NOT_NEEDED = {
    "site-packages", "dist-packages", "test", "tests", "idlelib", "turtledemo", "lib2to3", "ensurepip", "lib-dynload",
    "pydoc_data", "curses", "__pycache__",
}  # fmt: skip
_MANIFEST = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <compatibility xmlns="urn:schemas-microsoft-com:compatibility.v1"><application>
    <supportedOS Id="{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}"/>
  </application></compatibility>
</assembly>
"""
_COMMAND = """#!/bin/bash
export WINEARCH=win64 WINEDEBUG="${{WINEDEBUG--all}}" PYTHONUTF8=1
export WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=d"
unset PYTHONHOME

# A Windows of its own. Who holds its folder's lock runs there; those that killed commands left are removed.
mkdir -p {running}
exec 8<{running}; flock 8
for left in {running}/*; do
  [ -d "$left" ] && flock --nonblock "$left" bash -c 'WINEPREFIX=$0 wineserver -k; rm -rf "$0"' "$left"
done
export WINEPREFIX; WINEPREFIX=$(mktemp -d {running}/XXXXXX)
exec 9<"$WINEPREFIX"; flock 9
exec 8<&-
trap 'wineserver -k; rm -rf "$WINEPREFIX"' EXIT
cp -a {prefix}/. "$WINEPREFIX"
(exec 9<&- </dev/null >/dev/null 2>&1; wineserver -p60; wine cmd /c exit)

[ -p /dev/stdin ] || exec </dev/null
exec 3> >(exec cat 9<&-); output=$!
exec 4> >(exec cat >&2 3>&- 9<&-); errors=$!
wine {program} "$@" >&3 2>&4 3>&- 4>&- 9<&-
code=$?
exec 3>&- 4>&-
timeout 1 tail -s 0.02 --pid=$output -f /dev/null
timeout 1 tail -s 0.02 --pid=$errors -f /dev/null
kill $output $errors 2>/dev/null
exit $code
"""


def missing() -> str | None:
    """What has to be installed before, and how; None if nothing."""
    packages = {"wine": "wine", "wineserver": "wine64"}
    lacking = [package for command, package in packages.items() if shutil.which(command) is None]
    if not lacking:
        return None
    return f"{' and '.join(lacking)} (on Debian, as root: apt-get install --no-install-recommends {' '.join(lacking)})"


def make(folder: Path, requirements: list[str]) -> None:
    """Make what is not there yet."""
    program, prefix = folder / "program", folder / "prefix"
    folder.mkdir(parents=True, exist_ok=True)
    if not program.exists():
        _make_program(_emptied(folder / "program.new"), folder).rename(program)
    if not prefix.exists():
        _make_prefix(_emptied(folder / "prefix.new")).rename(prefix)
    _install(program, requirements)
    command = folder / "python"
    command.write_text(_COMMAND.format(prefix=prefix, running=folder / "running", program=program / "python.exe"))
    command.chmod(0o755)


def _emptied(folder: Path) -> Path:
    """`folder`, without what a run that was ended left there."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _make_program(program: Path, folder: Path) -> Path:
    libraries = program / "DLLs"
    libraries.mkdir(parents=True)
    with zipfile.ZipFile(_wheel(folder)) as wheel:
        for entry in wheel.infolist():
            where, _, name = entry.filename.rpartition("/")
            # Wine has a C library of its own, so Microsoft's, in pieces, is left out.
            if where == "deploy_libs" and name and not re.match(r"api-ms-|_wmi\.|.*t-win_amd64", name):
                target = libraries if name.endswith(".pyd") else program
                (target / name).write_bytes(wheel.read(entry))
    shutil.copytree(sysconfig.get_path("stdlib"), program / "Lib", ignore=_left_out)
    (program / "Lib" / "site-packages").mkdir()
    (program / "python.exe").write_bytes(python_program(DLL))
    (program / "python.exe.manifest").write_text(_MANIFEST)
    stable = {name: f"{DLL.removesuffix('.dll')}.{name}" for name in exports(program / DLL)}
    (program / "python3.dll").write_bytes(forwarding_library("python3.dll", stable))
    random = {"ProcessPrng": "ADVAPI32.SystemFunction036"}
    (program / "bcryptprimitives.dll").write_bytes(forwarding_library("bcryptprimitives.dll", random))
    _copy_tcl(program)
    return program


def _left_out(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in _NOT_NEEDED or name.startswith("config-")]


def _wheel(folder: Path) -> Path:
    _run([*PIP, "download", "--no-deps", *WHEELS, "--dest", str(folder), f"panda3d=={PANDA3D}"])
    return next(folder.glob(f"panda3d-{PANDA3D}-cp{DIGITS}-*win_amd64.whl"))


def _copy_tcl(program: Path) -> None:
    """Tcl's and Tk's scripts, where Debian has them; each insists on the version of its library, which is the DLLs'."""
    for script, package, library in (("init.tcl", "tcl8.6", "tcl86t.dll"), ("tk.tcl", "tk8.6", "tk86t.dll")):
        if not (TCL / package).is_dir():
            return
        target = program / "tcl" / package
        shutil.copytree(TCL / package, target)
        version = re.search(rb"\0(8\.6\.\d+)\0", (program / library).read_bytes())
        assert version is not None, f"{library} does not say which version it is"
        text = (target / script).read_text()
        (target / script).write_text(re.sub(r"(-exact T(?:cl|k) +)8\.6\.\d+", rf"\g<1>{version[1].decode()}", text))


def _make_prefix(prefix: Path) -> Path:
    settings = WINE | {"WINEPREFIX": str(prefix)}
    _run(["wineboot", "-i"], settings)
    windows = r"HKLM\Software\Microsoft\Windows NT\CurrentVersion"
    for name, value in ("CurrentVersion", "10.0"), ("CurrentBuild", "19043"), ("CurrentBuildNumber", "19043"):
        _run(["wine", "reg", "add", windows, "/v", name, "/d", value, "/f"], settings)
    _run(["wine", "reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"], settings)
    _run(["wineserver", "-w"], settings)
    for library in Path("/usr/lib").glob("*/wine/x86_64-windows"):
        for copy in (prefix / "drive_c/windows/system32").iterdir():
            original = library / copy.name
            if copy.is_symlink() or not original.exists() or not filecmp.cmp(copy, original, shallow=False):
                continue
            copy.unlink()
            copy.symlink_to(original)
    return prefix


def _install(program: Path, requirements: list[str]) -> None:
    installed = program / "installed.txt"
    wanted = "\n".join(requirements)
    if not requirements or (installed.exists() and installed.read_text() == wanted):
        return
    packages = program / "Lib" / "site-packages"
    options = ["--upgrade", "--no-warn-conflicts", "--root-user-action=ignore", "--target", str(packages), *WHEELS]
    _run([*PIP, "install", *options, *requirements])
    installed.write_text(wanted)


def _run(command: list[str], settings: Mapping[str, str] | None = None) -> None:
    """Run a command; its output, by a pipe, is told only if it fails."""
    done = subprocess.run(
        command, env=os.environ | (settings or {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout.decode(errors='replace')}\nended with the code {done.returncode}")


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tools.testbeds.windows FOLDER [REQUIREMENT...]")
    reason = missing()
    if reason is not None:
        sys.exit(f"not made: the testbed of Windows needs {reason}; its tests are left out")
    folder = Path(sys.argv[1]).resolve()
    make(folder, sys.argv[2:])
    _run([str(folder / "python"), "-c", "import _overlapped, ctypes, ssl"])


if __name__ == "__main__":
    main()
