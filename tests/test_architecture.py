"""Who may know whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pipeline"
COMMANDS = {"__main__.py", "tiles.py", "survey.py", "training.py", "adaptation.py"}
MODULES = sorted(PACKAGE.rglob("*.py"))
CODE = ".py", ".smk"
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]


def imports(path, *, inside_functions=True):
    """Modules of the package that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if inside_functions else tree.body
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_only_commands_put_files_and_verbs_together(path):
    if str(path.relative_to(PACKAGE)) not in {*COMMANDS, "batch.py"}:
        assert "pipeline.io" not in imports(path)
    if path.name != "io.py" and path.parent.name != "storage":
        assert not any(name.startswith("pipeline.storage") for name in imports(path))


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_nobody_knows_the_commands(path):
    known = {f"pipeline.{name.removesuffix('.py')}" for name in COMMANDS}
    if path.name != "__main__.py":
        assert not known & imports(path)


LIGHT = (
    *("config/__init__", "config/inject", "config/section", "config/tile", "config/train"),
    *("planning/digest", "planning/inputs", "planning/patterns", "planning/plan"),
)


@pytest.mark.parametrize("name", LIGHT)
def test_what_snakemake_loads_is_light(name):
    light = {"pydantic", "typing", "difflib", "pathlib", "functools"}
    light |= {"ast", "collections", "glob", "hashlib", "json", "math", "os", "re", "yaml"}
    outside = {m.split(".")[0] for m in imports(PACKAGE / f"{name}.py")} - {"pipeline"}
    assert outside <= light


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_import_verbs_only_when_they_run(name):
    light = {"adaptation", "batch", "config", "io", "survey", "tiles", "training"}
    light |= {"config.read", "config.BUILDS_ON", "config.SCORED", "tiles.STAGES"}
    known = {
        m for m in imports(PACKAGE / name, inside_functions=False) if m.startswith("pipeline.")
    }
    assert known <= {f"pipeline.{m}" for m in light}


@pytest.mark.parametrize("room", ["pipeline", "rules", "tests", "benchmarks"])
def test_files_are_short(room):
    files = [path for path in (PACKAGE.parent / room).rglob("*") if path.suffix in CODE]
    assert files
    assert not [path for path in files if len(path.read_text().splitlines()) > 300]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_functions_are_short_and_take_few_arguments(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            start = (node.body[1:] or node.body)[0].lineno
            assert node.end_lineno - start < 60, node.name
            given = [argument.arg for argument in node.args.args if argument.arg != "self"]
            assert len(given) <= 6, node.name


def test_rooms_stand_on_one_another():
    """What a package imports does not import it in turn, but a network and what it is built of."""
    known = {}
    for path in MODULES:
        room, *inside = path.relative_to(PACKAGE).parts
        named = {m.split(".")[1] for m in imports(path) if m.startswith("pipeline.")}
        known[room] = known.get(room, set()) | (named - {room} if inside else set())
    known["models"].discard("nets")
    while bottom := {room for room, on in known.items() if not on & known.keys()}:
        known = {room: on for room, on in known.items() if room not in bottom}
    assert not known


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_modules_say_what_they_own(path):
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said.split("\n\n")[0].endswith((".", "?"))


@pytest.mark.parametrize("room", sorted(p.parent for p in MODULES if p.name == "__init__.py")[1:])
def test_the_readme_says_where_things_are(room):
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())).split("\n\n")[0]
    row = f"| `pipeline/{room.name}` | {' '.join(said.split())} |"
    assert row in (PACKAGE.parent / "README.md").read_text()
