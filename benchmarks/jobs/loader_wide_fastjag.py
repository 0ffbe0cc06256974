"""One epoch of shuffled batches of 1024 jets, 24 columns of 128 constituents, by fj.loader."""

import sys

import fastjag as fj

seen = fj.particles("Part", [f"f{i}" for i in range(24)], width=128)
n, total = 0, 0.0
for batch in fj.loader(sys.argv[1], seen, target="label", batch_size=1024, seed=1):
    n += batch.n_events
    total += float(batch.Part[:, 0, 0].sum())
print(n, total)
