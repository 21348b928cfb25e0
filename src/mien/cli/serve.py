"""`mien serve`: a service with REST, a WebSocket and a page."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import console
from mien.cli.options import PANEL, DetectorFile, DetectorName, ModelName

_ACCESS = "Who may use it"
_LIMITS = "Limits"


def serve(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is every one of this computer's.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="MIEN_API_KEY",
            metavar="KEY",
            show_envvar=True,
            rich_help_panel=_ACCESS,
            help="A key that clients must know; may be repeated. In the variable other users do not see it.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", rich_help_panel=_ACCESS, help="Listen beyond this computer without a key.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_ACCESS, help="A certificate (PEM), for https.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_ACCESS, help="The certificate's key (PEM).")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_ACCESS, help="A name that it is called by, such as my-computer.local."
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", rich_help_panel=_ACCESS, help="Another host whose pages may send to it: https://example.org."
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(metavar="PATH", rich_help_panel=_ACCESS, help="Where a reverse proxy shows it, such as /mien."),
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_LIMITS,
            help="Requests processed at once; default: the cores, 2 at least.",
        ),
    ] = None,
    queue: Annotated[
        int, typer.Option(min=0, metavar="N", rich_help_panel=_LIMITS, help="Requests that may wait; past it: 503.")
    ] = 64,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="BYTES", rich_help_panel=_LIMITS, help="Bytes of one request.")
    ] = 20_000_000,
    max_pixels: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Width times height of one picture.")
    ] = 40_000_000,
    max_images: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Pictures in one request.")
    ] = 16,
    max_streams: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Live streams at once.")
    ] = 16,
    batching: Annotated[
        bool,
        typer.Option(
            "--batching/--no-batching",
            rich_help_panel=_LIMITS,
            help="Classify the faces of requests at the same time together.",
        ),
    ] = True,
    detector: DetectorName = "auto",
    detector_model: DetectorFile = None,
    model: ModelName = None,
    uncertain_below: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="P", rich_help_panel=PANEL, help="Mark predictions less probable as uncertain."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=PANEL,
            help="CPU threads of each network; default: the cores, divided among workers.",
        ),
    ] = None,
) -> None:
    """Serve emotions over HTTP: a page with photo and camera, REST, and a WebSocket for streams.

    Only this computer reaches it unless --host says otherwise. Pictures are processed in memory and never stored. A
    phone's camera needs https: docs/serving.md has the steps. Ctrl-C ends it, once the requests in flight are finished.
    """
    try:
        from mien.service.app import create_app
        from mien.service.pages import is_built
        from mien.service.server import network_address
        from mien.service.server import serve as run
        from mien.service.settings import Settings
    except ModuleNotFoundError as error:
        from mien.errors import MissingExtraError

        raise MissingExtraError("mien serve", "serve") from error
    from mien.analyzer import load
    from mien.errors import ConfigError
    from mien.types import UNCERTAIN_BELOW

    if not os.environ.get("MIEN_API_KEY", "unset").strip():  # a script meant to fill it
        raise ConfigError("MIEN_API_KEY is set, but empty: give it a key, or unset it")
    limits = {"workers": workers} if workers else {}
    settings = Settings(
        host=host,
        port=port,
        api_keys=tuple(api_key or ()),
        insecure=insecure,
        tls_cert=tls_cert,
        tls_key=tls_key,
        hosts=tuple(name or ()),
        origins=tuple(origin or ()),
        root_path=root_path,
        queue=queue,
        batching=batching,
        max_body=max_body,
        max_pixels=max_pixels,
        max_images=max_images,
        max_streams=max_streams,
        **limits,
    )
    analyzer = load(
        model,
        detector=detector,
        detector_model=detector_model,
        threads=threads or max(1, (os.cpu_count() or 1) // settings.workers),
        uncertain_below=UNCERTAIN_BELOW if uncertain_below is None else uncertain_below,
    )

    def ready(url: str) -> None:
        _print(f"Mien serves at [bold]{url}[/] ({analyzer.card.id}, {analyzer.detector.name}). Ctrl-C ends it.")
        if not is_built():
            _print("[yellow]note:[/] the page is not built: `make page` in a checkout, then install again")
        if (elsewhere := network_address(settings, url)) is not None:
            _print(f"On other devices of this network: [bold]{elsewhere}[/]")
        if not settings.is_local and not settings.api_keys:
            _print("[yellow]note:[/] whoever reaches this computer may use it")
        if open_page:
            typer.launch(url)

    warnings.filterwarnings("ignore", module=r"PIL\.")  # they show what is in a file
    run(
        create_app(analyzer, settings),
        settings,
        ready=ready,
        report=lambda line: _print(f"{line}; Ctrl-C again ends at once"),
    )


def _print(line: str) -> None:
    console.err().print(line, soft_wrap=True, highlight=False)
