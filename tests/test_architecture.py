"""The rooms of the package, their order, and what else holds for the code as a whole.

``python -m tests.test_architecture`` prints the counts.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from s3kv_flows.store import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "s3kv_flows"

ORDER: Mapping[str, tuple[str, ...]] = {
    "s3kv_flows": (
        "cli",
        "_demo",
        "flows",
        "tasks",
        "checkpoints",
        "_cache",
        "_outputs",
        "blocks",
        "_results",
        "_keys",
        "_prefect",
        "maintenance",
        "store",
    ),
    "s3kv_flows._keys": (
        "identity",
        "by_value",
        "parts",
        "code",
        "contents",
        "project",
        "provenance",
        "quiet",
        "colours",
        "errors",
    ),
    "s3kv_flows.maintenance": (
        "_lifecycle",
        "_sweeping",
        "_inventory",
        "_planning",
        "_entries",
        "_rules",
        "_rule_files",
        "_rule_errors",
    ),
    "s3kv_flows.store": (
        "_kv",
        "_outputs",
        "_values",
        "_objects",
        "_seals",
        "_locks",
        "_leases",
        "_iam",
        "_s3",
        "_layout",
        "_durations",
        "errors",
    ),
}
"""The rooms from the top down: an import points to a room further down, or stays in its own."""

PUBLIC = (
    "s3kv_flows",
    "s3kv_flows.blocks",
    "s3kv_flows.checkpoints",
    "s3kv_flows.cli",
    "s3kv_flows.flows",
    "s3kv_flows.maintenance",
    "s3kv_flows.store",
    "s3kv_flows.store.errors",
    "s3kv_flows.tasks",
)
"""What users import from. Everything else has one ``_`` in its path; the tasks' files are the owner's."""

MOST_ROOMS = 14
MOST_NAMES = 12


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(
        [*PACKAGE.rglob("*.py"), *(PACKAGE / "tasks").glob("*.py")]
    ):  # a symlink is not followed
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield all modules that are imported anywhere, also within functions and for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


MODULES: dict[str, ast.Module] = {}
MODULES.update(sources())


def arrows() -> Iterator[tuple[str, str]]:
    """Yield what imports what, within the package; the package itself loads its public names lazily."""
    for module, tree in MODULES.items():
        if module != "s3kv_flows":
            yield from ((module, one) for one in imports(tree) if one.startswith("s3kv_flows."))


def upward(links: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield, in words, the imports that point to a room further up."""
    for module, imported in links:
        for package, order in ORDER.items():
            rooms = [one.removeprefix(f"{package}.").split(".")[0] for one in (module, imported)]
            if all(one.startswith(f"{package}.") for one in (module, imported)) and set(rooms) <= set(order):
                importing, used = map(order.index, rooms)
                if used < importing:
                    yield f"move {module}, or what it needs of {imported}: {rooms[0]} lies below {rooms[1]}"


def circle(links: Iterable[tuple[str, str]]) -> list[str]:
    """Return the files of a circle of imports, none where there is none."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for module, imported in links:
        if module != imported:
            sorter.add(module, imported)
    try:
        sorter.prepare()
    except CycleError as exc:
        files: list[str] = exc.args[1]
        return files
    return []


def names_in(folder: Path) -> list[str]:
    """Return the modules and packages in a folder."""
    inside = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return sorted(path.stem for path in inside if path.stem != "__init__")


def folders() -> list[Path]:
    return [PACKAGE, *sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)]


def shadowed() -> list[str]:
    """Return the public names that are modules of their package, too: which one is had depends on luck."""
    found = []
    for public in PUBLIC:
        folder = ROOT / public.replace(".", "/")
        if folder.is_dir():
            found += [
                f"{public}.{name}" for name in import_module(public).__all__ if name in names_in(folder)
            ]
    return found


# --- rooms --------------------------------------------------------------------------------------------


def test_a_reader_can_hold_each_folder() -> None:
    assert len(names_in(PACKAGE)) <= MOST_ROOMS
    crowded = {str(one.relative_to(ROOT)): len(names_in(one)) for one in folders() if one != PACKAGE}
    assert {name: count for name, count in crowded.items() if count > MOST_NAMES} == {}


@pytest.mark.parametrize("package", ORDER)
def test_every_room_has_its_place_in_the_order(package: str) -> None:
    assert sorted(ORDER[package]) == names_in(ROOT / package.replace(".", "/"))


def test_imports_point_down() -> None:
    assert list(upward(arrows())) == []


def test_no_two_files_import_each_other_by_any_way() -> None:
    assert circle(arrows()) == []


def test_the_checks_see_what_they_look_for() -> None:
    up = ("s3kv_flows.store._s3.client", "s3kv_flows.store._kv")
    assert list(upward([up])) == [f"move {up[0]}, or what it needs of {up[1]}: _s3 lies below _kv"]
    assert set(circle([("a", "b"), ("b", "c"), ("c", "a")])) == {"a", "b", "c"}


def test_what_is_private_is_marked_in_its_path() -> None:
    unmarked = [
        name
        for name in MODULES
        if name not in PUBLIC and not name.startswith("s3kv_flows.tasks.") and name.count("._") != 1
    ]
    assert unmarked == []


def test_first_lines_of_modules_are_short() -> None:
    firsts = {name: (ast.get_docstring(tree) or "").split("\n")[0] for name, tree in MODULES.items()}
    assert {name: line for name, line in firsts.items() if not 0 < len(line.split()) <= 12} == {}


# --- public names -------------------------------------------------------------------------------------


def test_no_public_name_is_that_of_a_module_beside_it() -> None:
    assert shadowed() == []


@pytest.mark.parametrize("public", PUBLIC)
def test_public_names_are_there_and_sorted(public: str) -> None:
    package = import_module(public)
    names = package.__all__
    assert all(hasattr(package, name) for name in names)
    assert sorted(names) == sorted(set(names))


def test_the_package_shows_its_public_names_and_no_others() -> None:
    package = import_module("s3kv_flows")
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018


_ANY_ORDER = """
import gc, os, random, sys
from importlib import import_module
from types import ModuleType

public, modules = {public!r}, {modules!r}
for name in modules:
    import_module(name)
for name in [name for name in sys.modules if name.split(".")[0] == "s3kv_flows"]:
    del sys.modules[name]  # what these import stays: that is most of the time
gc.disable()  # each child would go over all of that, and copy it
for seed in range({orders}):
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            sys.exit(f"order {{seed}} gave a module instead of a name")
        continue
    dice = random.Random(seed)
    for name in dice.sample(modules, len(modules)):
        import_module(name)
        package = import_module(dice.choice(public))
        chosen = dice.choice(package.__all__)
        if isinstance(getattr(package, chosen), ModuleType):
            print(package.__name__, chosen, "after", name)
            os._exit(1)
    wrong = [
        f"{{package}}.{{name}}"
        for package in public
        for name in import_module(package).__all__
        if isinstance(getattr(sys.modules[package], name), ModuleType)
    ]
    print(*wrong)
    os._exit(bool(wrong))
"""


def test_public_names_are_never_modules_whatever_came_first() -> None:
    script = _ANY_ORDER.format(public=PUBLIC, modules=sorted(MODULES), orders=5)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_tasks_under_another_name_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tasks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "import this package as s3kv_flows.tasks" in done.stderr


# --- what may be used where ---------------------------------------------------------------------------


def outside(tree: ast.AST) -> set[str]:
    return {one.split(".")[0] for one in imports(tree)}


def test_boto3_is_imported_in_the_transport_alone() -> None:
    transport = "s3kv_flows.store._s3.transport"
    found = {name for name, tree in MODULES.items() if outside(tree) & {"boto3", "botocore", "urllib3"}}
    assert {name.removeprefix(f"{transport}.") for name in found} == {
        "boto",
        "boto_client",
        "direct.private",
        "direct.signing",
        "failures",
    }


def test_private_names_of_botocore_stand_in_one_module() -> None:
    private = {
        f"{name}: {node.attr}"
        for name, tree in MODULES.items()
        if name.startswith("s3kv_flows.store") and not name.endswith(".direct.private")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("_endpoint", "_fp", "_make_api_call", "_request_signer", "_session", "http_session")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    assert private == set()


def test_store_and_maintenance_know_nothing_of_prefect() -> None:
    below = ("s3kv_flows.store", "s3kv_flows.maintenance")
    assert [
        name for name, tree in MODULES.items() if name.startswith(below) and "prefect" in outside(tree)
    ] == []


def test_what_makes_a_key_knows_nothing_of_the_rest_nor_of_prefect() -> None:
    keys = {name: tree for name, tree in MODULES.items() if name.startswith("s3kv_flows._keys")}
    used = {one for tree in keys.values() for one in imports(tree)}
    assert [one for one in used if one.startswith("prefect")] == []
    assert [one for one in used if one.startswith("s3kv_flows") and one not in keys] == []


def test_the_identities_of_code_and_of_contents_meet_by_their_arguments_alone() -> None:
    rooms = ("s3kv_flows._keys.code", "s3kv_flows._keys.contents")
    for room, other in (rooms, rooms[::-1]):
        assert not [link for link in arrows() if link[0].startswith(room) and link[1].startswith(other)]


def test_nothing_of_prefect_that_is_internal_is_imported() -> None:
    for name, tree in MODULES.items():
        assert not [one for one in imports(tree) if one.startswith("prefect._")], name


# --- errors -------------------------------------------------------------------------------------------


def error_names() -> list[str]:
    return [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = [line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line]
    existing = [name for name in error_names() if name != "S3KVError"]
    assert sorted(name.split("(")[0] for name in drawn) == sorted(existing)
    for name in drawn:
        own, _, base = name.rstrip(")").partition("(")
        assert not base or base in {one.__name__ for one in getattr(errors, own).__mro__}


def test_every_error_of_the_tree_is_raised_somewhere() -> None:
    called = {
        node.func.id
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    named = {node.id for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    unused = [name for name in error_names() if name not in {"S3KVError", *called, *named}]
    assert unused == []


def test_the_base_of_all_errors_is_never_raised_itself() -> None:
    for name, tree in MODULES.items():
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
        assert not [one for one in raised if "S3KVError" in ast.dump(one)], name


# --- what is shipped ----------------------------------------------------------------------------------


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


def main() -> None:
    """Print the counts that these tests hold."""
    fullest = max(folders()[1:], key=lambda one: len(names_in(one)))
    counts = {
        "rooms at the first level": len(names_in(PACKAGE)),
        f"most names in a folder ({fullest.relative_to(ROOT)})": len(names_in(fullest)),
        "files in a circle of imports": len(circle(arrows())),
        "imports that point up": len(list(upward(arrows()))),
        "public names that are modules, too": len(shadowed()),
        "files": len(MODULES),
    }
    for what, count in counts.items():
        print(f"{count:4}  {what}")  # noqa: T201


if __name__ == "__main__":
    main()
