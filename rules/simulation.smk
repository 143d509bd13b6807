rule demo_survey:
    output:
        expand("<results>/sky/t{n}.fits", n=range(1, settings.survey.tiles + 1)),
        "<results>/sky/truth.fits",
    log:
        "<logs>/demo_survey.log",
    benchmark:
        "<benchmarks>/demo_survey.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        # `survey.like` tells what was set from what is at its default.
        config=settings.model_dump_json(include={"survey"}, exclude_unset=True),
        code=made_with("simulate_survey"),
        folder=subpath(output[0], parent=True),
    shell:
        "arclet simulate-survey --config {params.config:q} {params.folder} &> {log}"
