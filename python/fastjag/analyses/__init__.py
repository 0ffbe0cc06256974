"""Complete analyses on top of the kernels: one module each, run by the command line."""
