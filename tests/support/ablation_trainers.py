"""Trainers of somebody else, as nnU-Net finds them in a folder of nnUNet_extTrainer; written there as text."""

MODULE = '''
import time

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2_sizepenalty.trainers import nnUNetTrainerDTS_4epochs


class nnUNetTrainerTheirs(nnUNetTrainer):
    """nnU-Net's own, two short epochs: checkpoints in place, no handling of signals."""

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 8, 2


class nnUNetTrainerFailsOnFold1(nnUNetTrainerTheirs):
    def run_training(self):
        if self.fold == 1:
            raise RuntimeError("the disk of fold 1 is on fire")
        super().run_training()


class nnUNetTrainerSlow(nnUNetTrainerDTS_4epochs):
    """One of ours whose 40 iterations (two training cases) take over two minutes on any machine."""

    def train_step(self, batch):
        time.sleep(3.1)
        return super().train_step(batch)
'''
