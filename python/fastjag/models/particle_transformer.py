"""The Particle Transformer: attention between particles, with what pairs of them know added to it.

H. Qu, C. Li, S. Qian, Particle Transformer for jet tagging, ICML 2022, arXiv:2202.03772, in a small size.
What is different here: features of pairs are normalised over their channels and not over the batch, so that
neither padding nor the other events of a batch change a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from fastjag.core.checks import at_least
from fastjag.models.padded_networks import FEATURES, Batch, TaggerNetwork

#: What is known of a pair of particles, in this order.
PAIR_FEATURES = ("ln kT", "ln z", "ln delta R", "ln m2")
#: Below this a logarithm is that of it: a particle and its copy have delta R = 0.
SMALLEST = 1e-8

_CLOSED = -1e9  # added to what attention must not see: its exponential is 0 exactly


def pair_features(momenta: torch.Tensor) -> torch.Tensor:
    """ln kT, ln z, ln delta R and ln m² of all pairs of particles (arXiv:2202.03772, equation 3).

    With kT = min(pt_a, pt_b) delta R [GeV], z = min(pt_a, pt_b) / (pt_a + pt_b),
    delta R² = (y_a - y_b)² + (phi_a - phi_b)² of rapidities y, and m² [GeV²] the squared mass of
    the pair. Each number is at least ``SMALLEST`` before its logarithm is taken.

    Parameters
    ----------
    momenta
        (n, P, 4): pt [GeV], eta, phi [rad] and mass [GeV], or (n, P, 3) of particles without mass. Empty slots are zeros.

    Returns
    -------
    Tensor (n, 4, P, P) of the same dtype, symmetric; pairs with an empty slot have numbers that mean nothing.

    Examples
    --------
    >>> two = torch.tensor([[[30.0, 0.0, 0.0], [10.0, 0.3, 0.4]]])
    >>> [round(float(x), 3) for x in pair_features(two)[0, :, 0, 1].exp()]
    [5.0, 0.25, 0.5, 74.567]
    """
    pt, eta, phi = momenta[..., 0], momenta[..., 1], momenta[..., 2]
    mass2 = momenta[..., 3].square() if momenta.shape[-1] > 3 else torch.zeros_like(pt)
    mt = (pt.square() + mass2).sqrt()
    y = torch.asinh(pt / mt.clamp(min=SMALLEST) * torch.sinh(eta))
    delta_y = y[:, :, None] - y[:, None, :]
    turn = phi[:, :, None] - phi[:, None, :]
    delta_phi = turn - 2 * torch.pi * torch.round(turn / (2 * torch.pi))
    delta = (delta_y.square() + delta_phi.square()).sqrt()
    a, b = pt[:, :, None], pt[:, None, :]
    smaller = torch.minimum(a, b)
    # 2 (E_a E_b - p_a . p_b) in parts that are not negative: no digits are lost for near particles.
    both_mt, both_pt = mt[:, :, None] * mt[:, None, :], a * b
    m2a, m2b = mass2[:, :, None], mass2[:, None, :]
    heavier = (a.square() * m2b + b.square() * m2a + m2a * m2b) / (both_mt + both_pt).clamp(
        min=SMALLEST
    )
    opening = 2 * (
        both_mt * torch.sinh(delta_y / 2).square() + both_pt * torch.sin(delta_phi / 2).square()
    )
    m2 = m2a + m2b + 2 * (heavier + opening)
    numbers = (smaller * delta, smaller / (a + b).clamp(min=SMALLEST), delta, m2)
    return torch.stack([number.clamp(min=SMALLEST).log() for number in numbers], dim=1)


class ParticleTransformer(TaggerNetwork):
    """A small Particle Transformer of one group of particles or several, and numbers of the event.

    ``pairs`` maps groups to the tensor of the batch that holds their momenta, (n, width, 3 or 4) as
    :func:`pair_features` takes them; particles of a group without one have no features of pairs.
    """

    def __init__(
        self,
        groups: Mapping[str, int],
        n_features: int,
        n_classes: int,
        pairs: Mapping[str, str] | None = None,
        width: int = 64,
        heads: int = 4,
        blocks: int = 3,
        class_blocks: int = 1,
        pair_widths: Sequence[int] = (32, 32),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(groups, n_features, n_classes)
        self.pairs = dict(pairs or {})
        for name, value in (("width", width), ("heads", heads), ("blocks", blocks),
                            ("class_blocks", class_blocks)):  # fmt: skip
            at_least(name, value, 1)
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, got {dropout!r}")
        if unknown := sorted(set(self.pairs) - set(self.groups)):
            raise ValueError(f"pairs names {unknown[0]!r}, groups are {', '.join(self.groups)}")
        self._settings = {
            "width": width, "heads": heads, "blocks": blocks, "class_blocks": class_blocks,
            "pair_widths": list(pair_widths), "dropout": dropout,
        }  # fmt: skip
        self.encoders = torch.nn.ModuleDict(
            {name: _mlp(n, (2 * width, width)) for name, n in self.groups.items()}
        )
        self.of_pairs = None
        if self.pairs:
            self.of_pairs = _mlp(len(PAIR_FEATURES), pair_widths)
            self.of_pairs.append(torch.nn.Linear(pair_widths[-1], heads))
        self.blocks = torch.nn.ModuleList(_Block(width, heads, dropout) for _ in range(blocks))
        self.class_token = torch.nn.Parameter(torch.randn(width) * 0.02)
        # The class's token does not forget by chance, as in the paper.
        self.class_blocks = torch.nn.ModuleList(
            _Block(width, heads, 0.0) for _ in range(class_blocks)
        )
        self.norm = torch.nn.LayerNorm(width)
        self.head = torch.nn.Sequential(_mlp(width + n_features, (width,)), torch.nn.Linear(width, n_classes))  # fmt: skip

    @property
    def tensor_names(self) -> list[str]:
        names = super().tensor_names
        momenta = [name for name in self.pairs.values() if name not in names]
        return [*names, *dict.fromkeys(momenta)]

    @property
    def settings(self) -> dict[str, Any]:
        return {"groups": self.groups, "n_features": self.n_features,
                "n_classes": self.n_classes, "pairs": self.pairs, **self._settings}  # fmt: skip

    def forward(self, batch: Batch) -> torch.Tensor:
        tokens = torch.cat([self.encoders[name](batch[name]) for name in self.groups], dim=1)
        mask = torch.cat([batch[f"{name}_mask"] for name in self.groups], dim=1)
        closed = torch.zeros_like(mask, dtype=tokens.dtype).masked_fill(~mask, _CLOSED)
        bias = self._bias(batch, mask) + closed[:, None, None, :]
        for block in self.blocks:
            tokens = block(tokens, tokens, bias)
        token = self.class_token.expand(tokens.shape[0], 1, -1)
        # The token sees itself, too: an event without particles has something to look at.
        own = torch.cat([torch.zeros_like(closed[:, :1]), closed], dim=1)[:, None, None, :]
        for block in self.class_blocks:
            token = block(token, torch.cat([token, tokens], dim=1), own)
        event = self.norm(token[:, 0])
        if self.n_features:
            event = torch.cat([event, batch[FEATURES]], dim=1)
        logits: torch.Tensor = self.head(event)
        return logits

    def _bias(self, batch: Batch, mask: torch.Tensor) -> torch.Tensor:
        """What pairs add to attention, (n, heads or 1, P, P): 0 for a particle with itself."""
        slots = mask.shape[1]
        if self.of_pairs is None:
            return torch.zeros((), dtype=batch[next(iter(self.groups))].dtype, device=mask.device)
        momenta, known = [], []
        for name in self.groups:
            there = batch[f"{name}_mask"]
            given = batch[self.pairs[name]] if name in self.pairs else None
            if given is None:
                given = torch.zeros((*there.shape, 4), device=there.device)
                there = torch.zeros_like(there)
            elif given.shape[-1] == 3:
                given = torch.cat([given, torch.zeros_like(given[..., :1])], dim=-1)
            momenta.append(given)
            known.append(there)
        of_pairs = pair_features(torch.cat(momenta, dim=1)).permute(0, 2, 3, 1)
        valid = torch.cat(known, dim=1)
        pairs = valid[:, :, None] & valid[:, None, :]
        pairs = pairs & ~torch.eye(slots, dtype=torch.bool, device=mask.device)
        bias = self.of_pairs(of_pairs).permute(0, 3, 1, 2)
        return torch.where(pairs[:, None], bias, torch.zeros_like(bias))


class _Block(torch.nn.Module):  # type: ignore[misc]
    """Attention of ``tokens`` to ``seen``, then a network of each token, both added to what came in.

    Normalised before and after attention, as in the paper (NormFormer, arXiv:2110.09456).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before = torch.nn.LayerNorm(width)
        self.query = torch.nn.Linear(width, width)
        self.key_value = torch.nn.Linear(width, 2 * width)
        self.after = torch.nn.LayerNorm(width)
        self.out = torch.nn.Linear(width, width)
        self.network = torch.nn.Sequential(
            torch.nn.LayerNorm(width), torch.nn.Linear(width, 4 * width), torch.nn.GELU(),
            torch.nn.Dropout(dropout), torch.nn.Linear(4 * width, width), torch.nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, tokens: torch.Tensor, seen: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        around = self.before(seen)
        query = self._by_head(self.query(self.before(tokens)))
        key, value = (self._by_head(part) for part in self.key_value(around).chunk(2, dim=-1))
        size = query.shape[-1]
        weights = torch.softmax(query @ key.transpose(-1, -2) / size**0.5 + bias, dim=-1)
        mixed = functional.dropout(weights, self.dropout, self.training) @ value
        joined = mixed.transpose(1, 2).flatten(2)
        tokens = tokens + self.out(self.after(joined))
        result: torch.Tensor = tokens + self.network(tokens)
        return result

    def _by_head(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _mlp(n: int, widths: Sequence[int]) -> torch.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for before, after in zip((n, *widths), widths, strict=False):
        parts += [torch.nn.Linear(before, after), torch.nn.LayerNorm(after), torch.nn.GELU()]
    return torch.nn.Sequential(*parts)
