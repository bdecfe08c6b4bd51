"""Everything that is known about nnU-Net's files: what others write and what we read of it stands here alone."""
