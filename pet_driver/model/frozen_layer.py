"""A message layer with frozen weights, with its backward pass written out; see `frozen_blocks`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .attention import Attention
from .frozen_blocks import ROWS, FrozenChain, FrozenLinear, FrozenNorm, FrozenSilu, Tape, joined
from .frozen_edges import FrozenInvariantPart
from .message_layer import MessageLayer
from .softmax import LOG2_E, softmax_gradient, softmax_of_base_2
from .tokens import EdgeGeometry
from .transformer_layer import TransformerLayer


class FrozenAttention:
    """`Attention` of normalized tokens."""

    def __init__(self, attention: Attention, norm: nn.Module) -> None:
        width, heads = attention.output_linear.in_features, attention.heads
        self._heads = heads
        self._norm = FrozenNorm(norm)
        inward = FrozenLinear.of(attention.input_linear, norm)
        outward = FrozenLinear.of(attention.output_linear)
        # The bias of keys changes no attention weight, and that of values every average alike.
        of_query, _, of_value = inward.bias.chunk(3)
        query, key, value = inward.weight.chunk(3)
        scale = (width // heads) ** -0.5
        # Logits are to the base 2, and so are the queries that are kept.
        self._inward = torch.cat([query * scale * LOG2_E, key, value])
        self._query_bias = (of_query * scale * LOG2_E).view(heads, 1, -1)
        # Gradients are those of logits to the base e.
        self._backward = torch.cat([query * scale, key / LOG2_E, value])
        bias = torch.addmv(outward.bias, outward.weight, of_value)
        self._outward = FrozenLinear(outward.weight, bias)

    def forward(self, tokens: Tensor, log_factors: Tensor, tape: Tape) -> Tensor:
        """Parameters and result as of `Attention`."""
        samples, count, width = tokens.shape
        rows = self._norm.forward(tokens.view(-1, width), tape) @ self._inward.t()
        # Copied one by one, which is twice as fast as all three at once.
        split = rows.view(samples, count, 3, width).unbind(2)
        query, key, value = (self._by_head(x) for x in split)
        query.view(self._heads, samples * count, width // self._heads).add_(self._query_bias)
        logits = torch.bmm(query, key.transpose(1, 2))
        by_head = logits.view(self._heads, samples, count, count)
        by_head.add_((LOG2_E * log_factors)[:, None, :])
        weights = softmax_of_base_2(logits)
        tape += [query, key, value, weights]
        mixed = torch.bmm(weights, value).view(self._heads, samples, count, width // self._heads)
        rows = mixed.permute(1, 2, 0, 3).reshape(samples * count, width)
        return self._outward.forward(rows, tape).view(tokens.shape)

    def backward(self, gradient: Tensor, tape: Tape) -> tuple[Tensor, Tensor]:
        """Gradients of the tokens and of the logarithms, from that of the result."""
        samples, count, width = gradient.shape
        rows = self._outward.backward(gradient.view(-1, width), tape)
        of_mixed = self._by_head(rows.view(gradient.shape))
        weights, value, key, query = (tape.pop() for _ in range(4))
        of_logits = softmax_gradient(torch.bmm(of_mixed, value.transpose(1, 2)), weights)
        parts = (
            torch.bmm(of_logits, key),
            torch.bmm(of_logits.transpose(1, 2), query),
            torch.bmm(weights.transpose(1, 2), of_mixed),
        )
        table = rows.new_empty(samples, count, 3, self._heads, width // self._heads)
        for x, part in zip(table.unbind(2), parts, strict=True):
            x.copy_(
                part.view(self._heads, samples, count, width // self._heads).permute(1, 2, 0, 3)
            )
        rows = table.view(-1, 3 * width) @ self._backward
        # In two steps, which is four times as fast as both sums at once.
        of_factors = of_logits.view(self._heads, samples, count, count).sum(2).sum(0)
        return self._norm.backward(rows, tape).view(gradient.shape), of_factors

    def _by_head(self, x: Tensor) -> Tensor:
        """Copy (heads * n_samples, n_tokens, width of a head) of (n_samples, n_tokens, width)."""
        samples, count, width = x.shape
        split = x.view(samples, count, self._heads, width // self._heads)
        return split.permute(2, 0, 1, 3).reshape(self._heads * samples, count, width // self._heads)


class FrozenTransformerLayer:
    """`TransformerLayer` with order "pre"."""

    def __init__(self, layer: TransformerLayer) -> None:
        self._attention = FrozenAttention(layer.attention, layer.norm_attention)
        self._mlp = FrozenChain.of_feed_forward(layer.mlp, layer.norm_mlp)
        self._wide = layer.wide
        if layer.wide:
            self._contraction = FrozenLinear.of(layer.center_contraction)
            self._expansion = FrozenLinear.of(layer.center_expansion)
            self._centre_mlp = FrozenChain.of_feed_forward(
                layer.center_mlp, layer.norm_center_features
            )

    def forward(
        self, node: Tensor, edges: Tensor, log_factors: Tensor, tape: Tape
    ) -> tuple[Tensor, Tensor]:
        """Parameters and results as of `TransformerLayer`."""
        samples, n_neighbors, width = edges.shape
        tokens = edges.new_empty(samples, 1 + n_neighbors, width)
        tokens[:, 0] = self._contraction.forward(node, tape) if self._wide else node
        tokens[:, 1:] = edges
        update = self._attention.forward(tokens, log_factors, tape)
        if self._wide:
            edges = torch.add(edges, update[:, 1:])
            node = node + self._expansion.forward(update[:, 0], tape)
            node = self._centre_mlp.forward(node, tape).add_(node)
            rows = edges.view(-1, width)
            return node, self._mlp.forward(rows, tape).add_(rows).view(edges.shape)
        rows = update.add_(tokens).view(-1, width)
        tokens = self._mlp.forward(rows, tape).add_(rows).view(tokens.shape)
        return tokens[:, 0], tokens[:, 1:]

    def backward(
        self, of_node: Tensor, of_edges: Tensor, tape: Tape
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of node, edges and logarithms, from those of the results."""
        samples, n_neighbors, width = of_edges.shape
        of_update = of_edges.new_empty(samples, 1 + n_neighbors, width)
        if self._wide:
            rows = of_edges.reshape(-1, width)
            of_edges = self._mlp.backward(rows, tape).add_(rows).view(of_edges.shape)
            of_node = self._centre_mlp.backward(of_node, tape).add_(of_node)
            of_update[:, 0] = self._expansion.backward(of_node, tape)
            of_update[:, 1:] = of_edges
            of_tokens, of_factors = self._attention.backward(of_update, tape)
            of_node = of_node + self._contraction.backward(of_tokens[:, 0], tape)
            return of_node, of_edges.add_(of_tokens[:, 1:]), of_factors
        of_update[:, 0], of_update[:, 1:] = of_node, of_edges
        rows = of_update.view(-1, width)
        rows = self._mlp.backward(rows, tape).add_(rows)
        of_tokens, of_factors = self._attention.backward(rows.view(of_update.shape), tape)
        of_tokens.add_(rows.view(of_update.shape))
        return of_tokens[:, 0], of_tokens[:, 1:], of_factors


class FrozenMessageLayer:
    """`MessageLayer` whose transformer layers have the order "pre"."""

    def __init__(self, layer: MessageLayer) -> None:
        self._embed = layer.coordinate_map().detach()
        self.invariant_part = FrozenInvariantPart(*layer.invariant_maps())
        self._activation = FrozenSilu(self._embed)
        self._compress = FrozenLinear.of(layer.compress_out)
        self._layers = [
            FrozenTransformerLayer(cast(TransformerLayer, x)) for x in layer.transformer
        ]
        self._final_norm = layer.final_norm

    @staticmethod
    def supports(layer: MessageLayer) -> bool:
        """Whether all of its transformer layers are of a kind that is written out here."""
        return all(type(x) is TransformerLayer and x.pre for x in layer.transformer)

    def __call__(
        self, geometry: EdgeGeometry, invariant: Tensor, node: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Node features and outgoing messages; parameters as of `MessageLayer`."""
        log_factors = nn.functional.pad(geometry.log_factors, (1, 0))
        result: tuple[Tensor, Tensor] = _Recorded.apply(  # type: ignore[no-untyped-call]
            self, geometry.coordinates(), invariant, node, log_factors
        )
        if self._final_norm is not None:
            return self._final_norm(result[0]), self._final_norm(result[1])
        return result

    def forward(
        self, coordinates: Tensor, invariant: Tensor, node: Tensor, log_factors: Tensor, tape: Tape
    ) -> tuple[Tensor, Tensor]:
        """Node features and messages.

        :param coordinates: (n_samples, n_neighbors, 4), vector and length
        :param log_factors: (n_samples, 1 + n_neighbors); the others as of `MessageLayer`
        """
        x = torch.addmm(invariant.flatten(0, 1), coordinates.flatten(0, 1), self._embed.t())
        edges = self._compress.forward(self._activation.forward(x, tape), tape)
        edges = edges.view(invariant.shape)
        for layer in self._layers:
            node, edges = layer.forward(node, edges, log_factors, tape)
        return node, edges

    def backward(
        self, of_node: Tensor, of_edges: Tensor, tape: Tape
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of the inputs of `forward`, from those of its results."""
        of_factors = None
        for layer in reversed(self._layers):
            of_node, of_edges, more = layer.backward(of_node, of_edges, tape)
            of_factors = more if of_factors is None else of_factors.add_(more)
        assert of_factors is not None
        shape = of_edges.shape
        rows = self._compress.backward(of_edges.reshape(-1, shape[-1]), tape)
        rows = self._activation.backward(rows, tape)
        of_coordinates = (rows @ self._embed).view(*shape[:-1], 4)
        return of_coordinates, rows.view(shape), of_node, of_factors


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layer: FrozenMessageLayer, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        tape: Tape = []
        ctx.layer, ctx.size = layer, max(ROWS // inputs[3].shape[1], 1)
        parts = zip(*(torch.split(x, ctx.size) for x in inputs), strict=True)
        node, edges = zip(
            *(layer.forward(*part, tape=tape) for part in parts),  # type: ignore[misc]
            strict=True,
        )
        ctx.save_for_backward(*tape)
        return joined(node), joined(edges)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_node: Tensor, of_edges: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        tape = list(ctx.saved_tensors)
        parts = zip(torch.split(of_node, ctx.size), torch.split(of_edges, ctx.size), strict=True)
        found = [ctx.layer.backward(*part, tape) for part in reversed(list(parts))]
        return None, *(joined(x[::-1]) for x in zip(*found, strict=True))
