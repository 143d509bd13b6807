"""What Snakemake asks before anything runs; light to import."""
