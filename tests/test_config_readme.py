"""config/README.md lists every setting with its default: `python tests/test_config_readme.py`."""

import re
from pathlib import Path

import pytest

from pipeline.config import Config, Settings
from pipeline.config.tile import Tile
from pipeline.config.train import Fit

README = Path(__file__).parent.parent / "config" / "README.md"
SAID = sorted(path for path in README.parent.iterdir() if path.is_file())
HEAD = "| setting | default | meaning |\n|---|---|---|\n"


def table():
    """Every setting, a row each; one row for all networks' trainings, but where they differ."""
    rows, trainings = [], []
    for row in settings(Config()):
        (trainings if row[0].startswith("train.") else rows).append(row)
        if row[0] == "tiles":
            rows += settings(Tile.model_construct(image={}), "tiles.{tile}.")
    of_all = list(settings(Fit(), "train.{network}."))
    known = {(last(name), default) for name, default, _ in of_all}
    rows += of_all + [row for row in trainings if (last(row[0]), row[1]) not in known]
    return HEAD + "".join(
        f"| `{name}` | {default} | {meaning} |\n" for name, default, meaning in rows
    )


def last(name):
    """Last part of the name of a setting."""
    return name.rpartition(".")[2]


def settings(section, prefix=""):
    """Name, default and meaning of each setting of a section."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Settings):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", shown(value), (field.description or "").replace("|", "or")


def shown(value):
    """Show a default as YAML would have it; nothing for what is left out."""
    if value is None or value == {}:
        return ""
    text = list(value) if isinstance(value, tuple) else value
    return f"`{str(text).lower() if isinstance(value, bool) else text}`"


@pytest.mark.parametrize("name", ["README.md", *(f"config/{p.name}" for p in SAID)])
def test_no_command_gives_a_target_where_snakemake_takes_more_configs(name):
    """`--configfile` takes every word up to the next option for the name of a config."""
    said = (README.parent.parent / name).read_text()
    assert not re.search(r"--configfile \S+ [a-z]", said)


def test_the_readme_lists_every_setting():
    assert README.read_text().endswith(table()), f"run `python {__file__}`"


if __name__ == "__main__":
    README.write_text(README.read_text().partition(HEAD)[0] + table())
