# The way in: `snakemake --cores 1 [--configfile config/quick.yaml]`.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
