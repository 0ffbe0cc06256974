"""Networks and tree ensembles that learn from what the kernels give."""
