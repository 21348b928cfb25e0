"""Routes by their names, for figures and logs: a path that a client made up never gets into them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

OTHER: Final = "other"
"""The name of all addresses that no route has."""

ANY_PATH: Final = "/{path:path}"
"""The route that refuses what no other one takes."""


class RouteNames:
    """The routes of an app, to name the one of a request, also where that is refused before it gets there."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = tuple(routes)

    def of(self, scope: Scope) -> str:
        """The path of the request's route as it was declared, such as "/assets/{name}"; OTHER where it has none."""
        other_method = OTHER
        for route in self._routes:
            match, _ = route.matches(scope)
            path: str = getattr(route, "path", OTHER)
            if match is Match.FULL:
                return OTHER if path == ANY_PATH else path
            if match is Match.PARTIAL and other_method == OTHER:
                other_method = path
        return other_method
