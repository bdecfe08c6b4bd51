"""What nnU-Net imports from `nnUNet_extTrainer`: answers the names of our trainers, takes them from the package.

nnU-Net imports every module of this folder at each look-up, and a failing import here would break all of them:
so nothing is imported before one of our names is asked for.
"""


def __getattr__(name: str):
    if name.startswith("nnUNetTrainer"):
        try:
            from nnunetv2_sizepenalty.trainers import find_trainer
        except ImportError as error:
            # a child process in another environment inherits nnUNet_extTrainer
            import warnings

            warnings.warn(f"nnunetv2_sizepenalty can't be imported ({error}): its trainers are not found", stacklevel=2)
        else:
            trainer = find_trainer(name)
            if trainer is not None:
                return trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
