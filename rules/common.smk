import math
import os
import sys
from functools import cache
from types import SimpleNamespace

from pipeline import SHIPPED
from pipeline.planning import digest, inputs, patterns, plan, records
from pipeline.config import BUILDS_ON, NETWORKS, SCORED, read
from pipeline.config.inject import PAINTED_WITH

try:
    if workflow.is_main_process:  # a job's process need not read the file again
        for file in workflow.configfiles:
            plan.check_keys(file)
    settings = read(patterns.expand(config))
    if any(tile.split for tile in settings.tiles.values()):
        from pipeline.planning import parts

        settings = parts.split(settings)
except ValueError as error:
    read_from = ", ".join(map(str, workflow.configfiles))
    raise WorkflowError(f"The config is wrong: {read_from}\n{error}")
except OSError as error:  # of a disk, not of the config
    raise WorkflowError("\n".join([str(error), *getattr(error, "__notes__", ())]))

# The commands of the environment that runs Snakemake, whatever PATH says on a cluster's node.
shell.prefix(f"export PATH={os.path.dirname(sys.executable)!r}:$PATH; ")

BATCHES = plan.batches(settings.tiles, settings.tiles_per_job)
if workflow.is_main_process:
    records.drop_stale(f"results/{settings.name}", BATCHES)
HAS_WINDOWS = any(tile.window for tile in settings.tiles.values())
# What is in it makes jobs run again, not where it is.
FOLDER_OF_NETWORKS = settings.networks or SHIPPED
SIMULATED = 10  # bytes of a pixel of a tile that `demo_survey` makes
STARTING, STARTING_PER_TILE = 1, 0.001  # of a job [minute]; the latter of the survey


def made_by(stage):
    """Record of a stage for a batch: its products are those of tiles, which others may share."""
    return f"<results>/batches/{{batch}}/{stage}.json"


def every(stage):
    """Records of a stage for the whole survey."""
    return expand(made_by(stage), batch=BATCHES)


def no_tiles(wildcards):
    """Stop Snakemake, for there is nothing to do."""
    raise WorkflowError("The config names no tiles: give it the images of one.")


def command(stage, *options):
    """Command line of a stage."""
    return (
        f"arclet {stage} --config - --code {{params.code}} --record {{output}} "
        f"{' '.join(options)} {{params.tiles}} <<< {{params.config:q}} &> {{log}}"
    )


def images(wildcards):
    """Files of the tiles' images that exist or that `demo_survey` makes; none with braces.

    Those look like wildcards to Snakemake.
    """
    there = (path for path, stamp in batch_files(wildcards).items() if stamp)
    return sorted(path for path in there if "{" not in path)


def stamps(wildcards):
    """Digest of the sizes and times of the tiles' files, but for those that `demo_survey` makes.

    An image is another one, though it be older than the product, small, or gone for a while.
    """
    made, found = set(rules.demo_survey.output), batch_files(wildcards)
    return digest.text(str([file for file in found.items() if file[0] not in made]))


def batch_files(wildcards):
    """Stamp of each file of the tiles of a batch, by its path."""
    tiles = BATCHES[wildcards.batch]
    return {path: stamp for tile in tiles for path, stamp in tile_files(tile).items()}


@cache
def tile_files(tile):
    """Stamp of each of a tile's files, which are many and on slow disks: looked at once.

    Those that `demo_survey` has still to make have the size that they will have.
    """
    to_come = dict.fromkeys(
        rules.demo_survey.output, (SIMULATED * settings.survey.side**2, 0)
    )
    found = inputs.stamps(settings.tiles[tile])
    return {path: stamp or to_come.get(path) for path, stamp in found.items()}


def folders(wildcards):
    """Folder of each tile of a batch."""
    return [
        f"results/{settings.name}/tiles/{tile}" for tile in BATCHES[wildcards.batch]
    ]


def truth():
    """Table of what was simulated, if there is one."""
    return [settings.truth] if settings.truth else []


def section(*names, **parts):
    """JSON of the named sections of the settings, or of parts of a section.

    As a rule's params, it makes the rule run again when these change, and only then.
    """
    return settings.model_dump_json(include={**dict.fromkeys(names, True), **parts})


def detection_settings():
    """Settings that detection depends on: of the U-Net too where it is asked, always in float32."""
    if not settings.detect.hidden:
        return section("detect")
    return section("detect", apply={"engine", "batch_size"})


def made_with(stage, *networks):
    """Digest of a stage's source and of its networks' weights, when the job is planned."""

    def digests(wildcards):
        weights = [digest.weights(network, settings.networks) for network in networks]
        for network in networks:
            plan.check_stamps(settings.cut, network, settings.networks)
            plan.check_below(network, settings.networks)
        return "".join([digest.code(stage), *weights])

    return digests


def untracked(value):
    """Param that makes no job run again, for Snakemake tracks none that asks for threads."""
    return lambda wildcards, threads: value


def growing(value):
    """Resource that is doubled on a retry."""
    return lambda wildcards, attempt: value * 2 ** (attempt - 1)


def memory(base, per_tile=0, per_mb=0, per_all_mb=0):
    """Memory [MB]: `base`, so much a tile, a MB of the largest tile's images, and of all of them.

    Twice that on a retry.
    """

    def needed(wildcards, attempt):
        mb = megabytes(wildcards)
        images = per_mb * max(mb) + per_all_mb * sum(mb)
        return int((base + per_tile * len(mb) + images) * 2 ** (attempt - 1))

    return needed


def minutes(per_tile, per_mb=0):
    """Run time [minute]: that of starting, so much a tile, and a MB of all tiles' images.

    Twice that on a retry.  A job's Snakemake reads the whole config first.
    """

    def needed(wildcards, attempt):
        mb = megabytes(wildcards)
        start = STARTING + STARTING_PER_TILE * len(settings.tiles)
        return math.ceil(
            (start + per_tile * len(mb) + per_mb * sum(mb)) * 2 ** (attempt - 1)
        )

    return needed


def megabytes(wildcards):
    """Size of each tile's images [MB]; of the whole survey where there are no batches."""
    tiles = BATCHES[wildcards.batch] if "batch" in wildcards.keys() else settings.tiles
    return [plan.megabytes(settings.tiles[tile], tile_files(tile)) for tile in tiles]


def scenes(*splits):
    """Files of the training scenes of a network."""

    def files(wildcards):
        return expand(
            f"{scenes_folder(wildcards)}/{{split}}/{{shard}}/truth.fits",
            split=splits,
            shard=range(settings.scenes.shards(scenes_kind(wildcards))),
        )

    return files


def scenes_kind(wildcards):
    """Kind of the training scenes of a network."""
    return "lenses" if wildcards.network == "lens" else "blends"


def scoring_settings(wildcards):
    """Settings that a score depends on: how networks run, and on how many scenes in how many files."""
    return section("apply", scenes={scenes_kind(wildcards), "shard"})


def drawn_with(kind):
    """Names of the settings that scenes of a kind are drawn with."""
    return {"shard", "lens_size" if kind == "lenses" else "size", "seed"}


def scenes_folder(wildcards):
    """Folder of the training scenes of a network."""
    return f"results/{settings.name}/training/{scenes_kind(wildcards)}"


def training_settings(wildcards):
    """Settings that a training depends on: how scenes are drawn, not how many are held out.

    How networks run counts where others are run to train this one.
    """
    return section(
        *["apply"] * (wildcards.network in BUILDS_ON),
        scenes=drawn_with(scenes_kind(wildcards)),
        train={wildcards.network, *BUILDS_ON.get(wildcards.network, ())},
    )


def training_code(command):
    """Digest of the source that trains or scores a network."""
    return lambda wildcards: digest.code(
        command, f"models.{wildcards.network}", f"nets.{wildcards.network}"
    )


def training_folder(wildcards):
    """Folder of a network's checkpoints and logs, which nothing resumes that is made otherwise."""
    fit = getattr(settings.train, wildcards.network)
    keep_apart(
        f"train.{wildcards.network}.start",
        fit.folder,
        "train",
        f"results/{settings.name}/networks",
    )
    trained = trained_with(wildcards)
    if fit.start:
        plan.check_start(settings.scenes, wildcards.network, fit)
    return f"results/{settings.name}/training/work/{wildcards.network}-{trained}"


def trained_with(wildcards):
    """Digest of what decides a trained network, and those that it builds on."""
    name, fit = wildcards.network, getattr(settings.train, wildcards.network)
    begun = digest.weights(name, fit.folder) if fit.start else ""
    below = (SimpleNamespace(network=other) for other in BUILDS_ON.get(name, ()))
    return digest.text(
        training_settings(wildcards),
        training_code("train")(wildcards),
        begun,
        *map(trained_with, below),
    )


def adaptation_folder(wildcards):
    """Folder of the adaptation's checkpoints and logs, which nothing resumes that is made otherwise."""
    keep_apart(
        "networks", settings.networks, "adapt", f"results/{settings.name}/adapted"
    )
    config = section("adapt", "merge", "networks", inject=PAINTED_WITH)
    weights = digest.weights("lens", settings.networks)
    made_with = digest.text(config, digest.code("adapt"), weights)
    return f"results/{settings.name}/training/work/adapt-{made_with}"


def calibrated_folder(wildcards):
    """Folder of the networks whose flux intervals hold on the survey."""
    folder = f"results/{settings.name}/calibrated"
    keep_apart("networks", settings.networks, "calibrate", folder)
    return folder


def keep_apart(setting, folder, command, written):
    """Refuse to start from networks in the folder that a command writes: it is emptied first."""
    if folder and os.path.realpath(folder) == os.path.realpath(written):
        raise WorkflowError(
            f"{setting}: {folder} is what {command} writes: copy it elsewhere first, "
            "or give the run another `name`"
        )


def networks_below(wildcards):
    """Networks that a network builds on."""
    return expand(
        f"results/{settings.name}/networks/{{network}}/card.json",
        network=BUILDS_ON.get(wildcards.network, ()),
    )
