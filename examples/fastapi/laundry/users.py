"""Users of a laundry, as many as its plan has room for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from leasehold.answers import LimitAnswer

from .entitlements import leasehold
from .ledger import CurrentBooks, User

router = APIRouter(prefix="/users", tags=["users"], dependencies=[Depends(leasehold.tenant)])


class UserAdded(User):
    warning: str | None = None


def users_in_use(books: CurrentBooks) -> int:
    """How many there are.

    Two requests at once may both find room for the last one: where that matters, count in one step with the usage
    ledger, which docs/postgres.md describes.
    """
    return len(books.users)


room_for_one = leasehold.require_limit("max_users", used=users_in_use)


@router.get("")
def show_all(books: CurrentBooks) -> list[User]:
    return list(books.users.values())


@router.post("", status_code=201)
def add(user: User, books: CurrentBooks, limit: Annotated[LimitAnswer, Depends(room_for_one)]) -> UserAdded:
    """A soft limit lets more in than it allows, and says so."""
    if user.name in books.users:
        raise HTTPException(409, f"there is a user {user.name} already")
    books.users[user.name] = user
    warning = None if limit.outcome == "allow" else f"the plan has room for {limit.limit}"
    return UserAdded(name=user.name, warning=warning)


@router.delete("/{name}", status_code=204)
def remove(name: str, books: CurrentBooks) -> None:
    if books.users.pop(name, None) is None:
        raise HTTPException(404, f"there is no user {name}")
