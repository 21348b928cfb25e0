"""`mien serve`: a service with REST, a WebSocket and a page."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mien.cli import console, options
from mien.cli.options import ANALYZER, MODEL
from mien.cpus import usable_cpus
from mien.errors import ConfigError, MissingExtraError
from mien.service.settings import Settings

if TYPE_CHECKING:
    from mien.analyzer import Analyzer
    from mien.options import OptionFields

SERVICE: Final = Settings()
"""The service's own defaults."""

_ACCESS = "Who may use it"
_LIMITS = "Limits"

Host = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on. 0.0.0.0: all of this computer.")]
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port. 0: a free one.")]
Uds = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Listen on a Unix socket, for a proxy, instead of --host and --port."),
]
OpenPage = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
ApiKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--api-key",
        envvar="MIEN_API_KEY",
        metavar="KEY",
        show_envvar=True,
        rich_help_panel=_ACCESS,
        help="A key that clients must send. May be repeated. Prefer the variable: other users can see options.",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", rich_help_panel=_ACCESS, help="Listen beyond this computer without a key.")
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=_ACCESS, help="A certificate (PEM), for https. SIGHUP loads it again."
    ),
]
TlsKey = Annotated[
    Path | None, typer.Option(metavar="FILE", rich_help_panel=_ACCESS, help="The certificate's key (PEM).")
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="NAME",
        rich_help_panel=_ACCESS,
        help="A name of this service, such as my-computer.local. May be repeated.",
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="URL",
        rich_help_panel=_ACCESS,
        help="Another host whose pages may use it: https://example.org. May be repeated.",
    ),
]
RootPath = Annotated[
    str, typer.Option(metavar="PATH", rich_help_panel=_ACCESS, help="Its path behind a reverse proxy, such as /mien.")
]
AccessLog = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Add a line of JSON for each request to this file. -: standard output."),
]
Workers = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=_LIMITS,
        help="Requests processed at once.",
        show_default="the cores, at least 2",
    ),
]
Queue = Annotated[
    int,
    typer.Option(min=0, metavar="N", rich_help_panel=_LIMITS, help="Requests that may wait; one more is refused: 503."),
]
MaxBody = Annotated[int, typer.Option(min=1, metavar="BYTES", rich_help_panel=_LIMITS, help="Bytes of one request.")]
BodySeconds = Annotated[
    float,
    typer.Option(
        min=0.1, metavar="SECONDS", rich_help_panel=_LIMITS, help="How long a body may make no progress; longer: 408."
    ),
]
MinRate = Annotated[
    int, typer.Option(min=1, metavar="BYTES", rich_help_panel=_LIMITS, help="Bytes per second that are progress.")
]
MaxBodySeconds = Annotated[
    float,
    typer.Option(
        min=0.1, metavar="SECONDS", rich_help_panel=_LIMITS, help="How long a body may take to arrive at all."
    ),
]
MaxPixels = Annotated[
    int, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Width times height of one picture.")
]
MaxImages = Annotated[int, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Pictures in one request.")]
MaxVideo = Annotated[
    int, typer.Option(min=0, metavar="BYTES", rich_help_panel=_LIMITS, help="Bytes of one video. 0: none are taken.")
]
MaxStreams = Annotated[int, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Live streams at once.")]
Batching = Annotated[
    bool,
    typer.Option(
        "--batching/--no-batching",
        rich_help_panel=_LIMITS,
        help="Classify the faces of simultaneous requests in one batch.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=MODEL,
        help="CPU threads of each network.",
        show_default="the cores, shared among workers",
    ),
]


def serve(
    *,
    host: Host = SERVICE.host,
    port: Port = SERVICE.port,
    uds: Uds = SERVICE.uds,
    open_page: OpenPage = False,
    api_key: ApiKeys = None,
    insecure: Insecure = SERVICE.insecure,
    tls_cert: TlsCert = SERVICE.tls_cert,
    tls_key: TlsKey = SERVICE.tls_key,
    name: Names = None,
    origin: Origins = None,
    root_path: RootPath = SERVICE.root_path,
    access_log: AccessLog = SERVICE.access_log,
    workers: Workers = SERVICE.workers,
    queue: Queue = SERVICE.queue,
    max_body: MaxBody = SERVICE.max_body,
    body_seconds: BodySeconds = SERVICE.body_seconds,
    min_rate: MinRate = SERVICE.min_rate,
    max_body_seconds: MaxBodySeconds = SERVICE.max_body_seconds,
    max_pixels: MaxPixels = SERVICE.max_pixels,
    max_images: MaxImages = SERVICE.max_images,
    max_video: MaxVideo = SERVICE.max_video,
    max_streams: MaxStreams = SERVICE.max_streams,
    batching: Batching = SERVICE.batching,
    detector: options.Detector = "auto",
    detector_model: options.DetectorFile = None,
    model: options.Model = None,
    max_faces: options.MaxFaces = ANALYZER.max_faces,
    detect_mode: options.DetectMode = ANALYZER.detect_mode,
    detect_side: options.DetectSide = ANALYZER.detect_side,
    uncertain_below: options.UncertainBelow = ANALYZER.uncertain_below,
    prior: options.Prior = "training",
    threads: Threads = None,
) -> None:
    """Serve emotions over HTTP: a page with photo and camera, REST, and a WebSocket for streams.

    Other computers cannot reach it unless you set --host. Pictures are processed in memory and never stored. A
    phone's camera needs https: docs/serving.md says how. Ctrl-C, or SIGHUP without a certificate, ends it after the
    requests that are being answered.
    """
    if uds and open_page:
        raise ConfigError("a browser cannot open a Unix socket: leave out --open or --uds")
    if not os.environ.get("MIEN_API_KEY", "unset").strip():  # a script meant to fill it
        raise ConfigError("MIEN_API_KEY is set, but empty: give it a key, or unset it")
    faces: OptionFields = {"max_faces": max_faces, "detect_mode": detect_mode, "detect_side": detect_side}
    faces |= {"uncertain_below": uncertain_below, "prior": options.prior_of(prior)}
    known = partial(Settings, host=host, port=port, uds=uds, api_keys=tuple(api_key or ()), insecure=insecure)
    known = partial(known, tls_cert=tls_cert, tls_key=tls_key, hosts=tuple(name or ()))
    known = partial(known, origins=tuple(origin or ()), root_path=root_path, access_log=access_log)
    known = partial(known, workers=workers, queue=queue, batching=batching, max_body=max_body)
    known = partial(known, body_seconds=body_seconds, min_rate=min_rate, max_body_seconds=max_body_seconds)
    known = partial(known, max_pixels=max_pixels, max_images=max_images, max_video=max_video)
    settings = known(max_streams=max_streams)
    each = threads or max(1, usable_cpus() // workers)
    _serve(partial(_load, model, detector, detector_model, each, faces), settings, open_page=open_page)


def _load(model: str | None, detector: str, file: Path | None, threads: int, faces: OptionFields) -> Analyzer:
    from mien.analyzer import load

    return load(model, detector=detector, detector_model=file, threads=threads, **faces)


def _serve(make_analyzer: Callable[[], Analyzer], settings: Settings, *, open_page: bool) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises MissingExtraError before the analyzer is made."""
    try:
        from mien.service.app import create_app
        from mien.service.page_files import is_built
        from mien.service.server import network_address
        from mien.service.server import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError("mien serve", "serve") from error
    analyzer = make_analyzer()

    def ready(url: str) -> None:
        about = f"{analyzer.model_id}, {analyzer.detector.name}"
        _log(f"Mien serves at [bold]{console.escape(url)}[/] ({about}). Ctrl-C ends it.")
        if not is_built():
            _log("[yellow]note:[/] the page is not built: `make page` in a checkout, then install again")
        if (elsewhere := network_address(settings, url)) is not None:
            _log(f"On other devices of this network: [bold]{elsewhere}[/]")
        if not settings.is_local and not settings.api_keys:
            _log("[yellow]note:[/] whoever reaches this computer may use it")
        if open_page:
            typer.launch(url)

    warnings.filterwarnings("ignore", module=r"PIL\.")  # they hold text of the uploaded files
    run(
        create_app(analyzer, settings),
        settings,
        ready=ready,
        report=lambda line: _log(f"{line}; Ctrl-C again ends at once"),
    )


def _log(line: str) -> None:
    """Print a line with markup on standard error."""
    console.err().print(line, soft_wrap=True, highlight=False)
