"""One of two gloo processes: trains a small AttentionASPPUNet for a few steps, prints the sum of its weights.

Arguments: rank, file for the rendezvous, 1 with or 0 without deep supervision.
"""

import sys

import torch
from conftest import THICK_SLICES, build_network, make_arch_kwargs
from torch import distributed
from torch.nn.parallel import DistributedDataParallel


def main(rank: int, rendezvous: str, deep_supervision: bool) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    torch.manual_seed(0)
    network = DistributedDataParallel(
        build_network(make_arch_kwargs(THICK_SLICES), deep_supervision=deep_supervision).train()
    )
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    torch.manual_seed(rank)
    for _ in range(2):
        optimizer.zero_grad()
        outputs = network(torch.randn(1, 3, 16, 32, 32))
        sum(output.square().mean() for output in (outputs if deep_supervision else [outputs])).backward()
        optimizer.step()
        # nnU-Net's validation: heads off, then on again.
        network.module.decoder.deep_supervision = False
        with torch.no_grad():
            network.eval()(torch.randn(1, 3, 16, 32, 32))
        network.train()
        network.module.decoder.deep_supervision = deep_supervision
    head = network.module.decoder.seg_layers[0]
    print(
        repr(sum(p.double().abs().sum().item() for p in network.parameters())),
        repr(head.weight.double().abs().sum().item()),
    )
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1")
