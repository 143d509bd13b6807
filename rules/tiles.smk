wildcard_constraints:
    batch="[^/]+",


rule ingest:
    input:
        images,
    output:
        made_by("ingest"),
    log:
        "<logs>/ingest/{batch}.log",
    benchmark:
        "<benchmarks>/ingest/{batch}.tsv"
    resources:
        mem_mb=memory(1000, per_mb=8),
        runtime=minutes(1, per_mb=0.01),
    params:
        config=lambda wildcards: section(
            "ingest", detect={"band"}, tiles=set(BATCHES[wildcards.batch])
        ),
        code=made_with("ingest"),
        files=stamps,
        on_bad_tile=untracked(settings.on_bad_tile),
        tiles=folders,
    shell:
        command("ingest", "--on-bad-tile {params.on_bad_tile}")


rule detect:
    input:
        made_by("ingest"),
    output:
        made_by("detect"),
    log:
        "<logs>/detect/{batch}.log",
    benchmark:
        "<benchmarks>/detect/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000, per_mb=12),
        runtime=minutes(1, per_mb=0.06),
    params:
        config=detection_settings(),
        code=made_with("detect", *(["unet"] if settings.detect.hidden else [])),
        networks=untracked(FOLDER_OF_NETWORKS),
        on_bad_tile=untracked(settings.on_bad_tile),
        tiles=folders,
    shell:
        command(
            "detect",
            "--networks {params.networks:q}",
            "--on-bad-tile {params.on_bad_tile}",
        )


rule cut:
    input:
        made_by("ingest"),
        made_by("detect"),
    output:
        made_by("cut"),
    log:
        "<logs>/cut/{batch}.log",
    benchmark:
        "<benchmarks>/cut/{batch}.tsv"
    resources:
        mem_mb=memory(1000, per_mb=4),
        runtime=minutes(1, per_mb=0.01),
    params:
        config=section("cut"),
        code=made_with("cut"),
        tiles=folders,
    shell:
        command("cut")


rule classify:
    input:
        made_by("detect"),
        made_by("cut"),
    output:
        made_by("classify"),
    log:
        "<logs>/classify/{batch}.log",
    benchmark:
        "<benchmarks>/classify/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=minutes(1, per_mb=0.16 if settings.lens.turns else 0.02),
    params:
        config=section("apply", lens={"prevalence", "turns"}),
        code=made_with("classify", "lens"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("classify", "--networks {params.networks:q}")


rule segment:
    input:
        made_by("ingest"),
        made_by("detect"),
        made_by("cut"),
    output:
        made_by("segment"),
    log:
        "<logs>/segment/{batch}.log",
    benchmark:
        "<benchmarks>/segment/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000, per_mb=4),
        runtime=minutes(2, per_mb=0.1),
    params:
        config=section("apply"),
        code=made_with("segment", "unet"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("segment", "--networks {params.networks:q}")


rule uncertainty:
    input:
        made_by("ingest"),
        made_by("cut"),
        made_by("segment"),
    output:
        made_by("uncertainty"),
    log:
        "<logs>/uncertainty/{batch}.log",
    benchmark:
        "<benchmarks>/uncertainty/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000, per_mb=1),
        runtime=minutes(2, per_mb=0.2),
    params:
        config=section("punet", "apply"),
        code=made_with("uncertainty", "punet"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("uncertainty", "--networks {params.networks:q}")


rule photometry:
    input:
        made_by("detect"),
        made_by("cut"),
        made_by("segment"),
        made_by("uncertainty"),
    output:
        made_by("photometry"),
    log:
        "<logs>/photometry/{batch}.log",
    benchmark:
        "<benchmarks>/photometry/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=minutes(1, per_mb=0.02),
    params:
        config=section("apply"),
        code=made_with("photometry", "photometry"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("photometry", "--networks {params.networks:q}")


rule anomaly:
    input:
        made_by("detect"),
        made_by("cut"),
    output:
        made_by("anomaly"),
    log:
        "<logs>/anomaly/{batch}.log",
    benchmark:
        "<benchmarks>/anomaly/{batch}.tsv"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=minutes(1, per_mb=0.02),
    params:
        config=section("apply"),
        code=made_with("anomaly", "anomaly"),
        networks=untracked(FOLDER_OF_NETWORKS),
        tiles=folders,
    shell:
        command("anomaly", "--networks {params.networks:q}")


rule catalog:
    input:
        made_by("detect"),
        made_by("classify"),
        made_by("segment"),
        made_by("uncertainty"),
        made_by("photometry"),
        made_by("anomaly"),
    output:
        made_by("catalog"),
    log:
        "<logs>/catalog/{batch}.log",
    benchmark:
        "<benchmarks>/catalog/{batch}.tsv"
    resources:
        mem_mb=memory(1000, per_mb=1),
        runtime=minutes(1),
    params:
        config=section(),
        code=made_with("catalog"),
        tiles=folders,
    shell:
        command("catalog")
