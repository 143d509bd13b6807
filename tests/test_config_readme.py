"""config/README.md lists every setting with its default: `python tests/test_config_readme.py`."""

from pathlib import Path

from pipeline.config import NETWORKS, Config, Settings

README = Path(__file__).parent.parent / "config" / "README.md"
HEAD = "| setting | default | meaning |\n|---|---|---|\n"


def table():
    """Every setting, a row each; those of the networks' training in one row."""
    config = Config()
    rows = [row for row in settings(config) if not row[0].startswith("train.")]
    for name, _, meaning in settings(config.train.lens, "train.{network}."):
        values = {n: getattr(getattr(config.train, n), name.rpartition(".")[2]) for n in NETWORKS}
        said = [shown(next(iter(values.values())))]
        if len(set(values.values())) > 1:
            said = [f"{network} {shown(value)}" for network, value in values.items()]
        rows.append((name, ", ".join(said), meaning))
    return HEAD + "".join(
        f"| `{name}` | {default} | {meaning} |\n" for name, default, meaning in rows
    )


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


def test_the_readme_lists_every_setting():
    assert README.read_text().endswith(table()), f"run `python {__file__}`"


if __name__ == "__main__":
    README.write_text(README.read_text().partition(HEAD)[0] + table())
