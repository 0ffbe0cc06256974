"""Models that learn from what the kernels give.

Of tables, one row per event:

- ``boosted_trees``: XGBoost, ``BoostedTrees``
- ``quantile_matrix``: XGBoost's matrices from batches
- ``forests``: random forests, and ensembles of balanced subsets
- ``fold_scores``: data against background by boosted trees, every event scored out of fold
- ``table_classifier``: what ``boosted_trees`` and ``forests`` check and have in common

Of sets of particles:

- ``deepsets``: ``DeepSets``, a network of sums over particles
- ``particle_tensors``: particles as torch tensors, standardised
- ``pyramid_classifiers``: linear models and support-vector machines of the pyramid-match kernel

Of padded batches, as a loader makes them:

- ``padded_networks``: what such networks are given, and files of them
- ``tagger_networks``: all of them by name, and DeepSets as one
- ``particle_transformer``: ``ParticleTransformer``, attention with features of pairs
- ``batch_training``: their training on batches as they come
- ``onnx``: networks as ONNX files, and scores of such files
- ``scorers``: scores of any model, block by block

Densities that can be sampled:

- ``flow``: ``ConditionalFlow``, p(features | context)
- ``flow_training``: its settings, and its course of training
- ``flow_events``: what it learns from, events in memory or batches; ``flow_standard``: as numbers of order one
- ``stacked_flows``: flows of several seeds, trained in one pass

For all: ``weights`` (signed weights, classes of equal importance, a part for validation),
``negative_weights`` (what becomes of them),
``training_device`` (where training may run), ``resumable_training`` (epochs of networks, and
checkpoints to go on from) and ``roc`` (how well scores tell classes apart).
"""
