"""What is signed, hashed and carried: documents, and what is to be said of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from leasehold import Engine
from leasehold.documents import (
    canonical_form,
    check_canonical,
    hash_of,
    hash_of_definitions,
    is_staged,
    key_id,
    open_chunk,
    place_of,
    verify_certificate,
    verify_head,
    verify_slice,
)

from .answers import said
from .engine import ask
from .vectors import Outcome, answer_of, bytes_of, only_keys, outcome, read_bytes, text, trust

Args = Mapping[str, Any]


def _canonical(args: Args) -> Any:
    document = bytes_of(args["document"])
    check_canonical(document)
    # What is read is what is written.
    written = document.decode()
    assert canonical_form(json.loads(written)) == written
    return {"canonical": True}


def _verify_head(args: Args) -> Any:
    seen = args.get("seen")
    if seen is None:
        return verify_head(bytes_of(args["document"]), trust(args))
    return verify_head(bytes_of(args["document"]), trust(args), bytes_of(seen))


def _open_pack(args: Args) -> Any:
    named = args["pack"].get("name") if isinstance(args["pack"], dict) else None
    pack = bytes_of(args["pack"]) if named is None else read_bytes(f"packs/{named}.pack")
    engine = Engine.from_pack(pack, trust(args))
    about = engine.snapshot().about
    assert len(engine.snapshot().tenant_ids()) == about.tenants
    assert engine.snapshot().revision == about.revision
    members = ("revision", "issued_at", "expires_at", "definitions", "tenants", "needs")
    says = {name: said(about)[name] for name in members}
    if "ask" not in args:
        return says
    only_keys(args["ask"], ["call", "args"], "ask")
    return {**says, "answer": answer_of(ask(engine, text(args["ask"], "call"), args["ask"]["args"]))}


def _open_chunk(args: Args) -> Any:
    reference = args["reference"]
    only_keys(reference, ["hash", "length"], "reference")
    content = open_chunk(reference["hash"], reference["length"], text(args, "encoding"), bytes_of(args["bytes"]))
    assert (hash_of(content), len(content)) == (reference["hash"], reference["length"])
    return {"length": len(content)}


_CALLS: dict[str, Callable[[Args], Any]] = {
    "canonical": _canonical,
    "place": lambda args: place_of(text(args, "tenant")),
    "key_id": lambda args: {"id": key_id(text(args, "key"))},
    "definitions_hash": lambda args: {"hash": hash_of_definitions(args["definitions"])},
    "staging": lambda args: {
        "included": is_staged(text(args, "engine"), text(args, "candidate"), args["share_permille"])
    },
    "verify_certificate": lambda args: verify_certificate(bytes_of(args["document"]), trust(args)),
    "verify_head": _verify_head,
    "verify_slice": lambda args: verify_slice(bytes_of(args["document"]), text(args, "tenant"), trust(args)),
    "open_pack": _open_pack,
    "open_chunk": _open_chunk,
}


def ask_documents(call: str, args: Args) -> Outcome | None:
    """The outcome of a question about documents; nothing where the call is none."""
    question = _CALLS.get(call)
    return None if question is None else outcome(lambda: question(args))
