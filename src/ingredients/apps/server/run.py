"""Runs the server: takes the store, starts the worker, listens, and ends in good order."""

import contextlib
import logging
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from ingredients.apps.server.app import ServerState, create_app
from ingredients.apps.server.keys import KeyRing
from ingredients.apps.server.settings import RequestLimits, ServerDefaults, WorkerPlan, check_host
from ingredients.apps.server.worker_processes import WorkerProcesses
from ingredients.apps.server.worker_team import WorkerTeam
from ingredients.core.errors import UserInputError
from ingredients.core.output_folders import claimed_folder
from ingredients.generation.job_store import JobStore, StoreLimits
from ingredients.generation.worker import Maker, Worker

_LOG = logging.getLogger(__name__)

_SECONDS_BETWEEN_TIDYINGS = 60.0
_SECONDS_TO_STOP = 60.0  # for the step that the worker is at
_SECONDS_TO_HANG_UP = 5
_MOST_WAITING_CONNECTIONS = 1024


def run_server(
    folder: Path,
    load: Callable[[], Maker],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: WorkerPlan | None = None,
    keys: Path | None = None,
    request_limits: RequestLimits | None = None,
    store_limits: StoreLimits | None = None,
    defaults: ServerDefaults | None = None,
    allowed_origins: Sequence[str] = (),
    on_listening: Callable[[str, Callable[[], None]], None] = lambda *_: None,
) -> None:
    """Serves until a signal says to stop; the job that is being made then goes back into the queue.

    Args:
        folder: the folder of the store, which is made if it is not there.
        load: gives what makes the videos; called once by each worker, to which it must be possible to send it where
            they are processes.
        host: address to listen on; without keys one of this machine's own.
        port: the port to listen on; 0 takes any that is free.
        workers: that make videos, and where; None: one, which is a thread of this process.
        keys: file of the keys that callers must have.
        request_limits: what a request may ask for.
        store_limits: what the store takes.
        defaults: values for what requests leave out.
        allowed_origins: pages of other servers that may ask.
        on_listening: told the address, and how to stop the server from any thread, once it listens.

    Raises:
        UserInputError: if it cannot listen there, the store is another's, or the model cannot be loaded.
    """
    ring = None if keys is None else KeyRing(keys)
    check_host(host, has_keys=ring is not None)
    with claimed_folder(folder, "jobs of a server"), contextlib.closing(_listen(host, port)) as listening:
        store = JobStore(folder, store_limits)
        with contextlib.closing(store):
            store.set_facts(None)
            again = store.recover()
            store.tidy(at_start=True)
            if again:
                _LOG.info("%d videos that were being made are in the queue again", again)
            server: _Server
            loaded: list[Maker] = []

            def load_once() -> Maker:
                loaded.append(load())
                return loaded[0]

            worker: Worker | WorkerTeam
            if workers is None:
                name = f"worker-{uuid.uuid4().hex}"
                worker = Worker(store, load_once, name=name, on_failure=lambda: server.stop())
            else:
                worker = _hire(workers, store, load, on_failure=lambda: server.stop())
            app = create_app(
                store,
                limits=request_limits,
                defaults=defaults,
                keys=ring,
                state=ServerState(
                    is_stopping=lambda: server.should_exit,
                    has_failed=lambda: worker.failure is not None,
                    workers=worker.census if isinstance(worker, WorkerTeam) else lambda: None,
                ),
                page_help=worker.page_help if isinstance(worker, WorkerTeam) else lambda: next(iter(loaded), None),
                any_host=ring is not None,
                allowed_origins=allowed_origins,
            )
            server = _Server(_config(app))
            worker.start()
            stop_tidying = threading.Event()
            tidying = threading.Thread(target=_tidy, args=(store, stop_tidying), daemon=True)
            tidying.start()
            try:
                on_listening(_address(host, listening.getsockname()[1]), server.stop)
                server.run(sockets=[listening])
            finally:
                stop_tidying.set()
                worker.stop()
                if not worker.join(_SECONDS_TO_STOP):
                    _LOG.warning("The step of a video takes long; it is made again at the next start")
                tidying.join()
            if worker.failure is not None:
                raise worker.failure


def _hire(
    plan: WorkerPlan, store: JobStore, load: Callable[[], Maker], *, on_failure: Callable[[], None]
) -> WorkerTeam:
    if plan.ray_address is None:
        return WorkerProcesses(store, load, number=plan.number or 1, on_failure=on_failure)
    from ingredients.apps.server.ray_workers import RayWorkers

    return RayWorkers(store, load, address=plan.ray_address, number=plan.number, on_failure=on_failure)


class _Server(uvicorn.Server):
    """Ends by itself on a signal, without passing it on to whoever started it; a second one ends it at once."""

    def stop(self) -> None:
        """Ends it, from any thread."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listens to signals while the server runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_HANG_UP,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A socket at an address that nobody else listens on."""
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    # Named as TCP, which asyncio looks at before it switches off the delay of small packets: with it, an answer in two
    # packets waits 40 ms for the caller's acknowledgement of the first.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((bare, port))
        listening.listen(_MOST_WAITING_CONNECTIONS)  # who asks before the app is ready waits a moment
        listening.set_inheritable(False)
    except OSError as error:
        listening.close()
        raise UserInputError(
            f"The server cannot listen on {host}, port {port} ({error.strerror or error}); choose another by --port, "
            "or --port 0 for any that is free."
        ) from error
    return listening


def _address(host: str, port: int) -> str:
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    return f"http://{shown}:{port}"


def _tidy(store: JobStore, stop: threading.Event) -> None:
    while not stop.wait(_SECONDS_BETWEEN_TIDYINGS):
        try:
            store.tidy()
        except Exception:
            _LOG.exception("The store could not be tidied")
