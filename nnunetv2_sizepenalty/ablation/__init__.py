"""The ablation: a matrix of trainers, folds and repeats, run to the end on one machine or on Slurm, and one report."""
