"""Size Penalty Loss for nnU-Net v2: trainers, losses, network, operating point and size-stratified evaluation."""

__version__ = "0.1.0"
