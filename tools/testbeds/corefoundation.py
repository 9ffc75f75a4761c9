"""corefoundation FOLDER: Apple's CoreFoundation on Linux, made in FOLDER from Debian's packages, installing none.

FOLDER/python is this very Python, started so that it can load the library, whose path it has in its environment as
COREFOUNDATION_LIBRARY: `FOLDER/python -m pytest tests`. What is there already is not made again.

Where it comes from, and why so:
* Debian 13 has Swift, whose Foundation contains CoreFoundation, of Apple's own source: run loops, sources, sockets.
* It wants a newer C library than that of Debian 12. So both are unpacked into one folder, and Python is started by the
  dynamic loader from there. Its children are started as ever.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("libswiftlang", "libc6", "libgcc-s1", "libstdc++6")
SUITE = "trixie"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
LOADER = "ld-linux-x86-64.so.2"
_SWIFT = "usr/libexec/swift/lib/swift/linux"
_SYSTEM = "usr/lib/x86_64-linux-gnu"
# Parts of the C library that are loaded by name while a program runs, so that no program says that it needs them.
_BY_NAME = ("libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv", "libnss_*", "libanl", "libcrypt")
_COMMAND = """#!/bin/sh
export COREFOUNDATION_LIBRARY={library}/libFoundation.so
exec {library}/{loader} --library-path {library} --argv0 {python} {python} "$@"
"""


def missing() -> str | None:
    """What is lacking here; None if nothing."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and Path(KEYS).exists()):
        return "Debian's apt-get, dpkg-deb and debian-archive-keyring"
    if os.uname().machine != "x86_64":
        return f"an x86-64 machine, not {os.uname().machine}"
    return None


def make(folder: Path) -> None:
    """Make what is not there yet."""
    library = folder / "lib"
    folder.mkdir(parents=True, exist_ok=True)
    if not library.exists():
        new = folder / "new"
        shutil.rmtree(new, ignore_errors=True)
        _gather(_unpacked(new), new / "lib")
        (new / "lib").rename(library)
        shutil.rmtree(new)
    command = folder / "python"
    command.write_text(_COMMAND.format(library=library, loader=LOADER, python=sys.executable))
    command.chmod(0o755)


def _unpacked(folder: Path) -> Path:
    """The packages, unpacked; apt has lists and a cache of its own, so the system's are left alone."""
    for name in ("lists/partial", "cache/archives/partial", "packages", "root"):
        (folder / name).mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] {_mirror()} {SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null", "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
        "APT::Get::List-Cleanup": "false", "Debug::NoLocking": "true",
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    _run([*apt, "update"], folder)
    _run([*apt, "download", *(f"{package}/{SUITE}" for package in PACKAGES)], folder / "packages")
    for package in sorted((folder / "packages").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(folder / "root")], folder)
    return folder / "root"


def _mirror() -> str:
    """The address from which this system gets Debian's packages."""
    for attempt in (1, 2):
        targets = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], Path("/"))
        mirrors = [line for line in targets.splitlines() if "security" not in line.lower()]
        if mirrors:
            return max(set(mirrors), key=mirrors.count)
        if attempt == 1:   # a new machine knows none before its first update
            _run(["apt-get", "-qq", "update"], Path("/"))
    raise SystemExit("apt-get knows no mirror of Debian: see /etc/apt/sources.list")


def _gather(root: Path, library: Path) -> None:
    """Copy what is needed of `root` into one folder: libFoundation, what it needs, and the C library."""
    swift, system = root / _SWIFT, root / _SYSTEM
    foundation = swift / "libFoundation.so"
    needed = _run(
        [str(system / LOADER), "--library-path", f"{system}:{swift}", "--list", str(foundation)], root
    )  # of the form: name => path (address)
    files = {foundation, system / LOADER}
    files |= {Path(line.split()[2]) for line in needed.splitlines() if "=>" in line and str(root) in line}
    for name in _BY_NAME:
        files |= {Path(path) for path in glob.glob(str(system / f"{name}.so.*"))}
    library.mkdir()
    for file in files:
        shutil.copy(file, library / file.name)
    (library / LOADER).chmod(0o755)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nended with the code {done.returncode}")
    return done.stdout


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.testbeds.corefoundation FOLDER")
    reason = missing()
    if reason is not None:
        sys.exit(f"not made: the testbed of CoreFoundation needs {reason}; its tests are left out")
    folder = Path(sys.argv[1]).resolve()
    make(folder)
    _run([str(folder / "python"), "-c", "import ctypes, os; ctypes.CDLL(os.environ['COREFOUNDATION_LIBRARY'])"], folder)


if __name__ == "__main__":
    main()
