"""What nnU-Net writes: checkpoints, output heads, probabilities, and the cut at a threshold."""
