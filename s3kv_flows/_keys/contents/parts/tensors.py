"""Tensors of torch: by elements and strides, as pickle keeps both."""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import Any

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk
from s3kv_flows._keys.contents.parts.objects import reduced, state_of

__all__ = ["PARTS"]


def _tensor(walk: Walk, value: Any) -> Parts:
    torch = sys.modules["torch"]
    if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
        return reduced(walk, value)
    plain = value.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg().cpu().contiguous()
    digest = sha256()
    if plain.numel():
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    flags = (
        str(value.dtype),
        tuple(value.shape),
        value.stride(),
        value.requires_grad,
        str(value.device),
        value.is_conj(),
        value.is_neg(),
    )
    return Parts(b"tensor " + repr(flags).encode() + digest.digest(), [state_of(value)])


def _named(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(str(value).encode())  # torch pickles these in another way once it has unpickled one


PARTS: dict[str, PartsOf] = {
    "torch.Tensor": _tensor,
    "torch.device": _named,
    "torch.dtype": _named,
    "torch.layout": _named,
    "torch.memory_format": _named,
}
