"""Jobs on disk: one SQLite database and a folder for each job, which outlive the process that works on them.

```
STORE/.ingredients.json    what the folder is for
STORE/jobs.sqlite          one row a job (in WAL mode: reading never waits for writing)
STORE/jobs/ID/0.png ...    its photos, as they were given, under numbers
STORE/jobs/ID/video.mp4 ...
STORE/passing-.../         what is needed for a moment
```

What is said to be there is there: photos are on disk before the row of their job, a video before the row says that it
is completed; a row goes before its files. What a killed process leaves is a folder without a row, or a job whose
worker is gone: the next start removes the one, and puts the other back into the queue. Jobs are worked on in the order
in which they came. Several processes may work on one store, for a job is claimed in one statement, and only who holds
the claim can write what became of it.
"""

import contextlib
import dataclasses
import json
import secrets
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ingredients.core.config import config_from_dict, config_to_dict
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import make_folder, remove_leftovers, write_bytes
from ingredients.generation.jobs import JOB_STATES, Job, JobError, JobOutcome, JobPerson, JobPhoto, JobSettings
from ingredients.generation.model_facts import ModelFacts

DATABASE_NAME = "jobs.sqlite"
VERSION = 1

MOST_ATTEMPTS = 10
"""How often a job is begun whose process dies each time, before it is given up: it may be the reason."""

_SECONDS_BUSY = 30.0  # another process's write takes milliseconds
_RECENT_JOBS = 20  # by which the time is guessed that queued ones take
_ORPHAN_SECONDS = 600.0  # a folder without a row may be that of a job which is just being added

_PASSING = "passing-"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  request_key TEXT,
  state TEXT NOT NULL,
  settings TEXT NOT NULL,
  created_at REAL NOT NULL,
  started_at REAL,
  ended_at REAL,
  expires_at REAL,
  worker TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  step INTEGER NOT NULL DEFAULT 0,
  num_steps INTEGER,
  seconds_left REAL,
  outcome TEXT,
  error TEXT,
  UNIQUE (owner, request_key)
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, number);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class QueueFullError(UserInputError):
    """More jobs wait than may."""


class StoreFullError(UserInputError):
    """A disk that has too little room left for another job."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """Somebody who is to appear, before the photos are stored."""

    name: str
    """The name, as given."""

    photos: tuple[tuple[bytes, str], ...]
    """Content of each image file, and the ending that its format has, such as `.png`."""

    faces: tuple[str | None, ...]
    """Which face of each is meant."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """What a store takes."""

    most_queued: int = 200
    """Jobs that may wait at once."""

    most_queued_each: int = 100
    """The same of one owner."""

    least_free_bytes: int = 2**30
    """Room that must be left on the disk for another job to be taken."""

    keep_seconds: float | None = 7 * 86_400.0
    """How long a job is kept after its end; None keeps it until somebody removes it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A part of the list of jobs."""

    jobs: tuple[Job, ...]
    """The jobs, in the order asked for."""

    has_more: bool
    """Whether there are others after them."""


class JobStore:
    """The jobs of a folder; its methods may be called from any thread."""

    def __init__(self, folder: Path, limits: StoreLimits | None = None) -> None:
        """Opens a store, or makes one.

        Args:
            folder: that is known to be ours, or new.
            limits: what it takes.

        Raises:
            UserInputError: if the folder holds a database that is none of ours, or of a later version.
        """
        self.folder = folder
        self.limits = limits or StoreLimits()
        make_folder(folder / "jobs")
        self._lock = threading.RLock()
        self._added = threading.Condition()
        try:
            # Transactions are begun by hand: those that write say so at once, so that none of them fails half-way.
            self._database = sqlite3.connect(
                folder / DATABASE_NAME, timeout=_SECONDS_BUSY, isolation_level=None, check_same_thread=False
            )
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA journal_mode=WAL")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise UserInputError(
                    f"The jobs in {folder} were written by a later version of this program; install that, or name "
                    "another folder."
                )
            self._database.executescript(_SCHEMA)
            self._database.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.Error as error:
            raise UserInputError(
                f"The jobs in {folder / DATABASE_NAME} cannot be read ({error}); move the file away, or name another "
                "folder."
            ) from error

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._database.close()

    # What whoever asks for videos does

    def add(
        self,
        settings: JobSettings,
        people: Sequence[NewPerson],
        *,
        files: Mapping[str, bytes] | None = None,
        owner: str = "",
        request_key: str | None = None,
    ) -> Job:
        """Takes a job: it will be done, whatever happens to this process from now on.

        Args:
            settings: what is to be made; `people` take the place of those in it.
            people: with the photos, which are known to be images.
            files: others that the job needs, by names of ours.
            owner: whose it is.
            request_key: chosen by the owner; a second job with the same is not added, and the first one returned.

        Raises:
            QueueFullError: if too many wait already.
            StoreFullError: if the disk has too little room left.
        """
        if known := self.asked_before(owner, request_key):
            return known
        self.check_room(owner)
        job_id = f"video_{secrets.token_hex(12)}"
        folder = self.folder_of(job_id)
        make_folder(folder)
        try:
            stored = tuple(_store_photos(folder, people))
            for name, content in (files or {}).items():
                _store(folder / name, content)
            settings = dataclasses.replace(settings, people=stored)
            with self._transaction() as execute:
                self._check_queue(owner)
                execute(
                    "INSERT INTO jobs (id, owner, request_key, state, settings, created_at) "
                    "VALUES (?, ?, ?, 'queued', ?, ?)",
                    (job_id, owner, request_key, _to_json(settings), time.time()),
                )
                self._count("accepted")
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, sqlite3.IntegrityError) and request_key is not None:  # sent twice at once
                known = self.asked_before(owner, request_key)
                assert known is not None
                return known
            raise
        with self._added:
            self._added.notify_all()
        job = self.get(job_id)
        assert job is not None
        return job

    def asked_before(self, owner: str, request_key: str | None) -> Job | None:
        """The job that an owner asked for with a key of this request; None if there is none, or no key."""
        return None if request_key is None else self._find("owner=? AND request_key=?", owner, request_key)

    def check_room(self, owner: str = "") -> None:
        """Says whether another job could be taken.

        Raises:
            QueueFullError: if too many wait already.
            StoreFullError: if the disk has too little room left.
        """
        self._check_queue(owner)
        self.check_disk()

    def check_disk(self) -> None:
        """Says whether there is room for another video, also for one that nobody keeps.

        Raises:
            StoreFullError: if the disk has too little room left.
        """
        if self.free_bytes() < self.limits.least_free_bytes:
            raise StoreFullError(
                "The server's disk is nearly full, so it takes no videos now; remove some that are done, or try "
                "again later."
            )

    def get(self, job_id: str, *, owner: str | None = None) -> Job | None:
        """A job; None if there is none of the name, or it is somebody else's.

        Args:
            job_id: the id of the job.
            owner: whose it must be; None takes anybody's.
        """
        return self._find("id=? AND owner=?", job_id, owner) if owner is not None else self._find("id=?", job_id)

    def page(
        self,
        *,
        owner: str | None = None,
        after: str | None = None,
        limit: int = 20,
        newest_first: bool = True,
        states: Sequence[str] = JOB_STATES,
    ) -> JobPage:
        """A part of the list of jobs.

        Args:
            owner: whose; None takes everybody's.
            after: job after which the part begins; None begins with the first.
            limit: jobs at most.
            newest_first: whether the newest come first.
            states: those that are listed.
        """
        conditions, values = [f"state IN ({', '.join('?' * len(states))})"], list[Any](states)
        if owner is not None:
            conditions.append("owner=?")
            values.append(owner)
        if after is not None:
            conditions.append(f"number {'<' if newest_first else '>'} (SELECT number FROM jobs WHERE id=?)")
            values.append(after)
        order = "DESC" if newest_first else "ASC"
        rows = self._rows(f"WHERE {' AND '.join(conditions)} ORDER BY number {order} LIMIT {limit + 1}", *values)
        return JobPage(jobs=tuple(self._with_place(row) for row in rows[:limit]), has_more=len(rows) > limit)

    def cancel(self, job_id: str, *, owner: str | None = None) -> Job | None:
        """Ends a job that is queued or in progress; its worker takes note at the next step.

        Returns:
            The job as it is then; None as `get`.
        """
        with self._transaction() as execute:
            changed = execute(
                "UPDATE jobs SET state='cancelled', worker=NULL, seconds_left=NULL, ended_at=?, expires_at=? "
                "WHERE id=? AND owner=ifnull(?, owner) AND state IN ('queued', 'in_progress')",
                (*self._end(), job_id, owner),
            ).rowcount
            if changed:
                self._count("cancelled")
        return self.get(job_id, owner=owner)

    def remove(self, job_id: str, *, owner: str | None = None) -> bool:
        """Cancels a job if it has not ended, and removes it and all of its files.

        Returns:
            Whether there was one.
        """
        self.cancel(job_id, owner=owner)
        with self._transaction() as execute:
            removed = execute("DELETE FROM jobs WHERE id=? AND owner=ifnull(?, owner)", (job_id, owner)).rowcount
        if removed:
            shutil.rmtree(self.folder_of(job_id), ignore_errors=True)
        return bool(removed)

    def folder_of(self, job_id: str) -> Path:
        """Where the files of a job are."""
        return self.folder / "jobs" / job_id

    # What workers do

    def claim(self, worker: str) -> Job | None:
        """Gives the job that has waited longest to a worker, and to no other one; None if none waits."""
        with self._transaction() as execute:
            row = execute(
                "UPDATE jobs SET state='in_progress', worker=?, started_at=?, attempts=attempts+1, step=0, "
                "num_steps=NULL, seconds_left=NULL "
                "WHERE number=(SELECT number FROM jobs WHERE state='queued' ORDER BY number LIMIT 1) RETURNING *",
                (worker, time.time()),
            ).fetchone()
        return None if row is None else _to_job(row)

    def wait(self, seconds: float) -> None:
        """Waits until this process adds a job, or so long: another process may add one, too."""
        with self._added:
            self._added.wait(seconds)

    def wake(self) -> None:
        """Ends `wait`."""
        with self._added:
            self._added.notify_all()

    def holds(self, job_id: str, worker: str) -> bool:
        """Whether a worker's claim still stands: nobody has cancelled the job."""
        with self._lock:
            found = self._database.execute("SELECT 1 FROM jobs WHERE id=? AND worker=?", (job_id, worker))
            return found.fetchone() is not None

    def note_step(self, job_id: str, worker: str, *, step: int, num_steps: int, seconds_left: float) -> None:
        """Says how far a worker is; this alone need not outlive a power cut."""
        with self._transaction(durable=False) as execute:
            execute(
                "UPDATE jobs SET step=?, num_steps=?, seconds_left=? WHERE id=? AND worker=?",
                (step, num_steps, seconds_left, job_id, worker),
            )

    def complete(self, job_id: str, worker: str, outcome: JobOutcome) -> bool:
        """Says what a worker made, whose files are in the folder of the job; False if its claim no longer stands."""
        return self._finish(job_id, worker, "completed", outcome=_to_json(outcome), seconds=outcome.seconds_taken)

    def fail(self, job_id: str, worker: str, error: JobError) -> bool:
        """Says why a worker made nothing; False if its claim no longer stands."""
        return self._finish(job_id, worker, "failed", error=_to_json(error))

    def give_back(self, job_id: str, worker: str) -> None:
        """Puts a job back into its place in the queue, for its worker has to stop; that counts as no attempt."""
        with self._transaction() as execute:
            execute(
                "UPDATE jobs SET state='queued', worker=NULL, step=0, num_steps=NULL, seconds_left=NULL, "
                "attempts=attempts-1 WHERE id=? AND worker=?",
                (job_id, worker),
            )

    def recover(self, workers: Sequence[str] | None = None) -> int:
        """Puts jobs back into the queue whose workers are gone, and gives up those that were begun too often.

        Args:
            workers: that are gone; None: all, for no process works on the store.

        Returns:
            How many are in the queue again.
        """
        gone = "" if workers is None else f"AND worker IN ({', '.join('?' * len(workers))})"
        named = list[Any](workers or ())
        error = JobError(
            code="gave_up",
            message=f"The server ended {MOST_ATTEMPTS} times while it made this video, so it does not try again; make "
            "it smaller or shorter, or tell the operator.",
        )
        with self._transaction() as execute:
            failed = execute(
                "UPDATE jobs SET state='failed', worker=NULL, error=?, ended_at=?, expires_at=?, seconds_left=NULL "
                f"WHERE state='in_progress' AND attempts>={MOST_ATTEMPTS} {gone}",
                (_to_json(error), *self._end(), *named),
            ).rowcount
            if failed:
                self._count("failed", failed)
            again: int = execute(
                "UPDATE jobs SET state='queued', worker=NULL, step=0, num_steps=NULL, seconds_left=NULL "
                f"WHERE state='in_progress' {gone}",
                named,
            ).rowcount
        return again

    def passing_folder(self) -> "tempfile.TemporaryDirectory[str]":
        """An empty folder for what nobody keeps; whoever takes it cleans it up, or else the next start does."""
        return tempfile.TemporaryDirectory(prefix=_PASSING, dir=self.folder)

    # What whoever runs the server does

    def tidy(self, *, at_start: bool = False) -> int:
        """Removes jobs that have expired, and files that belong to no job.

        Args:
            at_start: whether no other process can be adding a job.

        Returns:
            How many jobs were removed.
        """
        with self._lock:
            expired = [
                row["id"] for row in self._database.execute("SELECT id FROM jobs WHERE expires_at < ?", (time.time(),))
            ]
        for job_id in expired:
            self.remove(job_id)
        with self._lock:
            known = {row["id"] for row in self._database.execute("SELECT id FROM jobs")}
        for folder in (self.folder / "jobs").iterdir():
            if folder.name not in known:
                with contextlib.suppress(FileNotFoundError):
                    if at_start or time.time() - folder.stat().st_mtime > _ORPHAN_SECONDS:
                        shutil.rmtree(folder, ignore_errors=True)
            elif at_start:
                remove_leftovers(folder)
        for folder in self.folder.glob(f"{_PASSING}*") if at_start else ():
            shutil.rmtree(folder, ignore_errors=True)
        return len(expired)

    def count_by_state(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        with self._lock:
            rows = self._database.execute("SELECT state, count(*) AS number FROM jobs GROUP BY state").fetchall()
        return dict.fromkeys(JOB_STATES, 0) | {row["state"]: row["number"] for row in rows}

    def longest_wait(self) -> float:
        """Seconds since the oldest job in the queue was asked for; 0 if none waits."""
        with self._lock:
            (first,) = self._database.execute("SELECT min(created_at) FROM jobs WHERE state = 'queued'").fetchone()
        return 0.0 if first is None else max(0.0, time.time() - first)

    def counters(self) -> dict[str, float]:
        """What was counted since the store was made: jobs `accepted`, `completed`, ..., and `seconds_making`."""
        with self._lock:
            rows = self._database.execute("SELECT name, value FROM counters").fetchall()
        names = ("accepted", "completed", "failed", "cancelled", "seconds_making")
        return dict.fromkeys(names, 0.0) | {row["name"]: row["value"] for row in rows}

    def free_bytes(self) -> int:
        """Room on the disk."""
        return shutil.disk_usage(self.folder).free

    def set_facts(self, facts: ModelFacts | None) -> None:
        """Says which model the workers have; None: none yet."""
        with self._transaction() as execute:
            if facts is None:
                execute("DELETE FROM facts", ())
            else:
                execute("REPLACE INTO facts VALUES ('model', ?)", (json.dumps(facts.to_plain(), allow_nan=False),))

    def facts(self) -> ModelFacts | None:
        """The model that the workers have; None until it is loaded."""
        with self._lock:
            row = self._database.execute("SELECT value FROM facts WHERE name='model'").fetchone()
        return None if row is None else ModelFacts.from_plain(json.loads(row["value"]))

    # How

    def _finish(
        self,
        job_id: str,
        worker: str,
        state: Literal["completed", "failed"],
        *,
        outcome: str | None = None,
        error: str | None = None,
        seconds: float = 0.0,
    ) -> bool:
        with self._transaction() as execute:
            is_held = execute(
                "UPDATE jobs SET state=?, worker=NULL, outcome=?, error=?, seconds_left=NULL, "
                "ended_at=?, expires_at=? WHERE id=? AND worker=?",
                (state, outcome, error, *self._end(), job_id, worker),
            ).rowcount
            if is_held:
                self._count(state)
                self._count("seconds_making", seconds)
        return bool(is_held)

    def _end(self) -> tuple[float, float | None]:
        """When a job ends now, and when it expires then."""
        now, keep = time.time(), self.limits.keep_seconds
        return now, None if keep is None else now + keep

    def _check_queue(self, owner: str) -> None:
        with self._lock:
            queued, own = self._database.execute(
                "SELECT count(*), ifnull(sum(owner=?), 0) FROM jobs WHERE state='queued'", (owner,)
            ).fetchone()
        if queued >= self.limits.most_queued or own >= self.limits.most_queued_each:
            number, most = (
                (queued, self.limits.most_queued)
                if queued >= self.limits.most_queued
                else (own, self.limits.most_queued_each)
            )
            raise QueueFullError(
                f"{number} videos wait already, and the server lets {most} wait; try again when some of them are done."
            )

    def _count(self, name: str, number: float = 1) -> None:
        """Adds to a counter, in the transaction that is open."""
        self._database.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value=value+excluded.value",
            (name, number),
        )

    def _find(self, condition: str, *values: Any) -> Job | None:
        rows = self._rows(f"WHERE {condition}", *values)
        return self._with_place(rows[0]) if rows else None

    def _rows(self, rest: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._database.execute(f"SELECT * FROM jobs {rest}", values).fetchall()

    def _with_place(self, row: sqlite3.Row) -> Job:
        """A job; if it is queued, with its place and a guess of the time left."""
        job = _to_job(row)
        if job.state != "queued":
            return job
        with self._lock:
            (before,) = self._database.execute(
                "SELECT count(*) FROM jobs WHERE state='queued' AND number<?", (row["number"],)
            ).fetchone()
            (of_one,) = self._database.execute(
                "SELECT avg(ended_at - started_at) FROM (SELECT ended_at, started_at FROM jobs "
                f"WHERE state='completed' ORDER BY number DESC LIMIT {_RECENT_JOBS})"
            ).fetchone()
            workers, running = self._database.execute(
                "SELECT count(DISTINCT worker), ifnull(sum(seconds_left), 0) FROM jobs WHERE state='in_progress'"
            ).fetchone()
        left = None if of_one is None else (running + of_one * (before + 1)) / max(workers, 1)
        return dataclasses.replace(job, place=before + 1, seconds_left=left)

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[Any]:
        """Gives `execute` of a transaction that writes, which is on disk when the block has ended well.

        Raises:
            StoreFullError: if the disk is full.
        """
        with self._lock:
            self._database.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database.execute
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.OperationalError as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                if "full" in str(error):
                    raise StoreFullError("The server's disk is full; try again when there is room.") from error
                raise


def _store_photos(folder: Path, people: Sequence[NewPerson]) -> Iterator[JobPerson]:
    number = 0
    for person in people:
        photos = []
        for (content, suffix), face in zip(person.photos, person.faces, strict=True):
            file = f"{number}{suffix}"
            _store(folder / file, content)
            photos.append(JobPhoto(file=file, face=face))
            number += 1
        yield JobPerson(name=person.name, photos=tuple(photos))


def _store(path: Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OutputError as error:
        raise StoreFullError("The server's disk is full; try again when there is room.") from error


def _to_json(record: Any) -> str:
    return json.dumps(config_to_dict(record), allow_nan=False)


def _to_job(row: sqlite3.Row) -> Job:
    outcome, error = row["outcome"], row["error"]
    return Job(
        id=row["id"],
        owner=row["owner"],
        state=row["state"],
        settings=config_from_dict(JobSettings, json.loads(row["settings"])),
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        expires_at=row["expires_at"],
        step=row["step"],
        num_steps=row["num_steps"],
        seconds_left=row["seconds_left"],
        outcome=None if outcome is None else config_from_dict(JobOutcome, json.loads(outcome)),
        error=None if error is None else config_from_dict(JobError, json.loads(error)),
    )
