"""Turns the published Autobahn test suite, written for Python 2, into Python 3 modules.

    python prepare_autobahn.py SUITE.tar.gz LIBRARY.tar.gz OUT_DIR

The suite (autobahntestsuite) gives the case definitions, the library (autobahn 0.10.9, the last
version that has every hook the cases call) the client that plays them. Both come from the
package index, both stay outside this repository: only this recipe is ours.

Result: OUT_DIR/autobahn_suite (the cases) and OUT_DIR/autobahn (the library), for the runner
autobahn_cases.py. The cases treat text as strings of bytes. Each byte becomes the character of
the same number here (Latin-1), which keeps their meaning; the runner maps back at the socket.

Each edit below must fit exactly as often as it says, so a changed package fails loudly.
"""

import re
import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath

from fissix.main import main as convert_to_python_3

# Not converted: the cases of the compression extension, which the server does not offer, and one
# that the suite itself has switched off.
LEFT_OUT = ["case12_x_x", "case9_9_1"]

# (file under OUT_DIR, what stands there, what it becomes, how often)
EDITS = [
    # Integer division of Python 2.
    (
        "autobahn/websocket/protocol.py",
        "range(payload_len / len(payload))",
        "range(payload_len // len(payload))",
        1,
    ),
    (
        "autobahn_suite/case/case10_1_1.py",
        "len(self.payload) / self.p.autoFragmentSize",
        "len(self.payload) // self.p.autoFragmentSize",
        1,
    ),
    # A class can't name `object` before a class derived from it.
    ("autobahn_suite/case/case6_x_x.py", "(object, Case, )", "(Case, )", 1),
    ("autobahn_suite/case/case7_7_X.py", "(object, Case, )", "(Case, )", 1),
    ("autobahn_suite/case/case7_9_X.py", "(object, Case, )", "(Case, )", 1),
    ("autobahn_suite/case/case9_7_X.py", "(object, Case, )", "(Case, )", 1),
    # The cases left out.
    ("autobahn_suite/case/__init__.py", "from case9_9_1 import *\n", "", 1),
    ("autobahn_suite/case/__init__.py", "from case12_x_x import *\n", "", 1),
    ("autobahn_suite/case/__init__.py", "Cases.extend(Case12_X_X)\n", "", 1),
    ("autobahn_suite/case/__init__.py", "Cases.extend(Case13_X_X)\n", "", 1),
    *(
        (
            "autobahn_suite/case/__init__.py",
            f"CaseSubCategories.update(Case{n}_X_X_CaseSubCategories)\n",
            "",
            1,
        )
        for n in (12, 13)
    ),
]


def unpack(archive, wanted, rename, out):
    """Writes the regular files below `wanted` of the archive under out/rename."""
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            # The first part of each path is the name and version of the package.
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not member.isfile() or not path.is_relative_to(wanted) or ".." in path.parts:
                continue
            target = out / rename / path.relative_to(wanted)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(tar.extractfile(member).read())
            count += 1
    if count == 0:
        sys.exit(f"{archive}: nothing below {wanted}")


def decode_bytes_as_latin_1(folder):
    """Rewrites the sources so that a literal holds one character for each byte it held."""
    cookie = re.compile(r"^#.*coding[:=].*$", re.MULTILINE)
    for path in folder.rglob("*.py"):
        text = path.read_bytes().decode("latin-1").replace("\r\n", "\n")
        # Used for descriptions only; b2a_hex no longer takes text, repr takes all.
        text = text.replace("binascii.b2a_hex(", "repr(")
        path.write_text(cookie.sub("#", text), encoding="utf-8")


def apply_edits(out):
    for name, old, new, count in EDITS:
        path = out / name
        text = path.read_text(encoding="utf-8")
        if text.count(old) != count:
            sys.exit(f"{path}: expected {count} of {old!r}, found {text.count(old)}")
        path.write_text(text.replace(old, new), encoding="utf-8")


def main():
    suite, library, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    shutil.rmtree(out, ignore_errors=True)
    unpack(suite, "autobahntestsuite/case", "autobahn_suite/case", out)
    unpack(library, "autobahn", "autobahn", out)
    (out / "autobahn_suite/__init__.py").write_text("")

    cases = out / "autobahn_suite/case"
    for name in LEFT_OUT:
        (cases / f"{name}.py").unlink()
    decode_bytes_as_latin_1(cases)
    # The library runs on Python 3 already; only the cases are converted.
    if convert_to_python_3("fissix.fixes", ["--write", "--nobackups", "--no-diffs", str(cases)]):
        sys.exit("the conversion to Python 3 failed")
    apply_edits(out)


main()
