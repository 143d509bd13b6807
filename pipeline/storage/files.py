"""Files that appear whole or not at all: tables, arrays, figures and texts."""

import csv
import io
import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.table import QTable, Table

from pipeline.stamps.planes import Planes


@contextmanager
def whole(path):
    """Give a temporary path beside `path`; rename it to `path` if all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_parts(path):
    """Remove what jobs that were killed left of `path`, which nobody else may be writing."""
    for partial in Path(path).parent.glob(f".{Path(path).stem}.*.partial{Path(path).suffix}"):
        partial.unlink()


@contextmanager
def empty_folder(path):
    """Give an empty folder, and take it away with all that was put there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def read_table(path):
    """Read a FITS table: units, descriptions, UCDs (``info.meta["ucd"]``) and meta."""
    table = QTable.read(path, mask_invalid=False)
    table.convert_bytestring_to_unicode()
    for i, column in enumerate(table.itercols(), start=1):
        column.info.description = table.meta.pop(f"TCOMM{i}", column.info.description)
        column.info.meta = column.info.meta or {}
        if f"TUCD{i}" in table.meta:
            column.info.meta["ucd"] = table.meta.pop(f"TUCD{i}")
    return table


def write_table(path, table):
    """Write a table: FITS, or Parquet if `path` says so, with unit, UCD and description.

    FITS says them in TUNITn, TUCDn and TCOMMn (as TOPCAT reads them) and in astropy's own
    comments; Parquet in each field's metadata and in a VOTable without data, as VOParquet 1.0
    wants, and a column of several bands is a list.
    """
    if Path(path).suffix == ".parquet":
        _write_parquet(path, table)
        return
    described = table.copy(copy_data=False)
    for i, column in enumerate(table.itercols(), start=1):
        if column.info.description:
            described.meta[f"TCOMM{i}"] = column.info.description
        if "ucd" in (column.info.meta or {}):
            described.meta[f"TUCD{i}"] = column.info.meta["ucd"]
    with whole(path) as partial:
        described.write(partial, format="fits")


def read_csv(path):
    """Read the rows of `write_csv`, each a mapping of text."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path, table):
    """Write a table of words as comma-separated values (RFC 4180), every space of them kept."""
    with whole(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([table.colnames, *table.iterrows()])


def write_figure(path, figure, dpi):
    """Write a figure as PNG, without the version of what drew it."""
    with whole(path) as partial:
        figure.savefig(partial, dpi=dpi, metadata={"Software": None})


def read_json(path):
    """Read a mapping."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_json(path, values):
    """Write a mapping, one key a line, and each list of numbers on one."""
    text = json.dumps(values, indent=1)
    text = re.sub(r'\[\n[^][{}"]*\]', lambda numbers: " ".join(numbers[0].split()), text)
    write_text(path, text + "\n")


def copy_networks(networks, to, but=""):
    """Copy every network of a folder to another one, `but` for one; gives their own folders."""
    homes = sorted(card.parent for card in networks.glob("*/card.json") if card.parent.name != but)
    for path in (path for home in homes for path in home.rglob("*") if path.is_file()):
        with whole(to / path.relative_to(networks)) as partial:
            shutil.copyfile(path, partial)
    return homes


def read_records(path):
    """Open the records of `new_records`, which stay on disk until rows of them are chosen."""
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    return Planes(path, stored.shape, stored.dtype, stored.offset)


@contextmanager
def new_records(path, n):
    """Give a function that writes some of `n` records (a structured array) after the others."""
    with whole(path) as partial, open(partial, "wb") as file:

        def append(records):
            if not file.tell():
                header = np.lib.format.header_data_from_array_1_0(records) | {"shape": (n,)}
                np.lib.format.write_array_header_2_0(file, header)
            file.write(np.ascontiguousarray(records).data)

        yield append


def write_text(path, text):
    """Write text."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_parquet(path, table):
    import pyarrow as pa
    from pyarrow import parquet

    arrays, fields = [], []
    for column in table.itercols():
        info, values = column.info, np.ascontiguousarray(column)
        said = {"unit": info.unit, "description": info.description, **(info.meta or {})}
        array = pa.array(values.ravel())
        if values.ndim == 2:
            array = pa.FixedSizeListArray.from_arrays(array, values.shape[1])
        arrays.append(array)
        metadata = {key: str(value) for key, value in said.items() if value}
        fields.append(pa.field(info.name, array.type, metadata=metadata))
    meta = {str(key): str(value) for key, value in table.meta.items()}
    words = (column for column in table.itercols() if column.dtype.kind == "U")
    meta |= {f"table::len::{word.info.name}": str(word.dtype.itemsize // 4) for word in words}
    meta |= {"IVOA.VOTable-Parquet.version": "1.0"}
    meta |= {"IVOA.VOTable-Parquet.content": _votable_without_data(table)}
    with whole(path) as partial:
        parquet.write_table(pa.table(arrays, pa.schema(fields, metadata=meta)), partial)


def _votable_without_data(table):
    """Columns of a table as a VOTable tells of them, in XML."""
    from astropy.io.votable import from_table

    plain = Table(table[:0])
    with io.BytesIO() as file:
        from_table(plain).to_xml(file)
        return re.sub(r"\s*<DATA>.*</DATA>", "", file.getvalue().decode(), flags=re.DOTALL)
