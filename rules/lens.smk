# Run time that a tile's arcs take to be painted, and the lens finder to look at them [minute].
ARCS = settings.inject.galaxies * settings.inject.per_galaxy
ORIENTATIONS = 8 if settings.lens.turns else 1
INJECTION = 1e-4 * ARCS + 3e-5 * (settings.inject.galaxies + ARCS) * ORIENTATIONS

# Stamps of an adaptation, at most.
STAMPS = settings.adapt.galaxies * (1 + settings.adapt.per_galaxy)


rule injections:
    input:
        made_by("ingest"),
        made_by("detect"),
        made_by("cut"),
    output:
        made_by("injections"),
    log:
        "<logs>/injections/{batch}.log",
    benchmark:
        "<benchmarks>/injections/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000, per_mb=8),
        runtime=minutes(5 + INJECTION),
    params:
        config=section("inject", "apply", lens={"prevalence", "turns"}),
        code=made_with("injections", "lens"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("injections", "--networks {params.networks:q}")


rule selection:
    input:
        every("injections") if BATCHES else no_tiles,
        every("detect"),
        truth(),
        tiles="<results>/tiles.txt",
    output:
        table="<results>/selection.fits",
        picture="<results>/selection.png",
    log:
        "<logs>/selection.log",
    resources:
        mem_mb=memory(1000, per_tile=0.1),
        runtime=minutes(0.01),
    params:
        config=section("truth", "inject", "merge", "lens", "apply", "networks"),
        code=made_with("selection", "lens"),
    shell:
        "arclet selection --config {params.config:q} {input.tiles} {output} &> {log}"


rule adaptation:
    input:
        every("ingest") if BATCHES else no_tiles,
        every("detect"),
        every("cut"),
        truth(),
        tiles="<results>/tiles.txt",
    output:
        "<results>/adapted/lens/card.json",
        "<results>/adapted/loss.png",
        gain="<results>/adapted/gain.json",
    log:
        "<logs>/adapt.log",
    benchmark:
        "<benchmarks>/adapt.tsv"
    threads: 8
    resources:
        mem_mb=memory(5000 + 0.16 * STAMPS, per_tile=0.1),
        runtime=growing(max(240, STAMPS * settings.adapt.epochs // 450)),
    params:
        config=section(
            "truth", "adapt", "merge", "apply", "networks", inject=PAINTED_WITH
        ),
        code=made_with("adapt", *NETWORKS),
        folder=subpath(output.gain, parent=True),
        work=adaptation_folder,
    shell:
        "arclet adapt --config {params.config:q} "
        "{input.tiles} {params.folder} {params.work} {output.gain} &> {log}"


# What `inject` and `adapt` ask for, each stage's records too: see rule `all`.
rule inject:
    input:
        every("ingest"),
        every("detect"),
        every("cut"),
        every("injections"),
        rules.selection.output,


rule adapt:
    input:
        every("ingest"),
        every("detect"),
        every("cut"),
        rules.adaptation.output,
