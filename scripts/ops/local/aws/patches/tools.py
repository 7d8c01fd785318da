"""The two ways in which a patch changes moto: around a method it has, or a method it lacks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def around(owner: Any, name: str) -> Callable[[Method], Method]:
    """Decorator: the function takes the place of `owner.name` and gets the original before its arguments."""
    original = getattr(owner, name)

    def install(function: Method) -> Method:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        setattr(owner, name, method)
        return function

    return install


def method_of(owner: Any, name: str = "") -> Callable[[Method], Method]:
    """Decorator: `owner` gets the function as a method, under its own name unless another is given."""

    def install(function: Method) -> Method:
        setattr(owner, name or function.__name__, function)
        return function

    return install


def kept(owner: Any, key: str) -> dict[str, Any]:
    """A dictionary that lives in an object of moto's, and so is in its snapshot too."""
    store: dict[str, Any] = owner.__dict__.setdefault(f"ops_{key}", {})
    return store
