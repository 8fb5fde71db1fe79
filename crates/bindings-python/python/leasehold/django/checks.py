"""System checks: what settings, decorators and templates say has to make sense, before a request comes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.template.base import Lexer, Token, TokenType
from django.template.engine import Engine as TemplateEngine
from django.urls import get_resolver

from .._keys import Wanted, mistake_in
from ..answers import SnapshotAbout
from ..errors import ArgumentError, DefinitionsError, OptionsError, SnapshotError
from .conf import read
from .decorators import Named, named
from .engines import snapshot_to_check

_TAGS: dict[str, Wanted | None] = {
    "if_feature": None,
    "feature": None,
    "feature_value": "value",
    "limit": "limit",
    "has_room": "limit",
}
"""Which kind each tag asks for. What only wants a yes or a no may be of any kind."""

_LASTING = (ArgumentError, OptionsError, DefinitionsError, ImproperlyConfigured)
"""What no second try would mend."""


def check(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """All that is wrong, as `manage.py check` tells it.

    - `leasehold.E001`: a mistake in the setting `LEASEHOLD`.
    - `leasehold.E002`: no engine can be made of it, however often it is tried.
    - `leasehold.E003`, `leasehold.E004`: a decorator, a template names what the revision in force does not have.
    - `leasehold.E005`: a decorator asks for a limit, and nothing says how much is in use.
    - `leasehold.W001`: there is no engine at the moment: keys were not checked.
    """
    said, mistakes = read()
    if said is None:
        return [Error(f"`LEASEHOLD`: {mistake}", id="leasehold.E001") for mistake in mistakes]
    # Decorators speak when their modules are imported. What keeps those from it, Django's own checks tell.
    with suppress(Exception):
        _ = get_resolver().url_patterns
    told: list[CheckMessage] = []
    if said.usage is None:
        told += [
            Error(
                f"{one.place}: nothing says how much is in use",
                hint="Give it `used`, or set `USAGE` in `LEASEHOLD`.",
                id="leasehold.E005",
            )
            for one in named
            if one.needs_usage
        ]
    try:
        with snapshot_to_check() as snapshot:
            about = snapshot.about
    except Exception as error:
        is_lasting = isinstance(error, _LASTING) or (isinstance(error, SnapshotError) and error.stage != "download")
        if is_lasting:
            return [*told, Error(f"the engine cannot be made: {error}", id="leasehold.E002")]
        # HQ may be down while somebody migrates a database: that is no mistake of theirs.
        hint = "Features and workflows that are named in code and templates were not checked."
        return [*told, Warning(f"there is no engine at the moment: {error}", hint=hint, id="leasehold.W001")]
    told += _unknown(named, about, "leasehold.E003")
    told += _unknown(_named_in_templates(), about, "leasehold.E004")
    return told


def _unknown(among: Sequence[Named], about: SnapshotAbout, id: str) -> list[CheckMessage]:
    hint = f"Correct it, or publish what is missing: this is revision {about.revision}."
    # One place may be imported, or found, twice.
    said = dict.fromkeys((one.place, _mistake(one, about)) for one in among)
    return [Error(f"{place}: {mistake}", hint=hint, id=id) for place, mistake in said if mistake is not None]


def _mistake(one: Named, about: SnapshotAbout) -> str | None:
    if one.wanted is None and one.key in about.features:
        return None
    return mistake_in(about, one.wanted or "switch", one.key)


def _named_in_templates() -> list[Named]:
    """What tags name by a literal. What they name by a variable is only known when it is rendered."""
    backends = (backend for backend in engines.all() if isinstance(backend, DjangoTemplates))
    return [
        one for backend in backends for path in _templates(backend.engine) for one in _named_in(path, backend.engine)
    ]


def _templates(engine: TemplateEngine) -> Iterator[Path]:
    loaders: list[Any] = list(engine.template_loaders)
    seen: set[str] = set()
    while loaders:
        loader = loaders.pop()
        # The one that caches has others within it.
        loaders.extend(getattr(loader, "loaders", ()))
        for directory in map(str, loader.get_dirs() if hasattr(loader, "get_dirs") else ()):
            if directory not in seen:
                seen.add(directory)
                for folder, _, names in os.walk(directory):
                    yield from (Path(folder, name) for name in sorted(names))


def _named_in(path: Path, engine: TemplateEngine) -> Iterator[Named]:
    try:
        text = path.read_text(engine.file_charset)
    except (OSError, UnicodeError):
        # A picture, or a file of somebody else: none that could be rendered.
        return
    if not any(tag in text for tag in _TAGS):
        return
    tags = _loaded(engine)
    in_comment = False
    for token in Lexer(text).tokenize():
        if token.token_type != TokenType.BLOCK:
            continue
        name, *bits = token.split_contents() or [""]
        if in_comment or name == "comment":
            in_comment = name != "endcomment"
        elif name == "load":
            tags |= _loaded_by(bits, engine)
        elif name in tags:
            for key in _literals(bits, is_many=name == "if_feature"):
                yield Named(_TAGS[name], key, f"{path}:{token.lineno}: {_shown(token)}")


def _shown(token: Token) -> str:
    return "{% " + " ".join(token.contents.split()) + " %}"


def _loaded(engine: TemplateEngine) -> set[str]:
    """Tags that templates have without loading them."""
    from .templatetags.leasehold import register

    return set(_TAGS) if register in engine.template_builtins else set()


def _loaded_by(bits: list[str], engine: TemplateEngine) -> set[str]:
    from .templatetags.leasehold import register

    libraries = engine.template_libraries
    if len(bits) > 2 and bits[-2] == "from":
        return set(bits[:-2]) & set(_TAGS) if libraries.get(bits[-1]) is register else set()
    return set(_TAGS) if any(libraries.get(bit) is register for bit in bits) else set()


def _literals(bits: list[str], *, is_many: bool) -> Iterator[str]:
    """The keys among the arguments of a tag."""
    for index, bit in enumerate(bits):
        if bit == "as":
            return
        is_named = bit.startswith("feature=")
        quoted = bit.removeprefix("feature=")
        if (is_named or is_many or index == 0) and len(quoted) > 1 and quoted[0] == quoted[-1] and quoted[0] in "\"'":
            yield quoted[1:-1]
