"""Training straight from files: shuffled, padded batches, of any number of files, in bounded memory."""

from fastjag.loading.arrays import tensor_loader
from fastjag.loading.loaders import Loader
from fastjag.loading.making import loader
from fastjag.loading.minibatch import Minibatch

__all__ = ["Loader", "Minibatch", "loader", "tensor_loader"]
