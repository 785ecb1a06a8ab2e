"""study: YAML -> Study -> RunSpecs with digests. Pure: text in, values out."""
