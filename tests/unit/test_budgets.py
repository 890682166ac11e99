"""The budgets that keep the code readable: they fail with the list of what is over, and are not raised to fit it."""

from __future__ import annotations

import ast
import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "reports", "dicom_node")

LINES_OF_A_FILE = 400
LINES_OF_A_READER = 700  # one model, one file, read from top to bottom
LINES_OF_A_FUNCTION = 50
MEDIAN_OF_FUNCTIONS = 10

FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "common", "data", "info", "misc"})

# Where an exception of any kind may be caught and outlived, and why. At most seven; everything else names its errors.
BLIND_EXCEPTS = MappingProxyType(
    {
        ("agent/loop.py", "run"): "the loops of dispatch, work and send: one bad step must not end the process",
        ("agent/work.py", "_step"): "one study must not end the worker; the attempt is booked",
        ("dicom_node/listener.py", "_handle_requested"): "pynetdicom would swallow it and admit the caller",
        ("dicom_node/storage.py", "handle_store"): "pynetdicom would answer 0xC211 without a word to anybody",
        ("reports/web/guard.py", "__call__"): "the error page: a person gets a sentence, never a trace of the program",
    }
)

MAKES_MUTABLE = frozenset({"dict", "list", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"})


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def read_and_run() -> list[Path]:
    """The rooms and the benchmarks: what people read besides tests."""
    return sources() + sorted((ROOT / "deploy" / "benchmarks").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length in lines, decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_the_rooms_are_where_this_test_looks() -> None:
    assert len(sources()) > 50
    assert len(read_and_run()) > len(sources()) + 1


def test_no_file_is_longer_than_its_budget() -> None:
    over = []
    for path in read_and_run():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        budget = LINES_OF_A_READER if path.parent == ROOT / "agent" / "readers" else LINES_OF_A_FILE
        if lines > budget:
            over.append(f"{name_of(path)}: {lines} lines, {budget} are allowed")

    assert over == []


def test_no_function_is_longer_than_its_budget() -> None:
    over = [
        f"{name_of(path)}: {name} has {length} lines, {LINES_OF_A_FUNCTION} are allowed"
        for path in read_and_run()
        for name, length in functions(path)
        if length > LINES_OF_A_FUNCTION
    ]

    assert over == []


def test_half_of_the_functions_have_less_than_ten_lines() -> None:
    lengths = [length for path in sources() for _, length in functions(path)]

    assert statistics.median(lengths) < MEDIAN_OF_FUNCTIONS


def test_exceptions_of_any_kind_are_caught_in_the_named_places_only() -> None:
    found = {(name_of(path), function) for path in sources() for function in blind_excepts(path)}

    assert found == set(BLIND_EXCEPTS)
    assert len(BLIND_EXCEPTS) <= 7


def blind_excepts(path: Path) -> Iterator[str]:
    """The functions that catch everything and do not raise it again."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and catches_everything(node.type) and not raises_again(node):
                yield function.name


def catches_everything(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"}) for one in kinds)


def raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_no_module_holds_state_that_can_change() -> None:
    found = [
        f"{name_of(path)}:{line}: {name} can be changed; make it a tuple, a frozenset or a MappingProxyType"
        for path in sources()
        for line, name in mutable_constants(path)
    ]

    assert found == []


def mutable_constants(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_mutable(node.value):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            # the language's own list of names; nothing else is excused
            if ast.unparse(target) != "__all__":
                yield node.lineno, ast.unparse(target)
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Global):
            yield statement.lineno, f"global {', '.join(statement.names)}"


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        called = value.func.value if isinstance(value.func, ast.Attribute) else value.func  # dict.fromkeys, dict
        return isinstance(called, ast.Name) and called.id in MAKES_MUTABLE
    if isinstance(value, ast.BinOp):  # {...} | {...}
        return is_mutable(value.left) or is_mutable(value.right)
    return isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = {}", True),
        ("x = [1]", True),
        ("x: dict[str, int] = dict.fromkeys('ab', 0)", True),
        ("x = {1} | {2}", True),
        ("x = defaultdict(list)", True),
        ("x = (1, 2)", False),
        ("x = frozenset({1})", False),
        ("x = MappingProxyType({1: 2})", False),
        ("x = 1 << 20", False),
    ],
)
def test_the_search_for_mutable_state_knows_what_it_looks_for(line: str, expected: bool, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(line)

    assert [name for _, name in mutable_constants(module)] == (["x"] if expected else [])


def test_no_module_has_a_name_that_says_nothing() -> None:
    found = [name_of(path) for path in sources() if FORBIDDEN_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)]

    assert found == []


def test_imports_go_one_way_and_heavy_libraries_stay_in_their_rooms() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_the_light_processes_never_load_a_model_library() -> None:
    program = (
        "import sys, agent.cli, agent.commands.processes, agent.health, agent.dispatch, agent.tasks, agent.supervisor,"
        " dicom_node.listener, dicom_node.sender\n"
        "print(sorted({'torch', 'transformers', 'bitsandbytes', 'highdicom'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_the_packages_are_those_of_this_checkout() -> None:
    """`agent` and `reports` are names that another distribution may own as well."""
    for room in ROOMS:
        found = importlib.util.find_spec(room)
        assert found is not None
        assert found.origin is not None
        assert Path(found.origin).parents[1] == ROOT
