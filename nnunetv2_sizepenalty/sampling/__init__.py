"""Which patches a training meets: where the lesions lie, how much of them a patch holds, and tau from that."""
