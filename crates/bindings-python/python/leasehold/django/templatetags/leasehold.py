"""Tags of templates. Where nobody can say what a tenant may do, it may nothing.

{% load leasehold %}
{% if_feature "pdf_invoices" %}<a href="…">PDF</a>{% else %}…{% end_if_feature %}
{% feature "pdf_invoices" as has_pdf %}
{% feature_value "currency" as currency %}
{% has_room "max_users" used=users.count as can_add %}
{% limit "max_users" used=users.count as seats %}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django import template
from django.http import HttpRequest
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context

from ..._guard import Guard
from ..._problems import RefusedError
from ...answers import Action, Json, LimitAnswer
from ...errors import ArgumentError, ClosedError, QuestionError
from ..requests import entitlements_of

register = template.Library()

_T = TypeVar("_T")


@register.simple_tag(takes_context=True)
def feature(context: Context, feature: str, action: Action = "use") -> bool:
    """Whether a feature is on for the tenant of the request."""
    return _is_on(context, feature, action)


@register.simple_tag(takes_context=True)
def feature_value(context: Context, feature: str) -> Json:
    """The value of a value feature; None when it is off."""
    return _asked(context, lambda guard: guard.tenant.value(feature), None)


@register.simple_tag(takes_context=True)
def limit(context: Context, feature: str, used: int = 0, requested: int = 1) -> LimitAnswer | None:
    """What a limit says to so many more; None where nobody can say."""
    return _asked(context, lambda guard: guard.check_limit(feature, used, requested), None)


@register.simple_tag(takes_context=True)
def has_room(context: Context, feature: str, used: int = 0, requested: int = 1) -> bool:
    """Whether a limit has room for so many more."""
    return _asked(context, lambda guard: guard.check_limit(feature, used, requested).outcome != "deny", False)


@register.tag
def if_feature(parser: Parser, token: Token) -> IfFeature:
    """What is in it, where all these features are on; what is behind `else`, where not."""
    name, *bits = token.split_contents()
    features: list[FilterExpression] = []
    while bits and not token_kwargs(bits[:1], parser):
        features.append(parser.compile_filter(bits.pop(0)))
    options = token_kwargs(bits, parser)
    if not features or bits or options.keys() - {"action"}:
        raise template.TemplateSyntaxError(
            f'say `{name} "FEATURE" … action="read"`: features first, then the action if any'
        )
    on = parser.parse(("else", f"end_{name}"))
    off = NodeList()
    if parser.next_token().contents == "else":
        off = parser.parse((f"end_{name}",))
        parser.delete_first_token()
    return IfFeature(features, options.get("action"), on, off)


class IfFeature(template.Node):
    """The node of `if_feature`."""

    child_nodelists = ("on", "off")

    def __init__(
        self, features: list[FilterExpression], action: FilterExpression | None, on: NodeList, off: NodeList
    ) -> None:
        self._features = features
        self._action = action
        self.on = on
        self.off = off

    def render(self, context: Context) -> str:
        action: Any = "use" if self._action is None else self._action.resolve(context)
        is_on = all(_is_on(context, feature.resolve(context), action) for feature in self._features)
        return (self.on if is_on else self.off).render(context)


def _is_on(context: Context, feature: str, action: Action) -> bool:
    return _asked(context, lambda guard: guard.decide(feature, action=action).enabled, False)


def _asked(context: Context, ask: Callable[[Guard], _T], otherwise: _T) -> _T:
    """What a question comes to. A refusal, and a question that has no answer, are in the log of decisions already."""
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        # Not what the tenant may not, but what this app forgets to say.
        raise ArgumentError(
            "tags of `leasehold` need the request: render with it, and with the context processor `request`"
        )
    try:
        return ask(entitlements_of(request))
    except (RefusedError, QuestionError, ClosedError):
        return otherwise
