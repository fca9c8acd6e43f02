"""One key however a task is run, and never one of another text."""

from __future__ import annotations
import __future__

import importlib
import importlib.util
import json
import linecache
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from s3kv_flows._keys.identity import Identity
from tests.keys.everywhere import PIPELINE, PROJECT, ROOT, VALUES, environment, run, write
from tests.keys.everywhere_edits import (
    CASES,
    HEAD,
    NEW,
    OLD,
    Case,
    delete,
    keep_times,
)
from tests.support.lake import Lake
from tests.support.proxy import CountingProxy
from tests.support.waiting import PATIENCE

WAYS = "tests.keys.everywhere_ways"


class Computed:
    """A project whose tasks were computed once, by ``python pipeline.py``, which pickled them, too."""

    def __init__(self, proxy: CountingProxy, api: str, place: Path) -> None:
        self.lake, self.api, self.place = Lake(proxy, object_lock=False), api, write(place)
        self.pickled = place.with_name("script")
        found = self.run("pipeline.py", PICKLED=str(self.pickled))[""]
        assert found == {name: ["Completed", value] for name, value in VALUES.items()}

    def run(self, *arguments: str, cwd: Path | None = None, python: str = sys.executable, **more: str) -> Any:
        """Run a process in the project; return the outcomes that it printed, by the way."""
        env = environment(self.lake, self.api, **more)
        return run(*arguments, env=env, cwd=cwd or self.place, python=python)

    def in_ways(self, *ways: str, place: Path | None = None, **more: str) -> Any:
        at = place or self.place
        return self.run("-m", WAYS, str(at), *ways, cwd=at, python=sys.executable, **more)


@pytest.fixture(scope="module")
def computed(proxy: CountingProxy, prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    return Computed(proxy, prefect_api, tmp_path_factory.mktemp("everywhere") / "project")


def misses(outcomes: dict[str, Any]) -> set[str]:
    """Return the tasks that were no hits; whatever they were, their values are those of the code."""
    assert {name: value for name, (_, value) in outcomes.items()} == {name: VALUES[name] for name in outcomes}
    assert {state for state, _ in outcomes.values()} <= {"Cached", "Completed"}
    return {name for name, (state, _) in outcomes.items() if state != "Cached"}


def check_hits(found: dict[str, Any], *ways: str) -> None:
    assert {way: misses(outcomes) for way, outcomes in found.items()} == {way: set() for way in ways or [""]}


# --- the ways to run a task --------------------------------------------------------------------------

IN_ONE_PROCESS = [
    "imported",
    "entry_point",
    "second_entry_point",
    "entry_point_of_module",
    "run_as_script",
    "run_as_module",
    "zipped",
    "archived",
    "traced",
    "threads",
    "forked",
    "event_loop",
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_whoever_loads_the_project_hits_what_a_script_computed(computed: Computed) -> None:
    check_hits(computed.in_ways(*IN_ONE_PROCESS), *IN_ONE_PROCESS)


def test_without_assertions_and_docstrings_the_key_is_the_same(computed: Computed) -> None:
    check_hits(computed.run("-OO", "pipeline.py"))


def test_where_the_text_is_not_a_pickle_by_value_has_the_same_key(computed: Computed, tmp_path: Path) -> None:
    notebook, again = tmp_path / "notebook", tmp_path / "again"
    check_hits(computed.in_ways("notebook_pickled", PICKLED=str(notebook)), "notebook_pickled")

    bare = write(tmp_path / "bare", {name: PROJECT[name] for name in PROJECT.keys() - {"pipeline.py"}})
    ways = [f"pickled_again={computed.pickled}", f"unpickled={notebook}", f"unpickled={again}"]
    found = computed.in_ways(*ways, place=bare, PICKLED=str(again))
    assert list(found) == ways
    check_hits(found, *ways)


TESTS = """
import pytest
pytest.register_assert_rewrite("helpers")
{pipeline}

def test_outcomes():
    print("OUTCOMES", json.dumps(outcomes()))
    assert True
"""


def test_where_pytest_rewrote_the_code_there_is_no_hit_of_other_code(
    computed: Computed, tmp_path: Path
) -> None:
    text = TESTS.format(pipeline=PIPELINE.partition("if __name__")[0])
    place = write(tmp_path / "tests", {**PROJECT, "test_pipeline.py": text})
    options = ["-q", "-s", "-p", "no:cacheprovider", "--rootdir", str(place), "-c", os.devnull]
    (outcomes,) = computed.run("-m", "pytest", *options, "test_pipeline.py", cwd=place).values()
    # Whether it hits depends on how fresh the file is: a text that is not what runs proves no settings.
    assert misses(outcomes) <= set(VALUES)


@pytest.mark.slow  # processes that start others
@pytest.mark.long  # a minute; threads, submitted tasks and Dask itself are in the quick half
def test_processes_that_a_flow_starts_hit_what_a_script_computed(computed: Computed) -> None:
    (in_a_pool,) = computed.run("pipeline.py", RUNNER="processes").values()
    assert misses(in_a_pool) == set()
    check_hits(computed.in_ways("by_spawn"), "by_spawn")
    (on_dask,) = computed.run("pipeline.py", RUNNER="dask").values()
    assert misses(on_dask) == set()
    (of_cells,) = computed.in_ways("notebook_on_dask").values()
    assert misses(of_cells) == set()


@pytest.mark.slow  # a process each, as nobody can do these things to a process that runs
@pytest.mark.long  # half a minute; the ways of everywhere_ways.py are a dozen others
def test_options_of_python_change_no_key(computed: Computed, tmp_path: Path) -> None:
    check_hits(computed.run("-O", "pipeline.py"))
    check_hits(computed.run("-m", "pipeline"))
    check_hits(computed.run(os.path.relpath(computed.place / "pipeline.py", tmp_path), cwd=tmp_path))
    (tmp_path / "link").symlink_to(computed.place)
    check_hits(computed.run("link/pipeline.py", cwd=tmp_path))
    if importlib.util.find_spec("coverage"):
        check_hits(
            computed.run("-m", "coverage", "run", "--branch", "--data-file", os.devnull, "pipeline.py")
        )
    if importlib.util.find_spec("IPython"):
        check_hits(computed.in_ways("ipython"), "ipython")


@pytest.mark.slow  # it computes all of it again
def test_compiled_files_alone_hit_nothing_of_other_code(computed: Computed) -> None:
    (outcomes,) = computed.in_ways("compiled").values()
    assert misses(outcomes) == set(VALUES)


@pytest.mark.slow
@pytest.mark.long  # half a minute, with a key that depends on no file
def test_a_module_of_an_archive_that_is_run_has_the_same_key(computed: Computed, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", computed.place)
    check_hits(computed.run("-m", "pipeline", cwd=tmp_path, PYTHONPATH=os.pathsep.join([archive, str(ROOT)])))


@pytest.mark.slow  # wants other interpreters, with the package's dependencies
@pytest.mark.parametrize("minor", [10, 12, 13])
def test_other_versions_of_python_hit_what_this_one_computed(computed: Computed, minor: int) -> None:
    """Use the interpreters that ``S3KV_TEST_PYTHONS`` lists, or those of the path."""
    named = os.environ.get("S3KV_TEST_PYTHONS", "").split(os.pathsep)
    for python in [*filter(None, named), shutil.which(f"python3.{minor}") or ""]:
        script = f"import sys, prefect, boto3, xxhash; sys.exit(sys.version_info[:2] != (3, {minor}))"
        if python and not subprocess.run([python, "-c", script], capture_output=True, check=False).returncode:
            check_hits(computed.run("pipeline.py", python=python))
            return
    pytest.skip(f"there is no Python 3.{minor} with the dependencies")


def test_a_future_import_in_another_cell_changes_no_key() -> None:
    text = "def t(x: int): return x"
    script, notebook = ModuleType("__main__"), ModuleType("__main__")
    in_a_cell(script, f"from __future__ import annotations\n{text}", "<script>")
    in_a_cell(notebook, "from __future__ import annotations", "<first cell>")
    in_a_cell(notebook, text, "<second cell>", __future__.annotations.compiler_flag)
    assert Identity().code(vars(notebook)["t"]).digest == Identity().code(vars(script)["t"]).digest


def in_a_cell(module: ModuleType, text: str, name: str, flags: int = 0) -> None:
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec", flags, dont_inherit=True), vars(module))  # noqa: S102


def test_while_another_thread_imports_a_module_the_key_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = "import threading\nthreading.s3kv_started.set()\nthreading.s3kv_go.wait()\nLAST = 2\n"
    write(tmp_path, {"slow_to_import.py": late, "its_user.py": USER})
    monkeypatch.syspath_prepend(str(tmp_path))
    started, go = threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "s3kv_started", started, raising=False)
    monkeypatch.setattr(threading, "s3kv_go", go, raising=False)
    task = importlib.import_module("its_user").t
    before = Identity().code(task).digest
    thread = threading.Thread(target=task)
    thread.start()
    try:
        assert started.wait(PATIENCE)
        meanwhile = Identity().code(task).digest
    finally:
        go.set()
        thread.join()
        after = Identity().code(task).digest
        for name in ("slow_to_import", "its_user"):
            del sys.modules[name]
    assert before == after
    assert before == meanwhile


@pytest.mark.parametrize("change", ["function", "table"])
def test_what_a_process_put_into_a_module_counts_where_a_run_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    name, user = f"patched_{change}", f"uses_patched_{change}"
    text = USER.replace("slow_to_import.LAST", f"{name}.f(), {name}.TABLE").replace("slow_to_import", name)
    write(tmp_path, {f"{name}.py": "TABLE = {1: 1}\ndef f(): return 1\n", f"{user}.py": text})
    monkeypatch.syspath_prepend(str(tmp_path))
    task = importlib.import_module(user).t
    try:
        before = Identity().code(task).digest
        late = importlib.import_module(name)
        assert Identity().code(task).digest == before
        if change == "function":
            vars(late)["f"] = lambda: 2
        else:
            vars(late)["TABLE"][1] = 2
        after = Identity().code(task).digest
    finally:
        sys.modules.pop(user)
        sys.modules.pop(name, None)
    assert after != before


USER = "def t():\n    import slow_to_import\n    return slow_to_import.LAST\n"


# --- edits of what runs ------------------------------------------------------------------------------


class Runner:
    """A process that loads projects and runs their tasks, on commands by its standard input."""

    def __init__(self, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.keys.everywhere_edits"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **todo: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(todo) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "it failed, as it says above"
        return json.loads(answer)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass(frozen=True)
class Seen:
    """What four runs of each case's task returned, by the name of the case."""

    old_first: dict[str, Any]
    new_after_old: dict[str, Any]
    new_first: dict[str, Any]
    old_after_new: dict[str, Any]


@pytest.fixture(scope="module")
def seen(proxy: CountingProxy, prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Let one process load all projects; edit them; run their tasks there, and in a new process."""
    lake, place = Lake(proxy, object_lock=False), tmp_path_factory.mktemp("edits")
    places = [place / f"p{number}" / "now" for number in range(len(CASES))]
    projects = [
        (
            case.name,
            case.write(directory, number),
            str(directory),
            [name.replace("$", str(number)) for name in case.loads],
            case.then.replace("$", str(number)),
        )
        for number, (case, directory) in enumerate(zip(CASES, places, strict=True))
    ]
    with ExitStack() as stack:

        def start(name: str) -> Runner:
            # Of an edit that keeps size and time, Python itself would run the compiled file of the old text.
            env = environment(lake, prefect_api, PYTHONPYCACHEPREFIX=str(place / name))
            runner = Runner(env)
            stack.callback(runner.stop)
            return runner

        old = start("old")
        old.ask(load=projects)
        for case, directory in zip(CASES, places, strict=True):
            case.edit(directory)
        old.ask(then=True)
        old_first = old.ask(run="the old one is first")
        new = start("new")
        new.ask(
            load=[
                (name, module, directory, [], "")
                for case, (name, module, directory, *_) in zip(CASES, projects, strict=True)
                if case.edit is not delete
            ]
        )
        new_after_old = new.ask(run="the old one is first")
        new_first = new.ask(run="the new one is first")
        yield Seen(old_first, new_after_old, new_first, old.ask(run="the new one is first"))


@pytest.mark.parametrize("case", CASES, ids=attrgetter("name"))
def test_old_code_and_the_new_text_of_its_file_never_share_a_result(seen: Seen, case: Case) -> None:
    assert seen.old_first[case.name][1] == case.value
    assert seen.old_after_new[case.name][1] == case.value
    if case.edit is not delete:
        assert seen.new_after_old[case.name][1] == NEW
        assert seen.new_first[case.name] == ["Completed", NEW]


def test_code_that_was_loaded_from_the_new_text_gives_what_the_new_text_does(seen: Seen) -> None:
    """A reload, as a notebook's autoreload does it, or an import after the edit.

    It may compute: of a file that was written while the process ran, nothing proves the settings at its top.
    """
    fresh = [case for case in CASES if case.value == NEW and not case.loads]
    outcomes = [found[case.name] for case in fresh for found in (seen.new_after_old, seen.old_after_new)]
    assert {value for _, value in outcomes} == {NEW}
    assert {state for state, _ in outcomes} <= {"Cached", "Completed"}


LAZY = """
@cached
def t(who):
    if "EDITED" in os.environ:
        with open(os.path.join(os.path.dirname(__file__), "late.py"), "w") as file:
            file.write("def f(): return \\"new\\"\\n")
    import late
    return late.f()
"""
"""A task whose file of another module is edited after its key was made, and before that is imported."""


class OneTask:
    """A project of one task, which imports a module when it runs."""

    def __init__(self, lake: Lake, api: str, place: Path, head: str = HEAD) -> None:
        self._lake, self._api = lake, api
        self.place = write(place, {"one.py": head + LAZY, "late.py": f'def f(): return "{OLD}"\n'})

    def run(self, **more: str) -> list[str]:
        """Run the task in a new process; return its state and its value."""
        runner = Runner(environment(self._lake, self._api, **more))
        try:
            runner.ask(load=[("one", "one", str(self.place), [], "")])
            found: list[str] = runner.ask(run="anybody")["one"]
            return found
        finally:
            runner.stop()


@pytest.mark.slow  # a process for each text
def test_a_file_that_is_edited_before_a_run_imports_it_leaves_nothing_under_the_old_key(
    lake: Lake, prefect_api: str, tmp_path: Path
) -> None:
    one = OneTask(lake, prefect_api, tmp_path / "project")
    assert one.run(EDITED="yes") == ["Completed", NEW]
    (one.place / "late.py").write_text(f'def f(): return "{OLD}"  # longer than what is compiled\n')
    assert one.run()[1] == OLD


@pytest.mark.slow
def test_a_run_that_must_be_saved_fails_where_a_file_was_edited_before_it_imports_it(
    lake: Lake, prefect_api: str, tmp_path: Path
) -> None:
    head = HEAD.replace('caching(os.environ["LAKE"])', 'caching(os.environ["LAKE"], on_unsaved="fail")')
    one = OneTask(lake, prefect_api, tmp_path / "project", head)
    state, failure = one.run(EDITED="yes")
    assert state == "Failed"
    assert "the run imported late from a file that was found or changed after the key was made" in failure
    assert one.run()[1] == NEW


@pytest.mark.slow  # a process for each text
@pytest.mark.long  # half a minute; a file that is edited before a run imports it shows the same rule
def test_a_compiled_file_that_is_out_of_date_does_not_run_under_the_key_of_the_text(
    lake: Lake, prefect_api: str, tmp_path: Path
) -> None:
    one = OneTask(lake, prefect_api, tmp_path / "project")
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    assert one.run(**compiled) == ["Completed", OLD]
    keep_times(one.place)
    assert one.run(**compiled)[1] == OLD, "Python looks at size and time alone"
    assert one.run(**compiled) == ["Cached", OLD]
    assert one.run(PYTHONPYCACHEPREFIX=str(tmp_path / "other"))[1] == NEW
