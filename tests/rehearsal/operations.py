"""What is known of the operations of torch on a GPU, by their names."""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The host waits for the device, as the size or the value of the result is not known before.
WAITS = _names(
    """
    _local_scalar_dense nonzero masked_select _unique2 unique_dim unique_consecutive
    unique_dim_consecutive bincount equal is_nonzero
    """
)

# Indices of these may lie on the host (they are uploaded); all others' may not.
ALLOWS_HOST_INDICES = frozenset(
    ["index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"]
)

# Views, and memory without content.
NO_KERNEL = _names(
    """
    view _unsafe_view reshape expand permute transpose t slice select split split_with_sizes
    unsqueeze squeeze detach detach_ alias as_strided unbind diagonal empty empty_like new_empty
    empty_strided new_empty_strided _reshape_alias lift_fresh unfold chunk narrow view_as expand_as
    _local_scalar_dense set_ resize_ is_same_size sym_size requires_grad_
    _has_same_storage_numel record_stream
    """
)
