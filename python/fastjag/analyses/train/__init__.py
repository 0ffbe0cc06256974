"""A tagger from files to a report: trained on batches as they are read, exported, and tested as exported.

    from fastjag.analyses.train.config import TaggerConfig
    from fastjag.analyses.train.run import run

    results = run(TaggerConfig.read("tagger.toml"), "tagger")
    results.summary()["sentence"]                     # what was found, and how sure that is
    results.folder("train") / "tagger.onnx"           # and inputs.json: what fj.predict needs

=============== =================================================================================
config          data sets, inputs, model and how it learns: one TOML file (inputs of weaver's YAML: weaver_inputs)
run             the stages, and what each of them depends on
results         what the stages left, for whoever reads it
split           stage: which events are for training, validation and test
train           stage: inputs are fitted, a network or trees learn, and are exported (networks, trees)
score           stage: scores of the test events by what was exported
report          stage: the page, results.json and pictures/
performance     curves, areas and calibration, with their errors
toys            events of two classes of which the best possible answer is known
=============== =================================================================================
"""
