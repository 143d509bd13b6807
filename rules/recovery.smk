# Memory that the galaxies painted onto a tile take, at most [MB].
PAINTED = 2e-4 * settings.recover.galaxies * settings.recover.passes


rule recovered:
    input:
        made_by("ingest"),
        made_by("detect"),
    output:
        made_by("recovered"),
    log:
        "<logs>/recovered/{batch}.log",
    benchmark:
        "<benchmarks>/recovered/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000, per_mb=16),
        runtime=minutes(
            10 * settings.recover.passes, per_mb=0.5 * settings.recover.passes
        ),
    params:
        config=section("recover", "detect", "cut", "punet", "apply"),
        code=made_with("recovered", "unet", "punet", "photometry"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("recovered", "--networks {params.networks:q}")


rule completeness:
    input:
        every("recovered") if BATCHES else no_tiles,
        tiles="<results>/tiles.txt",
    output:
        table="<results>/completeness.fits",
        picture="<results>/completeness.png",
    log:
        "<logs>/completeness.log",
    resources:
        mem_mb=memory(1000, per_tile=PAINTED),
        runtime=minutes(0.01 * settings.recover.passes),
    params:
        config=section("recover"),
        code=made_with("completeness"),
    shell:
        "arclet completeness --config {params.config:q} {input.tiles} {output} &> {log}"


rule calibration:
    input:
        every("recovered") if BATCHES else no_tiles,
        tiles="<results>/tiles.txt",
    output:
        "<results>/calibrated/photometry/card.json",
        gain="<results>/calibrated/gain.json",
    log:
        "<logs>/calibrate.log",
    resources:
        mem_mb=memory(1000, per_tile=PAINTED),
        runtime=minutes(0.01),
    params:
        config=section("apply", "networks"),
        code=made_with("calibrate", *NETWORKS),
        folder=calibrated_folder,
    shell:
        "arclet calibrate --config {params.config:q} "
        "{input.tiles} {params.folder} {output.gain} &> {log}"


# What `recover` and `calibrate` ask for, each stage's records too: see rule `all`.
rule recover:
    input:
        every("ingest"),
        every("detect"),
        every("recovered"),
        rules.completeness.output,


rule calibrate:
    input:
        every("ingest"),
        every("detect"),
        every("recovered"),
        rules.calibration.output,
