"""Ray does the same work: the same rows, whatever is killed, and whenever."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import UserInputError
from ingredients.core.ray_cluster import LOCAL
from ingredients.curation.config import CurationConfig
from ingredients.curation.engine import curate
from ingredients.curation.ray_pool import RayPool
from ingredients.curation.sources import find_sources
from ingredients.curation.workers import WorkerCrashedError
from ingredients.curation.write import write_data_set
from tests.curation.films import SETTINGS, shot, write_film
from tests.curation.killed_work import die_always, die_once
from tests.curation.test_engine import Watcher
from tests.curation.test_interruption import contents, nothing

pytestmark = pytest.mark.slow
pytest.importorskip("ray")

TIMES = int(os.environ.get("RAY_KILLS", "3"))
"""How often each of driver, worker and node is killed."""

MOST_OF_ONE = 2
"""Kills while one data set is made: a source that ends its actor three times is given up."""

LONGEST = 600
"""Seconds after which a command stands still."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short films."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(4):
        write_film(folder / f"{number}.mp4", [shot(2 * number), shot(2 * number + 1, 55)])
    return folder


@pytest.fixture(scope="module")
def in_path() -> Iterator[None]:
    """Other processes find this package and these tests."""
    before = os.environ.get("PYTHONPATH")
    root = Path(__file__).parents[2]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root / "src"), str(root)])
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def test_ray_makes_the_same_and_gives_up_what_always_kills(
    films: Path, undisturbed: Path, tmp_path: Path, in_path: None
) -> None:
    with RayPool(address=LOCAL, num_workers=2) as pool:
        config = load_config(CurationConfig, overrides=SETTINGS)
        output = tmp_path / "clips"
        output.mkdir()
        curated = curate(find_sources([films]), config, output / ".curation", watcher=Watcher(), pool=pool)
        write_data_set(output, curated)
        assert contents(output) == contents(undisturbed)

        told: list[tuple[str, float]] = []
        folders = [tmp_path / name for name in ("a", "b", "c")]
        for folder in folders:
            folder.mkdir()
        done = pool.do_all(die_once, folders, on_done=lambda step, amount: told.append((step, amount)), is_heavy=False)
        assert dict(done) == {0: "a", 1: "b", 2: "c"}
        assert told.count(("begun", 1)) >= 3
        bad = [tmp_path / name for name in ("a", "bad", "wrong")]
        outcomes = dict(pool.do_all(die_always, bad, on_done=nothing, is_heavy=True))
        assert outcomes[0] == "a"
        assert isinstance(outcomes[1], WorkerCrashedError)
        assert isinstance(outcomes[2], UserInputError)
        with pytest.raises(RuntimeError, match="TypeError"):
            list(pool.do_all(die_once, ["no path"], on_done=nothing, is_heavy=False))


def test_where_no_cluster_is_one_is_told_what_to_do() -> None:
    with pytest.raises(UserInputError, match="ray start --head"), RayPool(address="127.0.0.1:1"):
        pass


class TwoNodes:
    """A cluster of two nodes on this machine, of which the second may be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        # Ray's workers have a niceness of 15, at which anything else on the core leaves them a thirtieth of it.
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.node: Any = self.cluster.add_node(num_cpus=1)

    def kill_node(self) -> None:
        """Kills the second node with all that runs on it, and begins another one."""
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = self.cluster.add_node(num_cpus=1)

    def kill_worker(self, randomly: random.Random, command: subprocess.Popen[bytes]) -> bool:
        """Kills an actor that does our work, as soon as there is one; False if the command ends before."""
        while command.poll() is None:
            found = [process for process in psutil.Process().children(recursive=True) if _is_worker(process)]
            with contextlib.suppress(psutil.Error):
                if found:
                    randomly.choice(found).send_signal(signal.SIGKILL)
                    return True
            time.sleep(0.1)
        return False


def _is_worker(process: psutil.Process) -> bool:
    """Whether a process is an actor of Ray Data's that maps rows; Ray calls processes by what they are at."""
    with contextlib.suppress(psutil.Error):
        return any("MapWorker" in part for part in process.cmdline())
    return False


@pytest.fixture(scope="module")
def nodes(in_path: None) -> Iterator[TwoNodes]:
    """One cluster for all commands: it costs more than they do."""
    cluster = TwoNodes()
    try:
        yield cluster
    finally:
        cluster.cluster.shutdown()


def ended(process: subprocess.Popen[bytes], said: Path) -> str:
    """What a command said that ends well; where it does not end, it says where each of its threads is."""
    try:
        process.wait(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # which `-X faulthandler` answers
        process.wait()
    text = said.read_text()
    assert process.returncode == 0, text[-8000:]
    return text


@pytest.mark.parametrize("victim", ["driver", "worker", "node"])
def test_whatever_is_killed_the_data_set_is_the_same(
    victim: str,
    films: Path,
    undisturbed: Path,
    tmp_path: Path,
    nodes: TwoNodes,
    record_property: Callable[[str, object], None],
) -> None:
    randomly, killed, seconds = random.Random(f"{victim} {TIMES}"), [], []

    def begin(output: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-X", "faulthandler", "-m", "ingredients", "curate", str(films)]
        command += ["--output", str(output), "--address", nodes.cluster.address, "--workers", "2", *SETTINGS]
        with (tmp_path / "said.txt").open("wb") as said:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)

    while len(killed) < TIMES:
        assert len(seconds) <= 2 * TIMES, "commands end before they are killed"
        output, begun = tmp_path / f"clips-{len(seconds)}", time.monotonic()
        process = begin(output)
        is_whole = not seconds  # the first one is left alone, and says how long one takes
        for _ in range(0 if is_whole else min(MOST_OF_ONE, TIMES - len(killed))):
            waited = randomly.uniform(0, seconds[0] / MOST_OF_ONE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=waited)
            if victim == "driver":
                is_killed = process.poll() is None
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = begin(output)
            elif victim == "worker":
                is_killed = nodes.kill_worker(randomly, process)
            else:
                is_killed = process.poll() is None
                nodes.kill_node()
            if is_killed:
                killed.append(round(time.monotonic() - begun, 1))
        ended(process, tmp_path / "said.txt")
        seconds.append(round(time.monotonic() - begun, 1))
        assert contents(output) == contents(undisturbed)
    record_property(f"{victim} killed after seconds", killed)
    record_property(f"{victim} seconds of each run", seconds)
