"""Edits of files while a process runs what it loaded from them, and that process."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OLD, NEW = "old", "new"
"""What a task returns says which text ran. Of one length, so that an edit keeps the size of its file."""

HEAD = """\
import os
from prefect import task
from s3kv_flows import caching
cached = task(**caching(os.environ["LAKE"]))
"""

Do = Callable[[Path], None]


def rewrite(place: Path) -> None:
    """Write the new text over each file, as an editor does."""
    for file in sorted(place.rglob("*.py")):
        file.write_text(file.read_text().replace(OLD, NEW))


def keep_times(place: Path) -> None:
    """Write the new text and put the time back: size and time of a file say nothing."""
    for file in sorted(place.rglob("*.py")):
        times = file.stat()
        file.write_text(file.read_text().replace(OLD, NEW))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def make_older(place: Path) -> None:
    """Write the new text with a time long ago, as an archive that is unpacked does."""
    rewrite(place)
    for file in sorted(place.rglob("*.py")):
        os.utime(file, (1_000_000_000, 1_000_000_000))


def replace(place: Path) -> None:
    """Put a new file into each one's place, as ``git checkout`` does."""
    for file in sorted(place.rglob("*.py")):
        (other := file.with_suffix(".tmp")).write_text(file.read_text().replace(OLD, NEW))
        other.replace(file)


def delete(place: Path) -> None:
    shutil.rmtree(place)


def swap_link(place: Path) -> None:
    """Let a link point to the next release, whose files are older than the process."""
    (link := place.with_name("link")).symlink_to(next_release(place))
    link.replace(place)


def swap_directory(place: Path) -> None:
    """Rename the directory of the next release, whose files are older than the process."""
    place.rename(place.with_name("before"))
    next_release(place).rename(place)


def next_release(place: Path) -> Path:
    return place.with_name("next")


@dataclass(frozen=True)
class Case:
    """A project, an edit of it, and what its task returns in a process that had loaded it before.

    Attributes:
        name: Of the case.
        text: Of the task's module, below ``HEAD``.
        files: Other modules; ``$`` in names and texts is the number of the case.
        loads: Modules that the process has imported before the edit.
        edit: What happens to the directory.
        then: What the process executes after the edit.
        value: What it returns then.
    """

    name: str
    text: str
    files: dict[str, str] = field(default_factory=dict)
    loads: tuple[str, ...] = ()
    edit: Do = rewrite
    then: str = ""
    value: str = OLD

    def write(self, place: Path, number: int) -> str:
        """Write the project; return the name of its module."""
        files = {f"task{number}.py": HEAD + self.text, **self.files}
        real = place.with_name("release") if self.edit is swap_link else place
        for target in (real, *([next_release(place)] if self.edit in (swap_link, swap_directory) else [])):
            for name, text in files.items():
                file = target / name.replace("$", str(number))
                file.parent.mkdir(parents=True, exist_ok=True)
                said = text.replace("$", str(number)).replace("~", OLD)
                file.write_text(said.replace(OLD, NEW) if target == next_release(place) else said)
        if self.edit is swap_link:
            place.symlink_to(real)
        return f"task{number}"


OWN = '@cached\ndef t(who): return "~"'
LAZY = "@cached\ndef t(who):\n    import late$\n    return late$.f()"
FUNCTION = 'def f(): return "~"'
CONSTANT = 'EDITION = "~"'
EDITS = (rewrite, keep_times, make_older, replace, delete, swap_link, swap_directory)

CASES = [
    *(Case(f"own text, {edit.__name__}", OWN, edit=edit) for edit in EDITS),
    *(
        Case(
            f"a helper, {edit.__name__}",
            "import help$\n@cached\ndef t(who): return help$.f()",
            {"help$.py": FUNCTION},
            edit=edit,
        )
        for edit in EDITS
    ),
    *(
        Case(
            f"imported when it runs, loaded before, {edit.__name__}",
            LAZY,
            {"late$.py": FUNCTION},
            loads=("late$",),
            edit=edit,
        )
        for edit in EDITS
    ),
    Case("a global", 'EDITION = "~"\n@cached\ndef t(who): return EDITION'),
    Case("a default", '@cached\ndef t(who, edition="~"): return edition'),
    Case("a method", 'class A:\n    def f(self): return "~"\n@cached\ndef t(who): return A().f()'),
    Case("a class attribute", 'class A: edition = "~"\n@cached\ndef t(who): return A.edition'),
    Case(
        "an enum",
        'import enum\nclass E(enum.Enum): A = "~"\n@cached\ndef t(who): return E.A.value',
    ),
    Case(
        "a closure",
        'def make(edition):\n    @cached\n    def t(who): return edition\n    return t\nt = make("~")',
    ),
    Case("a lambda", 'f = lambda: "~"\n@cached\ndef t(who): return f()'),
    Case(
        "a name of a helper", "from help$ import f\n@cached\ndef t(who): return f()", {"help$.py": FUNCTION}
    ),
    Case(
        "a constant of a helper",
        "import help$\n@cached\ndef t(who): return help$.EDITION",
        {"help$.py": CONSTANT},
    ),
    Case(
        "the helper of a helper",
        "import help$\n@cached\ndef t(who): return help$.g()",
        {"help$.py": "import base$\ndef g(): return base$.f()", "base$.py": FUNCTION},
    ),
    Case(
        "a constant of what is imported when it runs",
        "@cached\ndef t(who):\n    import late$\n    return late$.EDITION",
        {"late$.py": CONSTANT},
        loads=("late$",),
    ),
    Case(
        "computed when it was imported",
        "@cached\ndef t(who):\n    import late$\n    return late$.EDITION[0]",
        {"late$.py": 'EDITION = ["~" + ""]'},
        loads=("late$",),
    ),
    Case(
        "imported by what is imported when it runs",
        LAZY,
        {"late$.py": "import base$\ndef f(): return base$.g()", "base$.py": 'def g(): return "~"'},
        loads=("late$",),
    ),
    Case(
        "a module of a package",
        "@cached\ndef t(who):\n    from pack$ import sub\n    return sub.f()",
        {"pack$/__init__.py": "", "pack$/sub.py": FUNCTION},
        loads=("pack$.sub",),
    ),
    Case(
        "imported by its name",
        '@cached\ndef t(who):\n    import importlib\n    return importlib.import_module("late$").f()',
        {"late$.py": FUNCTION},
        loads=("late$",),
    ),
    *(
        Case(f"imported when it runs, {edit.__name__}", LAZY, {"late$.py": FUNCTION}, edit=edit, value=NEW)
        for edit in (rewrite, keep_times, make_older, replace, swap_link, swap_directory)
    ),
    Case(
        "a helper that is reloaded",
        "import help$\n@cached\ndef t(who): return help$.f()",
        {"help$.py": FUNCTION},
        then="import importlib, help$\nimportlib.reload(help$)",
        value=NEW,
    ),
    Case(
        "a name of a helper that is reloaded",
        "from help$ import f\n@cached\ndef t(who): return f()",
        {"help$.py": FUNCTION},
        then="import importlib, help$\nimportlib.reload(help$)",
    ),
    Case(
        "reloaded before it is imported when it runs",
        LAZY,
        {"late$.py": FUNCTION},
        loads=("late$",),
        then="import importlib, late$\nimportlib.reload(late$)",
        value=NEW,
    ),
    Case(
        "a function that autoreload gave its new code",
        "from help$ import f\n@cached\ndef t(who): return f()",
        {"help$.py": FUNCTION},
        then="import importlib, help$\nf = help$.f\nimportlib.reload(help$)\nf.__code__ = help$.f.__code__",
        value=NEW,
    ),
    Case(
        "a function that autoreload gave its new code, after a first run",
        "from help$ import f\n@cached\ndef t(who): return f()",
        {"help$.py": FUNCTION},
        then=(
            "m.t('somebody')\nimport importlib, help$\nf = help$.f\nimportlib.reload(help$)\n"
            "f.__code__ = help$.f.__code__"
        ),
        value=NEW,
    ),
    Case(
        "the task's module is reloaded",
        OWN,
        then="import importlib\nimportlib.reload(m)",
        value=NEW,
    ),
]


def main() -> None:
    """Do what each line says; answer with one."""
    cases: list[Any] = []
    for line in sys.stdin:
        todo = json.loads(line)
        answer: Any = None
        if "load" in todo:
            for name, module, place, loads, then in todo["load"]:
                sys.path.insert(0, place)
                cases.append((name, importlib.import_module(module), then))
                for other in loads:
                    importlib.import_module(other)
        elif "then" in todo:
            importlib.invalidate_caches()
            for _, module, then in cases:
                exec(then, {"m": module})  # noqa: S102
        else:
            answer = {}
            for name, module, _ in cases:
                # Two cases may have the same text, and so the same key.
                state = module.t(f"{todo['run']}: {name}", return_state=True)
                answer[name] = [state.name, state.result(raise_on_failure=False)]
        print(json.dumps(answer, default=repr), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
