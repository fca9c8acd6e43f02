"""``make test-matrix``: the oldest Prefect and boto3 on the oldest Python, and the newest on the newest.

Each has a virtual environment of its own below ``.matrix``, which is made anew when ``pyproject.toml`` has
changed. Arguments go on to pytest. It needs nothing but a Python.
"""

# ruff: noqa: T201  # a command, that says what it does
from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()

TESTS = [
    "tests/test_prefect_contract.py",
    *(f"tests/cache/test_{name}.py" for name in ("upgrades", "policies", "caching", "locking")),
    "tests/cache/test_saved_stores.py",
    *(f"tests/results/test_{name}.py" for name in ("blocks", "finalizing")),
    "tests/store/reads",
    "tests/store/time",
]
"""What depends on Prefect and boto3, and does not take long."""
SHOWN = ["prefect", "boto3", "fastapi", "pydantic", "moto"]


def main() -> int:
    """Run the tests on both; return the exit status."""
    pythons = {minor: found for minor in range(10, 15) if (found := find_python(minor))}
    if not pythons:
        print("test-matrix: there is no Python from 3.10 on that runs")
        return 1
    failed = []
    for name, minor in (("oldest", min(pythons)), ("newest", max(pythons))):
        pins = [f"{package}=={lower_bound(package)}" for package in ("prefect", "boto3") if name == "oldest"]
        python = made(ROOT / ".matrix" / f"{name}-3.{minor}", pythons[minor], pins)
        print(f"==> {name}: {versions(python)}", flush=True)
        if subprocess.run([python, "-m", "pytest", *TESTS, *sys.argv[1:]], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print("==> " + (f"failed: {', '.join(failed)}" if failed else "all passed"))
    return 1 if failed else 0


def lower_bound(package: str) -> str:
    """Return the oldest version that the project says it works with."""
    found = re.search(rf'"{package}>=([0-9.]+)', PYPROJECT)
    assert found is not None, f"pyproject.toml gives no lower bound of {package}"
    return found.group(1)


def find_python(minor: int) -> str | None:
    """Return a Python 3.<minor> that runs: of the PATH, or else of pyenv, whose own command may refuse."""
    on_path = shutil.which(f"python3.{minor}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_pyenv = sorted(pyenv.glob(f"versions/3.{minor}.*/bin/python3.{minor}"))
    for python in [*([on_path] if on_path else []), *map(str, of_pyenv)]:
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


def made(place: Path, python: str, pins: list[str]) -> str:
    """Return the Python of a virtual environment with the project and these versions."""
    key = hashlib.sha256("\n".join([PYPROJECT, *pins]).encode()).hexdigest()
    mark, inside = place / "made-for", str(place / "bin" / "python")
    if mark.exists() and mark.read_text() == key:
        return inside
    print(f"==> making {place.relative_to(ROOT)}: a few minutes, once", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", place], check=True)
    pip = [inside, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, *pins, "--editable", f"{ROOT}[dev]"], check=True)
    mark.write_text(key)
    return inside


def versions(python: str) -> str:
    """Return what a virtual environment runs with."""
    script = (
        "import platform, sys; from importlib.metadata import version\n"
        "print(f'Python {platform.python_version()}', *(f'{p} {version(p)}' for p in sys.argv[1:]), sep=', ')"
    )
    run = subprocess.run([python, "-c", script, *SHOWN], capture_output=True, text=True, check=True)
    return run.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
