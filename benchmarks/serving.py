"""What the server bears: many clients at once, a killed process, requests that no server should take.

On this machine alone, at addresses of the loopback; each part ends by itself and says what it counted.

    python -m benchmarks.serving load      # 50 clients, 200 videos of a tiny model
    python -m benchmarks.serving kill      # 30 times SIGKILL
    python -m benchmarks.serving refuse    # 300 bad requests
"""

import argparse
import functools
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
from tests.apps.server.killing import kill_again_and_again
from tests.apps.server.listening import listening
from tests.fuzz.bad_requests import bad_requests, good_body
from tests.generation.hand_maker import HandMaker

from ingredients.apps.server.log import log_to_standard_error
from ingredients.apps.server.settings import RequestLimits
from ingredients.generation.job_store import JobStore

SECONDS_BETWEEN_LOOKS = 0.1
NUM_IDLE_CALLS = 200
"""Calls before there is a video, which show what the machine alone makes of them."""


def load(folder: Path, *, num_clients: int, num_videos: int, num_steps: int) -> None:
    """Clients ask for videos of a tiny model with random weights, while others look at records all the time."""
    model, store = folder / "model", folder / "store"
    make = (
        "import sys, pathlib; from tests.apps.tiny_model import save_tiny_model; save_tiny_model(pathlib.Path({!r}))"
    )
    subprocess.run([sys.executable, "-c", make.format(str(model))], check=True)
    limits = ["--most-queued", "1000", "--most-queued-each", "1000", "--requests-per-minute", "100000"]
    command = [
        sys.executable,
        "-m",
        "ingredients",
        "serve",
        "--port",
        "0",
        "--model",
        model,
        "--store",
        store,
        *limits,
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with httpx.Client(base_url=address, timeout=60) as client:
            while client.get("/healthz").json()["status"] != "ok":
                time.sleep(0.2)
            _load(address, client, psutil.Process(server.pid), num_clients, num_videos, num_steps)
    finally:
        server.terminate()
        server.wait()
    _check_order(JobStore(store), num_videos)


def _load(
    address: str, client: httpx.Client, process: psutil.Process, num_clients: int, num_videos: int, num_steps: int
) -> None:
    body = good_body() | {"num_inference_steps": num_steps}
    ids: list[str] = []
    lock, done = threading.Lock(), threading.Event()
    answers: list[float] = []
    empty: list[float] = []  # calls of the same moments that ask for nothing

    def ask(_: int) -> None:
        with httpx.Client(base_url=address, timeout=300) as own:
            for _ in range(num_videos // num_clients):
                answer = own.post("/v1/videos", json=body)
                assert answer.status_code == 200, answer.text
                with lock:
                    ids.append(answer.json()["id"])

    def look() -> None:
        with httpx.Client(base_url=address, timeout=60) as own:
            while not done.is_set():
                if ids:
                    ask_for = functools.partial(own.get, f"/v1/videos/{ids[len(answers) % len(ids)]}")
                    answers.append(_seconds(ask_for))
                    empty.append(_seconds(functools.partial(own.get, "/healthz")))
                time.sleep(SECONDS_BETWEEN_LOOKS)

    idle = [_seconds(lambda: client.get("/v1/videos")) for _ in range(NUM_IDLE_CALLS)]
    print(f"calls before: {_in_words(idle)}")
    started = time.monotonic()
    with ThreadPoolExecutor(num_clients) as threads:
        list(threads.map(ask, range(num_clients)))
    print(f"{len(ids)} videos accepted from {num_clients} clients in {time.monotonic() - started:.1f} s")
    looking = threading.Thread(target=look)
    looking.start()
    memory: list[tuple[int, float]] = []
    while (num_done := _num_completed(client)) < num_videos:
        if not memory or num_done >= memory[-1][0] + num_videos // 10:
            memory.append((num_done, _memory(process)))
        time.sleep(0.5)
    memory.append((num_done, _memory(process)))
    done.set()
    looking.join()
    seconds = time.monotonic() - started
    print(f"all completed after {seconds:.0f} s, {seconds / num_videos:.2f} s each")
    print(f"status calls while videos are made: {_in_words(answers)}")
    print(f"calls of /healthz between them: {_in_words(empty)}")
    print(f"processor time: server {_processor(process)}, workers {_processor(*process.children(recursive=True))}")
    print("memory: " + ", ".join(f"{rss:.0f} MiB after {number}" for number, rss in memory))


def _memory(process: psutil.Process) -> float:
    """Of a process and all that it started, in MiB."""
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 2**20


def _processor(*processes: psutil.Process) -> str:
    times = [each.cpu_times() for each in processes]
    return f"{sum(each.user + each.system for each in times):.1f} s"


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _in_words(seconds: list[float]) -> str:
    quantiles = [1e3 * each for each in statistics.quantiles(seconds, n=100)]
    largest = 1e3 * max(seconds)
    return f"{len(seconds)}, median {quantiles[49]:.0f} ms, p95 {quantiles[94]:.0f} ms, largest {largest:.0f} ms"


def _num_completed(client: httpx.Client) -> int:
    text = client.get("/metrics").text
    return int(float(text.partition('ingredients_videos{status="completed"} ')[2].split()[0]))


def _check_order(store: JobStore, num_videos: int) -> None:
    rows = store._database.execute("SELECT started_at, attempts, state FROM jobs ORDER BY number").fetchall()
    starts = [row["started_at"] for row in rows]
    print(
        f"lost: {num_videos - len(rows)}, made twice: {sum(row['attempts'] != 1 for row in rows)}, "
        f"order kept: {starts == sorted(starts)}, completed: {sum(row['state'] == 'completed' for row in rows)}"
    )


def kill(folder: Path, *, num_kills: int, seed: int) -> None:
    """Kills a server at random moments."""
    started = time.monotonic()
    report = kill_again_and_again(folder, num_kills=num_kills, seed=seed)
    print(f"{report} in {time.monotonic() - started:.0f} s")


def refuse(folder: Path, *, num_requests: int, seed: int) -> None:
    """Sends bad requests to a server, and counts what it answers."""
    statuses: dict[int, int] = {}
    log_to_standard_error()
    limits = RequestLimits(requests_per_minute=10**6)
    with (
        listening(folder / "store", HandMaker(), request_limits=limits) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        before = _files(folder)
        for number, bad in enumerate(itertools.islice(bad_requests(seed), num_requests)):
            answer = client.post("/v1/videos", content=bad.content, headers=bad.headers)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if not 400 <= answer.status_code < 500 or not answer.json()["error"]["message"].endswith("."):
                print(f"request {number} of seed {seed}: {bad.what}: {answer.status_code} {answer.text[:300]}")
        print(f"{num_requests} bad requests: {dict(sorted(statuses.items()))}")
        print(f"files written: {len(_files(folder) - before)}")


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def main() -> None:
    """Runs one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("load", "kill", "refuse"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.part == "load":
            load(folder, num_clients=options.clients, num_videos=options.videos, num_steps=options.steps)
        elif options.part == "kill":
            kill(folder, num_kills=options.kills, seed=options.seed)
        else:
            refuse(folder, num_requests=options.requests, seed=options.seed)


if __name__ == "__main__":
    main()
