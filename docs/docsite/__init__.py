"""The site that `make docs` builds: pages that are generated, and the check of what was built."""
