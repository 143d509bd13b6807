"""The command line: a command for each stage of a tile, and for each of a survey or a training."""

import argparse
import json
import logging
import signal
import sys
from functools import partial
from inspect import signature
from pathlib import Path

from pipeline import adaptation, batch, io, survey, training
from pipeline.config import read
from pipeline.tiles import STAGES

COMMANDS = (
    survey.simulate_survey,
    survey.merge,
    survey.provenance,
    survey.report,
    survey.verdict,
    survey.selection,
    survey.completeness,
    training.scenes,
    training.train,
    training.export,
    training.score,
    training.compare,
    training.score_figures,
    training.ship,
    adaptation.adapt,
    adaptation.calibrate,
)


def main(argv=None):
    """Run the command named first; one that is told to end takes its unfinished files away.

    One of `COMMANDS` begins with those that others, which were killed, left of its files.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    args = vars(_parser().parse_args(argv))
    if args["run"] in COMMANDS:  # Snakemake lets no two jobs write the same
        for path in (value for value in args.values() if isinstance(value, Path)):
            io.remove_parts(path)
    args.pop("run")(**args)


def _parser():
    """Parse the command line: a command for each stage, and for each other function of a config."""
    parser = argparse.ArgumentParser(prog="arclet", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help=survey.init.__doc__.splitlines()[0])
    init.set_defaults(run=survey.init)
    init.add_argument("name", help="of the run; the config is NAME.yaml")
    init.add_argument("files", nargs="+", help="FITS files: images, weights, masks")
    cutouts = commands.add_parser("cutouts", help=survey.cutouts.__doc__.splitlines()[0])
    cutouts.set_defaults(run=survey.cutouts)
    cutouts.add_argument("results", type=Path, help="folder of the run, with its catalog")
    cutouts.add_argument("folder", type=Path, help="where to write ID.fits")
    cutouts.add_argument(
        "ids", nargs="*", type=int, help="of the catalog; without, those shown in the report"
    )
    for stage in STAGES.values():
        add = _command(commands, stage.work, partial(_run_stage, stage))
        add("--code", default="", help="digest of its source and network")
        add("--networks", help="folder of networks, as in the config")
        add("--on-bad-tile", choices=["reject", "accept", "stop"], help="as in the config")
        add("--record", type=Path, required=True, help="file to write when all tiles are done")
        add("tiles", nargs="+", type=Path, help="folder of each tile")
    for work in COMMANDS:
        add = _command(commands, work, work)
        for name, kind in list(signature(work).parameters.items())[1:]:
            if kind.kind is kind.KEYWORD_ONLY:
                add(f"--{name}", type=kind.annotation, required=True)
            else:
                add(name, type=Path)
    return parser


def _command(commands, work, run):
    """Add the command that runs a function; gives the method that adds its arguments."""
    name = work.__name__.replace("_", "-")
    command = commands.add_parser(name, help=work.__doc__.splitlines()[0])
    command.set_defaults(run=run)
    command.add_argument(
        "--config", type=_config, default="{}", help="JSON of the config's sections it depends on"
    )
    return command.add_argument


def _config(text):
    """Config of its JSON, or of the standard input if that is `-`."""
    try:
        return read(json.loads(sys.stdin.read() if text == "-" else text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from None


def _run_stage(stage, *, config, code, tiles, **options):
    """Run a stage over its tiles, and record what all of them are now.

    Snakemake believes a small file to be what it was while its content is, whatever its time: the
    record's changes with the products.
    """
    given = {name: options[name] for name in batch.UNTRACKED if options[name]}
    done = batch.run(stage, config.model_copy(update=given), code, tiles)
    io.write_json(options["record"], {"tiles": done})


if __name__ == "__main__":
    sys.exit(main())
