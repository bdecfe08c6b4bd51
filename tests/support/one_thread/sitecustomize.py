"""On PYTHONPATH of the tests' commands: nnU-Net's `-device cpu` takes all cores, and two tests run at once."""

import multiprocessing

multiprocessing.cpu_count = lambda: 1
