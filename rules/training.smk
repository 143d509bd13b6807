wildcard_constraints:
    kind="blends|lenses",
    split="validation|test",
    shard="[0-9]+",
    network="|".join(NETWORKS),


localrules:
    train,
    score,
    ship,


rule train:
    input:
        expand("<results>/networks/{network}/card.json", network=NETWORKS),


rule score:
    input:
        expand("<results>/training/scores/{network}.json", network=NETWORKS),
        "<results>/training/scores/deblending.png",


rule scenes:
    output:
        "<results>/training/{kind}/{split}/{shard}/cutouts.fits",
        "<results>/training/{kind}/{split}/{shard}/truth.fits",
    log:
        "<logs>/scenes/{kind}-{split}-{shard}.log",
    benchmark:
        "<benchmarks>/scenes/{kind}-{split}-{shard}.tsv"
    resources:
        mem_mb=growing(3000),
        runtime=growing(120),
    params:
        config=lambda wildcards: section(
            scenes={wildcards.kind} | drawn_with(wildcards.kind)
        ),
        code=made_with("scenes"),
        folder=subpath(output[0], parent=True),
    shell:
        "arclet scenes --config {params.config:q} --kind {wildcards.kind} "
        "--split {wildcards.split} --shard {wildcards.shard} {params.folder} &> {log}"


rule train_network:
    input:
        networks_below,
    output:
        "<results>/networks/{network}/model.keras",
        record="<results>/training/{network}.json",
    log:
        "<logs>/train/{network}.log",
    benchmark:
        "<benchmarks>/train/{network}.tsv"
    threads: 8
    resources:
        mem_mb=growing(6000),
        runtime=growing(720),
    params:
        config=training_settings,
        code=training_code("train"),
        folder=subpath(output[0], parent=True),
        work=training_folder,
    shell:
        "arclet train --config {params.config:q} --network {wildcards.network} "
        "{params.folder} {output.record} {params.work} &> {log}"


rule export_network:
    input:
        "<results>/networks/{network}/model.keras",
        scenes("validation"),
        networks_below,
        record="<results>/training/{network}.json",
    output:
        "<results>/networks/{network}/card.json",
        curve="<results>/training/{network}.png",
    log:
        "<logs>/export/{network}.log",
    threads: 8
    resources:
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        code=training_code("export"),
        scenes=scenes_folder,
        config=scoring_settings,
        folder=subpath(output[0], parent=True),
    shell:
        "arclet export --network {wildcards.network} --config {params.config:q} "
        "{params.scenes} {input.record} {params.folder} &> {log}"


rule score_network:
    input:
        "<results>/networks/{network}/card.json",
        scenes("test"),
        networks_below,
    output:
        scores="<results>/training/scores/{network}.json",
        page="<results>/training/scores/{network}.md",
    log:
        "<logs>/score/{network}.log",
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=training_code("score"),
        scenes=scenes_folder,
        config=scoring_settings,
        folder=subpath(input[0], parent=True),
    shell:
        "arclet score --network {wildcards.network} --config {params.config:q} "
        "{params.scenes} {params.folder} {output.scores} &> {log}"


rule compare:
    input:
        expand(
            "<results>/training/blends/test/{shard}/truth.fits",
            shard=range(settings.scenes.shards("blends")),
        ),
    output:
        "<results>/training/scores/peers.json",
    log:
        "<logs>/score/peers.log",
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=made_with("compare"),
        scenes=subpath(input[0], ancestor=3),
        config=section(scenes={"blends", "shard"}),
    shell:
        "arclet compare --config {params.config:q} {params.scenes} {output} &> {log}"


rule score_figures:
    input:
        expand("<results>/training/scores/{scored}.json", scored=SCORED),
    output:
        "<results>/training/scores/deblending.png",
        "<results>/training/scores/reliability.png",
        "<results>/training/scores/lens.png",
    log:
        "<logs>/score/figures.log",
    params:
        code=made_with("score_figures"),
        scores=subpath(output[0], parent=True),
    shell:
        "arclet score-figures {params.scores} &> {log}"


rule ship:
    input:
        rules.score.input,
    log:
        "<logs>/ship.log",
    params:
        networks=f"results/{settings.name}/networks",
        scores=subpath(input[0], parent=True),
        weights=SHIPPED,
    shell:
        "arclet ship {params.networks} {params.scores} {params.weights:q} &> {log}"
