"""Jets and their tracks: constituents, shapes, padded tensors, impact parameters, taggers.

    from fastjag.analyses.jets.config import JetSelection
    from fastjag.analyses.jets.features import tensor
    from fastjag.analyses.jets.observables import substructure
    from fastjag.analyses.jets.reading import JetReader

    for batch in JetReader("jets.root", JetSelection(min_pt=30)):
        values, mask = tensor(batch, 100)  # (jets, 100, F) of the leading constituents
        girth = substructure(batch)["girth"]

JetNtuple (CERN open data record 12100, a row per jet) and PFNano (event, jets, candidates) files give
the same ``JetBatch``.

Stages, each the function of that name in the module of that name: shapes, tracks, tensors, train.
``run`` runs one, ``results`` is what they leave, ``config`` what they are told, ``report`` the pages
with their ``pictures``. What they are made of:

- ``reading``: jets from files; ``ntuple``: PFNano files as JetNtuple
- ``observables``: girth, widths, multiplicities and images of jets
- ``features``: what networks are given of particles
- ``variations``: spectra and shapes for other scales and weights
- ``tagging``: classes, events held out, weights and ROC curves of taggers; ``deep_sets``: those of sets
- ``toys``: all stages on toy jets
"""
