"""Networks of padded batches: features of pairs against four-vectors, symmetries, padding, files."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from network_samples import GROUPS, N_FEATURES, PAIRS, WIDTHS, batch_of

from fastjag.models.particle_transformer import SMALLEST, ParticleTransformer, pair_features
from fastjag.models.tagger_networks import NETWORKS, DeepSetsNetwork, load_network

pytestmark = pytest.mark.usefixtures("one_thread")


def transformer(seed=0, **options):
    torch.manual_seed(seed)
    chosen = {"pairs": PAIRS, "width": 16, "heads": 2, "blocks": 2} | options
    return ParticleTransformer(GROUPS, N_FEATURES, 3, **chosen).eval()


def deep_sets(seed=0):
    torch.manual_seed(seed)
    return DeepSetsNetwork(GROUPS, N_FEATURES, 3, phi=(16, 16), rho=(16,)).eval()


BOTH = pytest.mark.parametrize("make", [transformer, deep_sets])


def reference_pair(a, b):
    """ln kT, ln z, ln delta R, ln m² of two particles, from E, px, py, pz."""
    vectors = []
    for pt, eta, phi, mass in (a, b):
        px, py, pz = pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta)
        vectors.append((math.sqrt(px**2 + py**2 + pz**2 + mass**2), px, py, pz))
    y = [0.5 * math.log((e + pz) / (e - pz)) for e, _, _, pz in vectors]
    phi = math.acos(math.cos(a[2] - b[2]))
    delta = math.hypot(y[0] - y[1], phi)
    total = [u + v for u, v in zip(*vectors, strict=True)]
    mass2 = total[0] ** 2 - sum(p**2 for p in total[1:])
    least, sum_pt = min(a[0], b[0]), a[0] + b[0]
    return [math.log(max(x, SMALLEST)) for x in (least * delta, least / sum_pt, delta, mass2)]


class TestPairFeatures:
    def test_against_four_vectors(self):
        rng = np.random.default_rng(1)
        momenta = np.stack(
            [rng.exponential(50, 12) + 1, rng.normal(0, 1.5, 12), rng.uniform(-4, 4, 12), rng.exponential(9, 12)], -1
        )  # fmt: skip
        found = pair_features(torch.tensor(momenta)[None])[0].numpy()
        for i in range(12):
            for j in range(12):
                if i != j:
                    expected = reference_pair(momenta[i], momenta[j])
                    np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-9, atol=1e-9)

    def test_near_particles_keep_their_digits_in_float32(self):
        a, b = (900.0, 1.2, 0.5, 0.1), (700.0, 1.2001, 0.5002, 0.1)
        single = pair_features(torch.tensor([[a, b]]))[0, :, 0, 1].double()
        rounded = torch.tensor([[a, b]]).double()
        np.testing.assert_allclose(single, pair_features(rounded)[0, :, 0, 1], atol=2e-4)

    def test_symmetric_and_finite(self):
        momenta = batch_of(20)["Jet_p4"]
        found = pair_features(momenta)
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found, found.transpose(-1, -2))

    def test_a_particle_and_itself_and_empty_slots(self):
        found = pair_features(torch.tensor([[[10.0, 0.3, 1.0], [0.0, 0.0, 0.0]]]))[0]
        assert found[2, 0, 0] == pytest.approx(math.log(SMALLEST))
        assert torch.isfinite(found).all()

    def test_phi_wraps(self):
        at = torch.tensor([[[10.0, 0.0, 3.1], [10.0, 0.0, -3.1]]])
        assert pair_features(at)[0, 2, 0, 1].exp() == pytest.approx(2 * math.pi - 6.2, rel=1e-4)


class TestSymmetries:
    @BOTH
    def test_order_of_particles_means_nothing(self, make):
        network, batch = make(), batch_of(50, seed=1)
        mixed, rng = dict(batch), np.random.default_rng(3)
        for name, width in WIDTHS.items():
            order = torch.tensor(np.argsort(rng.random((50, width)), axis=1))
            for key in (name, f"{name}_mask", f"{name}_p4"):
                rows = torch.arange(50)[:, None]
                mixed[key] = batch[key][rows, order]
        assert not torch.equal(mixed["Jet"], batch["Jet"])
        with torch.no_grad():
            torch.testing.assert_close(network(mixed), network(batch), rtol=1e-5, atol=1e-5)

    @BOTH
    def test_padding_does_not_matter(self, make):
        network, batch = make(), batch_of(50, seed=1)
        wider = dict(batch)
        for name in WIDTHS:
            for key in (name, f"{name}_p4"):
                junk = torch.full((50, 4, batch[key].shape[-1]), 7.0)
                wider[key] = torch.cat([batch[key], junk], dim=1)
            more = torch.zeros((50, 4), dtype=torch.bool)
            wider[f"{name}_mask"] = torch.cat([batch[f"{name}_mask"], more], dim=1)
        with torch.no_grad():
            torch.testing.assert_close(network(wider), network(batch), rtol=1e-5, atol=1e-5)

    @BOTH
    def test_other_events_of_the_batch_do_not_matter(self, make):
        network, batch = make().train(), batch_of(8)
        with torch.no_grad():
            together = network(batch)
            alone = torch.cat([network({k: v[i : i + 1] for k, v in batch.items()}) for i in range(8)])  # fmt: skip
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)

    @BOTH
    def test_particles_features_and_pairs_matter(self, make):
        network, batch = make(), batch_of(30)
        with torch.no_grad():
            before = network(batch)
            for key in network.tensor_names:
                if key.endswith("_mask"):
                    continue
                changed = network(batch | {key: batch[key] * 1.5 + 0.1})
                assert not torch.allclose(changed[1], before[1], atol=1e-6), key

    def test_events_without_particles_have_scores(self):
        with torch.no_grad():
            scores = transformer().scores(batch_of(1))
        assert torch.isfinite(scores).all()
        assert scores.sum().item() == pytest.approx(1)

    def test_turning_the_event_changes_no_pair(self):
        network, batch = transformer(), batch_of(20)
        turned = dict(batch)
        for name in WIDTHS:
            turned[f"{name}_p4"] = batch[f"{name}_p4"] + torch.tensor([0, 0, 1.0, 0])
        with torch.no_grad():
            torch.testing.assert_close(network(turned), network(batch), rtol=1e-4, atol=1e-4)


class TestTransformer:
    def test_learns_a_mass(self):
        """Whether two particles have a mass above 60 is in the pairs alone."""
        rng = np.random.default_rng(5)
        n = 3000
        momenta = np.stack([rng.uniform(20, 60, (n, 2)), rng.normal(0, 1, (n, 2)),
                            rng.uniform(-np.pi, np.pi, (n, 2))], axis=-1).astype("f4")  # fmt: skip
        p4 = torch.tensor(momenta)
        labels = (pair_features(p4)[:, 3, 0, 1] > 2 * math.log(60)).long()
        batch = {
            "Jet": torch.eye(2).expand(n, 2, 2),
            "Jet_mask": torch.ones(n, 2, dtype=torch.bool),
            "p4": p4,
        }
        torch.manual_seed(0)
        network = ParticleTransformer({"Jet": 2}, 0, 2, pairs={"Jet": "p4"}, width=16, heads=2, blocks=1)  # fmt: skip
        optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
        for step in range(60):
            some = slice(step % 10 * 250, step % 10 * 250 + 250)
            loss = torch.nn.functional.cross_entropy(
                network({k: v[some] for k, v in batch.items()}), labels[some]
            )
            optimizer.zero_grad()
            loss.backward()
            assert all(torch.isfinite(p.grad).all() for p in network.parameters())
            optimizer.step()
        with torch.no_grad():
            right = network({k: v[2500:] for k, v in batch.items()}).argmax(1) == labels[2500:]
        assert right.float().mean() > 0.85

    def test_groups_without_pairs(self):
        batch = batch_of(4)
        with torch.no_grad():
            assert transformer(pairs={"Jet": "Jet_p4"})(batch).shape == (4, 3)
            assert transformer(pairs={})(batch).shape == (4, 3)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"width": 10, "heads": 4}, "width must be a multiple of heads, got 10 and 4"),
            ({"pairs": {"Jets": "x"}}, "pairs names 'Jets', groups are Jet, Muon"),
            ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
            ({"blocks": 0}, "blocks must be"),
        ],
    )
    def test_settings_are_checked(self, options, message):
        with pytest.raises(ValueError, match=message):
            transformer(**options)


class TestFiles:
    @BOTH
    def test_kept_and_read(self, make, tmp_path):
        network, batch = make(seed=4), batch_of(9)
        network.save(tmp_path / "net.pt")
        again = load_network(tmp_path / "net.pt")
        assert type(again) is type(network)
        assert not again.training
        assert again.settings == network.settings
        with torch.no_grad():
            assert torch.equal(again(batch), network(batch))

    def test_other_files(self, tmp_path):
        torch.save({"kind": "Sequential"}, tmp_path / "other.pt")
        with pytest.raises(
            ValueError, match=r"other\.pt: holds no network of DeepSets, ParticleTransformer"
        ):
            load_network(tmp_path / "other.pt")
        (tmp_path / "text.pt").write_text("no network")
        with pytest.raises(ValueError, match=r"text\.pt: is not a checkpoint of a tagger"):
            load_network(tmp_path / "text.pt")

    def test_batches_are_checked(self):
        batch, network = batch_of(3), deep_sets()
        with pytest.raises(KeyError, match="no tensor 'Jet_mask'"):
            network.check_batch({k: v for k, v in batch.items() if k != "Jet_mask"})
        with pytest.raises(ValueError, match="'Jet' must have 5 columns, got shape"):
            network.check_batch(batch | {"Jet": batch["Jet"][..., :3]})

    def test_every_network_is_known(self):
        assert {"DeepSets": DeepSetsNetwork, "ParticleTransformer": ParticleTransformer} == NETWORKS
