"""One page of a list, newest first, with the cursor to the next."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import Field

from headstart.specs.fields import View

T = TypeVar("T")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


class Page(View, Generic[T]):
    """`next` goes back as `?after=`; it is null at the end."""

    object: Literal["list"] = Field(description="Always `list`.")
    data: list[T] = Field(description="The rows of this page.")
    has_more: bool = Field(description="Whether another page follows.")
    next: str | None = Field(description="The cursor of the next page.", examples=["eyJpIjoiam9iXy4uLiJ9"])
