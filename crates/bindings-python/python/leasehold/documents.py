"""What is signed, hashed and carried: for tools that look into documents. Engines need none of it."""

from __future__ import annotations

from ._native import (
    canonical_form,
    check_canonical,
    hash_of,
    hash_of_definitions,
    is_staged,
    key_id,
    merge,
    open_chunk,
    place_of,
    verify_certificate,
    verify_head,
    verify_slice,
)

__all__ = [
    "canonical_form",
    "check_canonical",
    "hash_of",
    "hash_of_definitions",
    "is_staged",
    "key_id",
    "merge",
    "open_chunk",
    "place_of",
    "verify_certificate",
    "verify_head",
    "verify_slice",
]
