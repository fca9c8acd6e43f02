"""What holds for the code as a whole."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import s3kv_flows
from s3kv_flows import maintenance, store, tasks
from s3kv_flows.store import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "s3kv_flows"

LAYERS = ["store", "maintenance", "blocks", "flows", "deployments"]
"""From the bottom up; what is not named here is of the layer of the blocks."""
TOP = {
    "flows",
    "sharding",
    "cleanup_page",
    "plan_page",
    "cli",
    "output_commands",
    "maintenance_commands",
    "checkpoint_commands",
    "cleanup_options",
    "lifecycle_commands",
    "demo",
    "demo_run",
    "tasks",
}


def layer(module: str) -> int:
    part = module.split(".")[1] if "." in module else ""
    if part in ("store", "maintenance"):
        return LAYERS.index(part)
    return LAYERS.index("flows") if part in TOP else LAYERS.index("blocks")


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


MODULES = dict(sources())


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    if module == "s3kv_flows":  # loads its names lazily
        return
    for imported in imports(MODULES[module]):
        if imported.startswith("s3kv_flows."):
            assert layer(imported) <= layer(module), f"{module} imports {imported}"


def test_boto3_is_imported_in_one_module() -> None:
    found = {
        name
        for name, tree in MODULES.items()
        for one in imports(tree)
        if one.split(".")[0] in ("boto3", "botocore")
    }
    assert found == {"s3kv_flows.store._s3.transport.boto"}


def test_store_and_maintenance_know_nothing_of_prefect() -> None:
    for name, tree in MODULES.items():
        if name.startswith(("s3kv_flows.store", "s3kv_flows.maintenance")):
            assert not [one for one in imports(tree) if one.split(".")[0] == "prefect"], name


def test_nothing_of_prefect_that_is_internal_is_imported() -> None:
    for name, tree in MODULES.items():
        assert not [one for one in imports(tree) if one.startswith("prefect._")], name


def test_tasks_under_another_name_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tasks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "import this package as s3kv_flows.tasks" in done.stderr


@pytest.mark.parametrize(
    "package", [s3kv_flows, store, maintenance, tasks, errors], ids=lambda one: one.__name__
)
def test_public_names_are_there_and_sorted(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert all(hasattr(package, name) for name in names)
    assert sorted(names) == sorted(set(names))
    if package is s3kv_flows:
        assert dir(package) == sorted(names)
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            s3kv_flows.nothing  # noqa: B018


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = [line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line]
    there = [name for name in errors.__all__ if name != "S3KVError"]
    assert sorted(name.split("(")[0] for name in drawn) == sorted(there)
    for name in drawn:
        own, _, base = name.rstrip(")").partition("(")
        assert not base or base in {one.__name__ for one in getattr(errors, own).__mro__}


def test_the_base_of_all_errors_is_never_raised_itself() -> None:
    for name, tree in MODULES.items():
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
        assert not [one for one in raised if "S3KVError" in ast.dump(one)], name


def test_the_built_wheel_holds_the_tasks_as_real_files(tmp_path: Path) -> None:
    build = "from hatchling.build import build_wheel; print(build_wheel({!r}))"
    done = subprocess.run(
        [sys.executable, "-c", build.format(str(tmp_path))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(tmp_path / done.stdout.strip().splitlines()[-1]) as wheel:
        names = wheel.namelist()
        guard = wheel.read("s3kv_flows/tasks/__init__.py")
        entry_points = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert guard == (ROOT / "tasks/__init__.py").read_bytes()
    assert "s3kv_flows/py.typed" in names
    assert not [name for name in names if name.startswith(("tasks/", "tests/"))]
    assert "[prefect.collections]\ns3kv_flows = s3kv_flows.blocks" in entry_points
    assert "s3kv = s3kv_flows.cli:main" in entry_points
