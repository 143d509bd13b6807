"""Digests of what decides a product besides its settings: a stage's code, a network's weights."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from pipeline import SHIPPED

PACKAGE = Path(__file__).parent.parent
COMMANDS = "tiles", "survey", "training", "adaptation"
GATHERED = "models/__init__.py", "nets/__init__.py"  # a command names its own network


@cache
def code(command, *modules):
    """Digest of the source that a command runs.

    That is the command's function with what it uses in its own module, and every module of the
    package that these import, inside functions too, with what is imported there in turn and the
    data files beside it; but not the networks that are only imported with all others.  Comments
    and layout do not count.

    Parameters
    ----------
    command : str
        Name of a function of one of `COMMANDS`.
    *modules : str
        Modules of the package that the command imports by a name known only when it runs.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    trees = (_tree(PACKAGE / f"{name}.py") for name in COMMANDS)
    nodes = next(filter(None, (_used(tree, command) for tree in trees)))
    named = {_file(f"{PACKAGE.name}.{module}") for module in modules}
    found, todo = set(), named.union(*map(_imported, nodes))
    while todo:
        path = todo.pop()
        found.add(path)
        if path not in {PACKAGE / gathered for gathered in GATHERED}:
            todo |= _imports_of(path) - found
    source = [*map(_said, nodes), *map(_source_of, sorted(found))]
    return _digest([*source, *(path.read_bytes() for path in _data(found))])


@cache
def weights(network, folder=None):
    """Digest of the files of one network, but for what of its card decides nothing.

    Parameters
    ----------
    network : str
        Name of the network, and of its folder.
    folder : str or None
        Folder of all networks; None for the shipped ones.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    ValueError
        If there is no such network, it lacks a part, or its card cannot be read.
    """
    home = Path(folder or SHIPPED) / network
    files = sorted(path for path in home.rglob("*") if path.is_file())
    if home / "card.json" not in files:
        raise ValueError(
            f"networks: there is no network in {home}; train it (`snakemake train`), copy the "
            f"shipped one ({SHIPPED / network}), or leave `networks` out to use the shipped ones"
        )
    if lacks := _parts(SHIPPED / network) - _parts(home):
        raise ValueError(
            f"networks: {home} lacks {', '.join(sorted(lacks))}: its training did not end, or it "
            "was copied in part; let `snakemake train` finish, or copy the whole folder"
        )
    return _digest(part for p in files for part in (str(p.relative_to(home)).encode(), _content(p)))


@cache
def model(network, folder):
    """Digest of what a network learnt, in a folder of networks, however it was calibrated since."""
    return _digest([(Path(folder) / network / "model.keras").read_bytes()])


def _parts(home):
    """Files of a network, and the calibration in its card."""
    files = {path.name for path in home.glob("*")}
    is_calibrated = "card.json" in files and "calibration" in card(home / "card.json")
    return files | {"calibration in card.json"} if is_calibrated else files


def _content(path):
    """Bytes of a network's file; of a card without its scores, and what it builds on."""
    if path.name != "card.json":
        return path.read_bytes()
    said = {k: part for k, part in card(path).items() if k not in ("scores", "builds_on")}
    return json.dumps(said, sort_keys=True).encode()


def card(path):
    """Read a model card; ValueError if it is none."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"networks: {path} is no model card ({error})") from None


def text(*parts):
    """Digest of texts."""
    return _digest(part.encode() for part in parts)


def arrays(*parts):
    """Digest of the values of arrays."""
    return _digest(part.tobytes() for part in parts)


def _digest(parts):
    """Digest of a sequence of bytes, or of what holds bytes; sensitive to where one part ends."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


@cache
def _tree(path):
    return ast.parse(path.read_bytes(), path)


@cache
def _imports_of(path):
    return _imported(_tree(path))


@cache
def _source_of(path):
    return _said(_tree(path))


def _said(tree):
    return ast.dump(tree).encode()


def _used(module, name):
    """Top-level definitions of `module` that the function `name` needs, itself included."""
    defined = dict(_definitions(module))
    found, todo = set(), {name} & defined.keys()
    while todo:
        found |= todo
        walked = (node for used in todo for node in ast.walk(defined[used]))
        names = {node.id for node in walked if isinstance(node, ast.Name)}
        todo = (names & defined.keys()) - found
    return [node for used, node in defined.items() if used in found]


def _definitions(module):
    """Every name defined at the top of a module, with its node; an import gives one node a name."""
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, ast.ImportFrom(node.module, [alias], node.level)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from ((n.id, node) for n in ast.walk(target) if isinstance(n, ast.Name))


def _imported(tree):
    """Files of the package's modules that are imported anywhere in a tree."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name in submodules if _file(name)}
            names |= known if known == submodules else {node.module, *known}
    return {path for name in names if (path := _file(name))}


def _data(modules):
    """Files beside the ``__init__`` of packages that are no modules: a page to fill in."""
    packages = sorted(path.parent for path in modules if path.stem == "__init__")
    beside = (path for package in packages for path in sorted(package.iterdir()))
    return [path for path in beside if path.is_file() and path.suffix != ".py"]


def _file(name):
    """File of a module of the package; None if it has none."""
    package, *inner = name.split(".")
    stem = PACKAGE.joinpath(*inner)
    places = (stem.with_suffix(".py"), stem / "__init__.py") if inner else (stem / "__init__.py",)
    return next((p for p in places if package == PACKAGE.name and p.is_file()), None)
