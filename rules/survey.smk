localrules:
    manifest,
    verdict,


rule manifest:
    output:
        "<results>/tiles.txt",
    log:
        "<logs>/manifest.log",
    params:
        tiles=list(settings.tiles),
    shell:
        "printf '%s\\n' {params.tiles} > {output} 2> {log}"


rule merge:
    input:
        every("ingest"),
        every("detect"),
        every("catalog"),
        tiles="<results>/tiles.txt",
    output:
        catalog="<results>/catalog.fits",
        parquet="<results>/catalog.parquet",
        rejected="<results>/rejected.csv",
    log:
        "<logs>/merge.log",
    benchmark:
        "<benchmarks>/merge.tsv"
    resources:
        mem_mb=memory(1000, per_tile=4, per_mb=1, per_all_mb=0.1),
        runtime=minutes(0.01),
    params:
        config=section(
            "name",
            "merge",
            *["on_bad_tile"] * (settings.on_bad_tile == "stop"),
            lens={"prevalence"},
        ),
        code=made_with("merge"),
    shell:
        "arclet merge --config {params.config:q} {input.tiles} {output} &> {log}"


rule provenance:
    input:
        "<results>/catalog.fits",
        every("ingest"),
        tiles="<results>/tiles.txt",
    output:
        "<results>/provenance.json",
    log:
        "<logs>/provenance.log",
    resources:
        mem_mb=memory(1000),
        runtime=minutes(0.001, per_mb=0.0002 if HAS_WINDOWS else 0),
    params:
        config=settings.model_dump_json(
            exclude={"survey", "scenes", "train", "inject", "recover", "adapt"}
        ),
        code=made_with("provenance"),
        weights=lambda wildcards: [
            digest.weights(network, settings.networks) for network in NETWORKS
        ],
    shell:
        "arclet provenance --config - {input.tiles} {output} <<< {params.config:q} &> {log}"


rule report:
    input:
        every("ingest"),
        every("detect"),
        every("cut"),
        every("segment"),
        every("uncertainty"),
        truth(),
        tiles="<results>/tiles.txt",
        catalog="<results>/catalog.fits",
        provenance="<results>/provenance.json",
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    resources:
        mem_mb=memory(1500, per_tile=4, per_mb=1, per_all_mb=0.05),
        runtime=minutes(0.01),
    params:
        config=section("name", "truth", "report", "lens", "apply", "networks"),
        code=made_with("report", "lens"),
    shell:
        "arclet report --config {params.config:q} "
        "{input.tiles} {input.catalog} {input.provenance} {output} &> {log}"


rule verdict:
    input:
        "<results>/report.html",
        "<results>/provenance.json",
        every("ingest"),
        tiles="<results>/tiles.txt",
        catalog="<results>/catalog.fits",
        rejected="<results>/rejected.csv",
    output:
        "<results>/verdict.txt",
    log:
        "<logs>/verdict.log",
    retries: 0  # it says the same again
    params:
        config=section("on_bad_tile"),
    shell:
        "arclet verdict --config {params.config:q} {input.tiles} {input.catalog} {input.rejected} {output} "
        "2> {log} || {{ cat {log} >&2; exit 1; }}"
