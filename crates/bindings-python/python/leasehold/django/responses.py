"""What is answered to those who may not."""

from __future__ import annotations

import json

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from .._problems import MEDIA_TYPE, Problem


def problem_response(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The problem document itself, RFC 9457: for programs."""
    response = HttpResponse(json.dumps(problem), MEDIA_TYPE, problem["status"])
    # Who asks for another tenant, or later, is answered otherwise.
    response["Cache-Control"] = "no-store"
    return response


def permission_denied(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Django's own page, `403.html`, whatever the status of the problem: for people."""
    raise PermissionDenied(problem["detail"])
