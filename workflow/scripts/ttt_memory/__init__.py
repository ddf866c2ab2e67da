"""Can test-time-training fast weights serve as memory? The library behind the pipeline.

It knows nothing of Snakemake: every function takes paths, tensors or configuration
objects and returns values or writes files. Imports go one way, from top to bottom:

    report -> conversation | forecast -> fast_weights, scoring, benchmark -> io, schemas, errors
"""

__version__ = "0.1.0"
