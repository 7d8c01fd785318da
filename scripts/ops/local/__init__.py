"""A private AWS on loopback: the parts that stand in for what is outside the pipeline."""
