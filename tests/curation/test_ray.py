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

        self.cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.node: Any = self.cluster.add_node(num_cpus=1)

    def kill_node(self) -> None:
        """Kills the second node with all that runs on it, and begins another one."""
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = self.cluster.add_node(num_cpus=1)

    def kill_worker(self, randomly: random.Random, command: subprocess.Popen[bytes]) -> bool:
        """Kills an actor that does our work, as soon as there is one; False if the command ends before."""
        while command.poll() is None:
            found = [
                process
                for process in psutil.process_iter(["name", "cmdline"])
                if any("MapWorker" in part for part in process.info["cmdline"] or ()) and self._is_ours(process)
            ]
            with contextlib.suppress(psutil.Error):
                if found:
                    randomly.choice(found).send_signal(signal.SIGKILL)
                    return True
            time.sleep(0.1)
        return False

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return any(parent.pid == os.getpid() for parent in process.parents())
        return False


@pytest.mark.parametrize("victim", ["driver", "worker", "node"])
def test_whatever_is_killed_the_data_set_is_the_same(
    victim: str,
    films: Path,
    undisturbed: Path,
    tmp_path: Path,
    in_path: None,
    record_property: Callable[[str, object], None],
) -> None:
    nodes, randomly, num_killed = TwoNodes(), random.Random(f"{victim} {TIMES}"), 0
    try:
        for number in range(TIMES):
            output = tmp_path / f"clips-{number}"
            command = [sys.executable, "-m", "ingredients", "curate", str(films), "--output", str(output)]
            command += ["--address", nodes.cluster.address, "--workers", "2", *SETTINGS]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            waits_until = time.monotonic() + 60
            while not (output / ".curation").exists() and time.monotonic() < waits_until:
                time.sleep(0.1)
            time.sleep(randomly.uniform(0, 10))
            if victim == "driver":
                num_killed += process.poll() is None
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            elif victim == "worker":
                num_killed += nodes.kill_worker(randomly, process)
            else:
                num_killed += process.poll() is None
                nodes.kill_node()
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said.decode()[-2000:]
            assert contents(output) == contents(undisturbed)
        record_property(f"{victim} killed while the command worked", num_killed)
        assert num_killed > TIMES / 2
    finally:
        nodes.cluster.shutdown()
