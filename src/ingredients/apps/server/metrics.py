"""Numbers for Prometheus: of requests, counted here, and of jobs, which the store counts over restarts."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingredients.apps.server.worker_team import WorkerCensus
from ingredients.generation.job_store import JobStore

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What is counted of one server."""

    def __init__(self, store: JobStore, *, workers: Callable[[], WorkerCensus | None] = lambda: None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Jobs(store))
        self._registry.register(_Workers(workers))
        self._requests = Counter(
            "ingredients_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "ingredients_request_seconds",
            "Time until a request is answered.",
            ["route", "method"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def count(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Counts a request.

        Args:
            route: as it is declared, with the names of its parameters: there are few.
            method: the method of HTTP.
            status: the status of the answer.
            seconds: until the answer began.
        """
        method = method if method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def text(self) -> bytes:
        """All numbers, as Prometheus reads them."""
        return generate_latest(self._registry)


class _Jobs(Collector):
    """What the store knows, asked for when somebody looks."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """The store's numbers."""
        states = GaugeMetricFamily("ingredients_videos", "Videos in the store.", labels=["status"])
        for state, number in self._store.count_by_state().items():
            states.add_metric([state], number)
        yield states
        counted = self._store.counters()
        ended = CounterMetricFamily("ingredients_videos_ended", "Videos that came to an end.", labels=["status"])
        for state in ("completed", "failed", "cancelled"):
            ended.add_metric([state], counted[state])
        yield ended
        yield CounterMetricFamily("ingredients_videos_accepted", "Videos asked for.", value=counted["accepted"])
        yield CounterMetricFamily(
            "ingredients_making_seconds", "Time that videos took.", value=counted["seconds_making"]
        )
        yield GaugeMetricFamily(
            "ingredients_longest_wait_seconds",
            "Time that the video waits which has waited longest; 0 if none does.",
            value=self._store.longest_wait(),
        )
        yield GaugeMetricFamily(
            "ingredients_disk_free_bytes", "Room on the store's disk.", value=self._store.free_bytes()
        )
        yield GaugeMetricFamily(
            "ingredients_model_loaded", "Whether the model is loaded.", value=float(self._store.facts() is not None)
        )


class _Workers(Collector):
    """How the workers are, asked for when somebody looks."""

    def __init__(self, census: Callable[[], WorkerCensus | None]) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        """The team's numbers; none without a team."""
        census = self._census()
        if census is None:
            return
        workers = GaugeMetricFamily("ingredients_workers", "Workers that live.", labels=["state"])
        workers.add_metric(["ready"], census.ready)
        workers.add_metric(["starting"], census.starting)
        yield workers
        yield CounterMetricFamily("ingredients_workers_replaced", "Workers that died.", value=census.replaced)
