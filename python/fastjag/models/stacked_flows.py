"""Flows of one architecture side by side: the log-likelihoods of all seeds in one pass.

Networks this small cost what calling torch costs, whatever their number. So layers of equal shape
are stacked, and a batch of every flow goes through them at once. zuko made the networks and takes
the trained weights back; here are its formulas without the objects it makes of them in every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch

_LOG_SLOPE = abs(math.log(1e-3))  # least slope of zuko's univariate transforms
_BOUND = 5.0  # beyond it a spline is the identity


class StackedFlows:
    """Several flows of one architecture, whose weights an optimiser changes in ``parameters``.

    That is one-dimensional: layer by layer, and in each layer flow by flow; ``owner`` has the flow
    that each weight belongs to.
    """

    def __init__(self, networks: Sequence[Any], kind: str) -> None:
        self.networks, self.univariate = networks, {"affine": _affine, "spline": _spline}[kind]
        self.activation = next(m for m in networks[0].modules() if _is_activation(m))
        blocks = [_blocks(network) for network in networks]
        weights, masks, owners = [], [], []
        for layers in zip(*(chain(*block) for block in blocks), strict=True):
            for name in ("weight", "bias"):
                for i, layer in enumerate(layers):
                    values = getattr(layer, name).detach().flatten()
                    mask = (
                        layer.mask.flatten()
                        if name == "weight" and hasattr(layer, "mask")
                        else None
                    )
                    masks.append(torch.ones_like(values) if mask is None else mask.float())
                    weights.append(values * masks[-1])
                    owners.append(torch.full_like(values, i, dtype=torch.int64))
        self.parameters, self._mask, self.owner = map(torch.cat, (weights, masks, owners))
        self.parameters.grad = torch.zeros_like(self.parameters)
        # Leaves of the graph share memory with the whole, and so do their gradients.
        self._layers: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
        begin = 0
        for block in blocks[0]:
            self._layers.append([])
            for layer in block:
                leaves = []
                for shape in (layer.weight.shape, (1, *layer.bias.shape)):
                    end = begin + len(networks) * math.prod(shape)
                    leaf = self.parameters[begin:end].view(-1, *shape).detach().requires_grad_()
                    leaf.grad = self.parameters.grad[begin:end].view(-1, *shape)
                    leaves.append(leaf)
                    begin = end
                self._layers[-1].append((leaves[0].transpose(1, 2), leaves[1]))

    def log_prob(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """ln p of (flows, n, F) features at (flows, n, 1) context: shape (flows, n)."""
        total = torch.zeros(x.shape[:-1], device=x.device)
        for block in self._layers:
            h = (
                c if x.shape[-1] == 1 else torch.cat([x, c], dim=-1)
            )  # one feature: no network of it
            for i, (weight, bias) in enumerate(block):
                h = torch.baddbmm(bias, h, weight)
                if i + 1 < len(block):
                    h = self.activation(h)
            x, slope = self.univariate(x, h.unflatten(-1, (x.shape[-1], -1)))
            total = total + slope.sum(dim=-1)
        return total - 0.5 * (x * x + math.log(2 * math.pi)).sum(dim=-1)

    def gradients(self, x: torch.Tensor, c: torch.Tensor, clip: float) -> torch.Tensor:
        """Mean of -ln p for each flow; its gradient, not longer than ``clip``, is left for a step."""
        gradient = self.parameters.grad
        assert gradient is not None
        gradient.zero_()
        loss = -self.log_prob(x, c).mean(dim=-1)
        loss.sum().backward()
        gradient *= self._mask
        squares = torch.zeros_like(loss).index_add_(0, self.owner, gradient * gradient)
        gradient *= (clip / (squares.sqrt() + 1e-6)).clamp(max=1)[self.owner]
        return loss.detach()

    def unstack(self, parameters: torch.Tensor) -> Sequence[Any]:
        """zuko's networks with weights that are like ``parameters``."""
        for i, network in enumerate(self.networks):
            weights, begin = parameters[self.owner == i], 0
            for layer in chain(*_blocks(network)):
                for values in (layer.weight, layer.bias):
                    end = begin + values.numel()
                    values.data.copy_(weights[begin:end].view_as(values))
                    begin = end
        return self.networks


def _blocks(network: Any) -> list[list[Any]]:
    """The linear layers of each transform, in their order."""
    return [
        [layer for layer in transform.hyper if hasattr(layer, "weight")]
        for transform in network.transform.transforms
    ]


def _is_activation(module: Any) -> bool:
    return type(module).__module__ == "torch.nn.modules.activation"


def _affine(x: torch.Tensor, phi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift and scale: the value, and the logarithm of the slope."""
    shift, scale = phi.unbind(dim=-1)
    scale = scale / (1 + scale.abs() / _LOG_SLOPE)
    return torch.addcmul(shift, x, scale.exp()), scale


def _spline(x: torch.Tensor, phi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Monotonic rational-quadratic spline (Durkan et al., arXiv:1906.04032, section 3.1).

    ``phi`` (..., 3 * bins - 1): widths and heights of the bins, derivatives at the inner knots.
    """
    bins = (phi.shape[-1] + 1) // 3
    sizes, inner = phi[..., : 2 * bins].unflatten(-1, (2, bins)), phi[..., 2 * bins :]
    # Bounded by slope, so that exp needs no maximum taken off; norms come after the choice of bins.
    sizes = (sizes / (1 + sizes.abs() * (2 / _LOG_SLOPE))).exp()
    ends = sizes @ torch.ones(bins, bins, device=x.device).triu()  # cumsum has a slow derivative
    norm = ends[..., -1]
    u = (x / _BOUND + 1) / 2
    inside = (u > 0) & (u < 1)
    with torch.no_grad():
        k = (ends[..., 0, :-1] < (u * norm[..., 0])[..., None]).sum(dim=-1, keepdim=True)
    both = k[..., None, :].expand(*k.shape[:-1], 2, 1)
    (width, height), (right, top) = (
        (values.gather(-1, both).squeeze(-1) / norm).unbind(dim=-1) for values in (sizes, ends)
    )
    slopes = torch.nn.functional.pad(inner, (1, 1)).gather(-1, torch.cat([k, k + 1], dim=-1))
    d0, d1 = (slopes / (1 + slopes.abs() / _LOG_SLOPE)).exp().unbind(dim=-1)
    z = torch.where(inside, (u - (right - width)) / width, 0.5)
    s, zz = height / width, z * (1 - z)
    below = s + (d0 + d1 - 2 * s) * zz
    y = top - height + height * (s * z * z + d0 * zz) / below
    slope = (s * s * (2 * s * zz + d0 * (1 - z) * (1 - z) + d1 * z * z) / (below * below)).log()
    return torch.where(inside, _BOUND * (2 * y - 1), x), torch.where(inside, slope, 0.0)
