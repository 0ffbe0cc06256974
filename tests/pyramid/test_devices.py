"""PyramidMatch for sets on any device, and how its kernels use a GPU's memory."""

import pickle

import numpy as np
import pytest
from pyramid_samples import PyramidMatchOnGpu, many, unit_cube
from strategies import assert_same
from traffic import counted, sectors, worst_conflict

import fastjag as fj
from fastjag.core import devices
from fastjag.pyramid import matrixfile

MATCH = fj.PyramidMatch(6, unit_cube(2), shifts=1, categorical="type")


class TestWhereResultsAre:
    def test_matrices_and_neighbours_beside_the_sets(self, device):
        X, Y = many(70), many(40, seed=2)
        there = X.to(device), Y.to(device)
        K = MATCH.gram(*there, dtype="u4")
        index, similarity = MATCH.neighbors(*there)
        for found in (K, index, similarity):
            assert devices.on_gpu(found) == (device == "cuda")
        assert_same(devices.to_host(K), MATCH.gram(X, Y, dtype="u4"))
        expected = MATCH.neighbors(X, Y)
        assert_same(devices.to_host(index), expected[0])
        assert_same(devices.to_host(similarity), expected[1])

    @pytest.mark.parametrize("dtype", ["u2", "u4", "f4", "f8"])
    def test_into_an_array(self, device, dtype):
        X = many(50)
        out = devices.to_device_of(X.to(device).offsets, np.zeros((50, 50), dtype))
        assert MATCH.gram(X.to(device), out=out) is out
        assert_same(devices.to_host(out), MATCH.gram(X, dtype=dtype))

    def test_file(self, device, tmp_path, monkeypatch):
        monkeypatch.setattr("fastjag.pyramid.matrixfile._BAND_BYTES", 4 * 50 * 7)  # bands of 7 rows
        X = many(50)
        expected = MATCH.gram(X)
        assert_same(np.asarray(MATCH.gram(X.to(device), out=tmp_path / "K.npy")), expected)
        # What was begun on one device goes on on another.
        with monkeypatch.context() as broken:
            append, rows = matrixfile._NpyRows.append, []

            def fail(self, band):
                if rows:
                    raise OSError(28, "No space left on device")
                rows.append(len(band))
                append(self, band)

            broken.setattr(matrixfile._NpyRows, "append", fail)
            with pytest.raises(OSError, match="7 of 50 rows are kept"):
                MATCH.gram(X.to(device), out=tmp_path / "L.npy")
        assert_same(np.asarray(MATCH.gram(X, out=tmp_path / "L.npy")), expected)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["K.npy", "L.npy"]

    def test_fitted_on_one_device_used_on_another(self, device):
        X, new = many(60), many(30, seed=2)
        expected = MATCH.fit(X).transform(new)
        fitted = pickle.loads(pickle.dumps(fj.PyramidMatch(**MATCH.get_params()).fit(X.to(device))))
        for sets in (new, new.to(device)):
            found = fitted.transform(sets)
            for a, b in zip(
                (found.indptr, found.indices, found.data),
                (expected.indptr, expected.indices, expected.data),
                strict=True,
            ):
                assert_same(a, b)
        landmarks = fj.Nystroem(MATCH, 20).fit(X.to(device))
        assert_same(landmarks.transform(new.to(device)), landmarks.transform(new))

    def test_one_device(self, emulation):
        X = many(20)
        for sets in ((X, X.to("cuda")), (X.to("cuda"), X)):
            with pytest.raises(ValueError, match=r"must be on one device, got X on .*, Y on .*"):
                MATCH.gram(*sets)
        with pytest.raises(ValueError, match="out is on the CPU"):
            MATCH.gram(X.to("cuda"), out=np.empty((20, 20), "f4"))
        with pytest.raises(ValueError, match="column 'a' must be finite, got nan in event 1"):
            MATCH.gram(fj.Jagged([0, 1, 2], {"a": [0, np.nan], "type": [1, 2]}).to("cuda"))


class TestOnGpu:
    @pytest.mark.parametrize("schedule", ["forward", "reverse", 1, 2, 3, 4, 5])
    @pytest.mark.parametrize("least", [0.0, 1 / 256, 2.0])
    def test_whatever_the_schedule(self, emulation, monkeypatch, schedule, least):
        monkeypatch.setattr("fastjag.kernels.pyramid.LEAST_FREQUENT", least)
        emulation.set_schedule(schedule)
        X, Y = many(90, mean=4), many(1100, seed=2, mean=1)
        match = PyramidMatchOnGpu(7, unit_cube(2), shifts=2)
        plain = fj.PyramidMatch(**match.get_params())
        assert_same(match.gram(X, Y), plain.gram(X, Y))
        assert_same(match.gram(Y, X[:9], dtype="u4"), plain.gram(Y, X[:9], dtype="u4"))
        for a, b in zip(match.neighbors(X, k=7), plain.neighbors(X, k=7), strict=True):
            assert_same(a, b)
        assert (match.fit_transform(X) != plain.fit_transform(X)).nnz == 0
        assert (match.transform(Y) != plain.transform(Y)).nnz == 0

    @pytest.mark.parametrize("dtype", ["u2", "u4", "f4", "f8"])
    def test_gram_uses_memory_well(self, emulation, dtype):
        X, Y = many(2048, mean=2), many(64, seed=2, mean=4)
        with counted(emulation) as rows:
            found = PyramidMatchOnGpu(6, unit_cube(2)).gram(Y, X, dtype=dtype)
        gram = [row for row in rows if "gram_rows" in row["kernel"]]
        written, ideal, _ = sectors(gram, "gram_rows", "global write")
        assert written == ideal == found.nbytes // 32
        assert worst_conflict(row for row in gram if "atomic" not in row["kind"]) == 1
        assert worst_conflict(gram) <= 2  # features from lists add where chance wills it
