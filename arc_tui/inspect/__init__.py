"""Browses checkpoints, datasets and tasks: headers by struct and JSON, values by numpy, never by torch.

| module | what it does |
|---|---|
| dtypes | every element type of the format, and its values as numbers |
| header | a file's header as columns, checked |
| source | what a PATH stands for: file, checkpoint, run, Hugging Face folder, pattern |
| pieces, statistics, wide | values read in pieces; counts, moments, quantiles, histograms |
| tree, search | the modules that the names spell, and finding among them |
| training, moments, timeline | what our own checkpoints know of training |
| compare | two checkpoints held against each other |
| verify, extract | manifests checked, parts copied out |
| facts, text | all of it as JSON and as lines |
| tasks | datasets and tasks |
| command | `arc-tui inspect` |
"""
