"""Loads one project in many ways, and prints what its tasks did."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import io
import json
import linecache
import multiprocessing
import os
import pickle
import runpy
import shutil
import sys
import threading
import types
import zipapp
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle

THREADS = 32


def imported(place: Path) -> Any:
    return importlib.import_module("pipeline").outcomes()


def entry_point(place: Path) -> Any:
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(f"{place / 'pipeline.py'}:everything")()


def second_entry_point(place: Path) -> Any:
    """Load a path whose stem is the name of a module already: Prefect gives it another name."""
    importlib.import_module("pipeline")
    return entry_point(place)


def entry_point_of_module(place: Path) -> Any:
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint("pipeline:everything")()


def run_as_script(place: Path) -> Any:
    return runpy.run_path(str(place / "pipeline.py"), run_name="<run_path>")["outcomes"]()


def run_as_module(place: Path) -> Any:
    return runpy.run_module("pipeline", run_name="another")["outcomes"]()


def notebook(place: Path) -> Any:
    """Run each statement as a cell of its own, as ipykernel does: it writes no file."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    for number, text in enumerate(cells((place / "pipeline.py").read_text())):
        run_cell(module, text, f"/tmp/ipykernel_{os.getpid()}/{number}.py")
    return vars(module)["outcomes"]()


def cells(text: str) -> Iterator[str]:
    for node in ast.parse(text).body[:-1]:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        yield "".join(text.splitlines(keepends=True)[first - 1 : node.end_lineno])


def run_cell(module: types.ModuleType, text: str, filename: str) -> None:
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    for node in ast.parse(text, filename).body:
        exec(compile(ast.Module([node], []), filename, "exec", dont_inherit=True), vars(module))  # noqa: S102


def notebook_on_dask(place: Path) -> Any:
    """Send the tasks of a notebook to workers, which find no file of theirs."""
    from prefect_dask.task_runners import DaskTaskRunner

    notebook(place)
    cluster = {"n_workers": 1, "threads_per_worker": 2, "processes": True, "dashboard_address": ":0"}
    return vars(sys.modules["__main__"])["submitted"](DaskTaskRunner(cluster_kwargs=cluster))


def ipython(place: Path) -> Any:
    shell = importlib.import_module("IPython.core.interactiveshell").InteractiveShell.instance()
    for text in cells((place / "pipeline.py").read_text()):
        shell.run_cell(text, store_history=True).raise_error()
    shell.run_cell("found = outcomes()").raise_error()
    return shell.user_ns["found"]


def zipped(place: Path) -> Any:
    archive = shutil.make_archive(str(place.with_name("zipped")), "zip", place)
    sys.path[0] = archive
    return imported(place)


def archived(place: Path) -> Any:
    """Run an archive, as ``python pipeline.pyz`` does."""
    source = place.with_name("archived")
    shutil.copytree(place, source, dirs_exist_ok=True)
    (source / "pipeline.py").replace(source / "__main__.py")
    zipapp.create_archive(source, archive := source.with_suffix(".pyz"))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it did, as a script
        return runpy.run_path(str(archive), run_name="__main__")["outcomes"]()


def traced(place: Path) -> Any:
    """Trace each line, as debuggers and coverage do."""

    def trace(*_: object) -> Any:
        return trace

    before = sys.gettrace()
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "lines")
        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, lambda *_: None)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE | monitoring.events.PY_START)
    sys.settrace(trace)
    threading.settrace(trace)
    try:
        return imported(place)
    finally:
        sys.settrace(before)
        threading.settrace(before)
        if monitoring is not None:
            monitoring.set_events(monitoring.COVERAGE_ID, 0)
            monitoring.free_tool_id(monitoring.COVERAGE_ID)


def threads(place: Path) -> Any:
    """Run a task in many threads at once, none of which has run before."""
    pipeline = importlib.import_module("pipeline")
    start = threading.Barrier(THREADS)

    def one(number: int) -> Any:
        start.wait()
        name, task = ("lazy", pipeline.lazy) if number % 2 else ("scale", pipeline.scale)
        state = task(1 if number % 2 else 2, return_state=True)
        return name, [state.name, state.result()]

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(one, range(THREADS)))
    (lazy,) = {json.dumps(outcome) for name, outcome in found if name == "lazy"}
    (scale,) = {json.dumps(outcome) for name, outcome in found if name == "scale"}
    return {"lazy": json.loads(lazy), "scale": json.loads(scale)}


def keys_of(pipeline: Any) -> Any:
    """Return the digests of the tasks and of an input: Prefect itself does not run after a fork."""
    from s3kv_flows._keys.identity import identity_of

    digests = [identity_of(task.fn).code(task.fn).digest.hex() for task, *_ in pipeline.CALLS.values()]
    values = {"order": pipeline.Order(3), "mode": pipeline.Mode.DOUBLE}
    return digests + [one.digest.hex() for one in identity_of(pipeline.price.fn).inputs(values).values()]


def in_fork(pipeline: Any) -> Any:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.write(writer, json.dumps(keys_of(pipeline)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as said:  # noqa: PTH123 -- a pipe
        found = said.read()
    os.waitpid(child, 0)
    return json.loads(found or "null")


def forked(place: Path) -> Any:
    """Fork before a key was computed, and after."""
    pipeline = importlib.import_module("pipeline")
    before = in_fork(pipeline)
    own = keys_of(pipeline)
    after = in_fork(pipeline)
    assert before == own == after, "the child of a fork has the keys of its parent"
    return pipeline.outcomes()


def by_spawn(place: Path) -> Any:
    """Run the project in a process that multiprocessing spawns, with a pickled input."""
    pipeline = importlib.import_module("pipeline")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(pipeline.outcomes)


def compiled(place: Path) -> Any:
    """Import compiled files alone."""
    import compileall

    copy = place.with_name("compiled")
    shutil.copytree(place, copy, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    compileall.compile_dir(copy, quiet=1, legacy=True)
    for file in copy.glob("*.py"):
        file.unlink()
    sys.path[0] = str(copy)
    return imported(place)


def notebook_pickled(place: Path) -> Any:
    """Pickle the tasks of a notebook by value."""
    found = notebook(place)
    vars(sys.modules["__main__"])["pickle_to"](os.environ["PICKLED"])
    return found


def unpickled(pickled: Path) -> Any:
    """Run tasks that another process pickled by value, where their text is not."""
    with pickled.open("rb") as file:
        outcomes = pickle.load(file)
    return outcomes()


def pickled_again(pickled: Path) -> Any:
    """Do the same with what such a process sends on, as a task on a worker that submits others."""
    with pickled.open("rb") as file:
        outcomes = pickle.load(file)
    with open(os.environ["PICKLED"], "wb") as file:  # noqa: PTH123 -- the name of one
        cloudpickle.dump(outcomes, file)
    return outcomes()


async def in_a_loop(place: Path) -> Any:
    pipeline = importlib.import_module("pipeline")
    state = await pipeline.fetch("ab", return_state=True)
    return {"fetch": [state.name, await state.aresult()]}


def event_loop(place: Path) -> Any:
    return asyncio.run(in_a_loop(place))


WAYS: dict[str, Callable[[Path], Any]] = {
    one.__name__: one
    for one in (
        imported,
        entry_point,
        second_entry_point,
        entry_point_of_module,
        run_as_script,
        run_as_module,
        notebook,
        ipython,
        zipped,
        archived,
        traced,
        threads,
        forked,
        by_spawn,
        compiled,
        notebook_on_dask,
        notebook_pickled,
        unpickled,
        pickled_again,
        event_loop,
    )
}


def main() -> None:
    place = Path(sys.argv[1])
    own, known = sys.modules["__main__"], set(sys.modules)
    for argument in sys.argv[2:]:
        way, _, file = argument.partition("=")
        sys.path.insert(0, str(place))
        try:
            found = WAYS[way](Path(file) if file else place)
            print(f"OUTCOMES:{argument}", json.dumps(found), flush=True)  # noqa: T201  # to the parent
        finally:
            del sys.path[0]
            sys.modules["__main__"] = own
            for name in set(sys.modules) - known:
                if name in ("pipeline", "helpers", "late", "deeper") or name.startswith("__prefect_loader"):
                    del sys.modules[name]
            importlib.invalidate_caches()


if __name__ == "__main__":
    main()
