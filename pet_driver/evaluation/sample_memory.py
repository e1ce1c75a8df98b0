"""How much memory a (centre, frame) sample and the frames of a centre take."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import PetDriverError
from ..graph.neighbor_list import CROWDED
from ..model import PET
from ..runtime.devices import free_memory

# Numbers kept for the backward pass per token, attention layer and feature, and per pair of
# neighbors in the construction of frames (in float64); measured on the default network.
_PER_TOKEN = 40
_PER_PAIR = 60
_PER_LOGIT = 4  # tables of the attention's logits that exist at a time, per layer
SMALLEST_CHUNK = 16


@dataclass(frozen=True)
class SampleMemory:
    """Estimates for one network."""

    network: PET

    def per_sample(self, n_neighbors: int) -> int:
        """Bytes that are kept for the backward pass of one sample.

        :param n_neighbors: width of the table of neighbors
        """
        hyper = self.network.hyper
        layers = hyper.attention_layers * hyper.message_layers
        kept = _PER_TOKEN * (n_neighbors + 1) * hyper.width
        if n_neighbors >= CROWDED:  # else the logits are few beside the features
            kept += _PER_LOGIT * hyper.heads * (n_neighbors + 1) ** 2
        return kept * layers * self.network.message_embedder.weight.element_size()

    def of_frames(self, n_neighbors: int) -> int:
        """Bytes that the construction of the frames of one centre takes."""
        return 8 * _PER_PAIR * n_neighbors**2

    def chunk(self, n_neighbors: int, memory: int) -> int:
        """Most samples that are evaluated at a time.

        :param memory: bytes that they may take
        """
        smallest = SMALLEST_CHUNK if n_neighbors < CROWDED else 1
        return max(memory // self.per_sample(n_neighbors), smallest)

    def check(self, n_neighbors: int, with_frames: bool) -> None:
        """Check that the memory suffices for one centre, the least that can be evaluated.

        Only where atoms are crowded: on a CPU the system would end the process without a word.

        :raises PetDriverError: if not
        """
        if n_neighbors < CROWDED:
            return
        needed = max(self.per_sample(n_neighbors), with_frames * self.of_frames(n_neighbors))
        free = free_memory(self.network.message_embedder.weight.device)
        if needed > free:
            raise PetDriverError(
                f"an atom has {n_neighbors} neighbors within the cutoff, for which an evaluation "
                f"takes {needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free; check the density "
                "and the unit of length of the structure"
            )
