"""Makes fixtures: `python make.py [models|train|layers|ops|names|transfo-xl] [part of a name]`. Without arguments, all but the last, which has requirements of its own."""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(sys.path.pop(0))  # this folder last: it has files that are called like libraries

import torch
import transformers


def main() -> None:
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    if kind in ("", "models"):
        from make_models import make_models

        make_models(only)
    if kind in ("", "train"):
        from make_train import make_train

        make_train(only)
    if kind in ("", "layers"):
        from make_layers import make_layers

        make_layers(only)
    if kind in ("", "ops"):
        from make_ops import make_ops

        make_ops()
    if kind in ("", "names"):
        from make_names import make_names

        make_names()
    if kind == "transfo-xl":
        from make_transfo_xl import make_transfo_xl

        make_transfo_xl(only)


if __name__ == "__main__":
    main()
