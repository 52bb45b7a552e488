"""Any order of listings, claims, beats, endings, expiries, re-uploads, cancels, recoveries and requests for more keeps
the ledger's promises, and no status ever follows another that the state machine does not let it follow."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from tests.ledger.conftest import empty
from tests.ledger.samples import MEETING, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, recovery, requests, transcripts
from transcribe_pipeline.ledger.backlog import mark_queued, next_requests
from transcribe_pipeline.ledger.files import FileView, list_files, register
from transcribe_pipeline.ledger.leases import Claim, complete, fail, heartbeat
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.recovery import Act, Suspect
from transcribe_pipeline.ledger.states import AT_WORK, NEXT

ACT = Act("a cause", "an action", "test", {})
ACTS: dict[Status, Callable[[Engine, Suspect, Act], bool]] = {
    Status.PENDING: partial(recovery.go_again, resume_from="transcription"),
    Status.COMPLETED: recovery.finish,
    Status.CANCELLED: recovery.cancel,
    Status.ORPHANED: recovery.orphan,
    Status.QUARANTINED: recovery.quarantine,
}
"""What recovery makes of a file."""
RUNS = st.sampled_from(["run-1", "run-2", "run-3"])


def _machine(engine: Engine) -> type[RuleBasedStateMachine]:
    class Ledger(RuleBasedStateMachine):
        """The model: which run the ledger must think the holder, and the claims that runs believe they have."""

        @initialize()
        def begin(self) -> None:
            empty(engine)
            register(engine, [upload()], settle_seconds=0)
            self.contents = 1
            self.holder: Claim | None = None
            self.expired = False
            self.claims: dict[str, Claim] = {}
            self.suspect: Suspect | None = None
            self.before = self.file()

        def file(self) -> FileView:
            (file,) = list_files(engine)
            return file

        @rule()
        def request(self) -> None:
            mark_queued(engine, next_requests(engine, 1))
            assert self.file().status == (Status.QUEUED if self.before.status == Status.PENDING else self.before.status)

        @rule(run=RUNS)
        def claim(self, run: str) -> None:
            free = self.holder is None or self.expired or self.holder.run_id == run
            # A run that has ended the file comes to its later stages all the same.
            returns = self.before.run_id == run
            try:
                self.claims[run] = self.holder = take(engine, run)
            except PipelineError as error:
                refusal = error.code
            else:
                refusal = None
                self.expired = False
            if self.before.status == Status.CANCELLING or (self.before.status == Status.CANCELLED and returns):
                assert refusal == ErrorCode.CANCELLED
            elif returns and self.before.status in (Status.ERROR, Status.ORPHANED, Status.QUARANTINED):
                assert refusal == ErrorCode.LEASE_LOST
            else:
                assert refusal == (None if free else ErrorCode.LEASE_HELD)

        @rule(run=RUNS, progress=st.floats(0, 1))
        def beat(self, run: str, progress: float) -> None:
            heard: list[bool] = []
            if self.write(run, lambda claim: heard.append(heartbeat(engine, claim, progress=progress))):
                self.expired = False
                assert heard == [self.before.status != Status.CANCELLING]

        @rule(run=RUNS, words=st.sampled_from(["One", "Two"]))
        def save(self, run: str, words: str) -> None:
            value = transcript(1, words_each=2, first_word=words)
            self.write(run, lambda claim: transcripts.save(engine, claim, value, artifact_key="k", provenance={}))

        @rule(run=RUNS)
        def finish(self, run: str) -> None:
            self.end(run, lambda claim: complete(engine, claim), Status.COMPLETED)

        @rule(run=RUNS, final=st.booleans())
        def give_up(self, run: str, final: bool) -> None:
            error, status = PipelineError(ErrorCode.STORE_UNAVAILABLE), Status.ERROR if final else Status.QUEUED
            if not final and self.before.status in (Status.CANCELLING, Status.CANCELLED):
                status = Status.CANCELLED
            self.end(run, lambda claim: fail(engine, claim, error, final=final), status)

        @rule()
        def cancel(self) -> None:
            requests.cancel(engine, MEETING, actor="test")
            after = {Status.PENDING: Status.CANCELLED, Status.QUEUED: Status.CANCELLED}
            after |= {Status.PROCESSING: Status.CANCELLING}
            assert self.file().status == after.get(self.before.status, self.before.status)

        @rule()
        def reprocess(self) -> None:
            requests.request_again(engine, [MEETING], {}, actor="test")
            assert self.file().generation == self.before.generation + (self.before.status != Status.PENDING)
            self.holder = None

        @rule()
        def look(self) -> None:
            self.suspect = self.found() or self.suspect

        @rule(status=st.sampled_from(list(ACTS)))
        def recover(self, status: Status) -> None:
            """Perhaps long after the look: then nothing may happen."""
            seen = self.suspect
            if seen is None:
                return
            goes_by = Status.PROCESSING if status is Status.COMPLETED else status
            if status is Status.CANCELLED and seen.ended_as:
                status = goes_by = seen.ended_as
            legal = status is Status.PENDING or goes_by is seen.status or goes_by in NEXT[seen.status]
            is_as_seen = self.found() == seen
            act = ACTS[status] if status in ACTS and not seen.ended_as else partial(recovery.give_back, ended_as=status)
            acted = act(engine, seen, ACT)
            assert acted == (is_as_seen and legal)
            if acted:
                self.holder = None
                assert self.file().status is status

        def found(self) -> Suspect | None:
            found = recovery.suspects(engine, 1, lease_seconds=90, unanswered_seconds=0, max_tries=3, only=[MEETING])
            return found[0] if found else None

        @rule()
        def time_passes(self) -> None:
            with engine.begin() as connection:
                connection.execute(text("UPDATE media_file SET lease_until = lease_until - 1000000"))
            self.expired = True

        @rule()
        def upload_again(self) -> None:
            untouched = self.before.status == Status.PENDING
            self.contents += 1
            register(engine, [upload(etag=f"e{self.contents}")], settle_seconds=0)
            assert self.file().generation == self.before.generation + (not untouched)
            self.holder = None

        def end(self, run: str, action, status: Status) -> None:
            claim = self.claims.get(run)
            repeated = (
                self.holder is None
                and claim is not None
                and (self.before.generation, self.before.run_id, self.before.status) == (claim.generation, run, status)
            )
            if repeated:
                action(claim)
                assert self.file() == self.before
            elif self.write(run, action):
                self.holder = None
                assert self.file().status == status

        def write(self, run: str, action) -> bool:
            """Try a write under the claim that the run believes to have: it must work exactly for the holder."""
            claim = self.claims.get(run)
            if claim is None:
                return False
            holds = self.holder is not None and (self.holder.run_id, self.holder.generation) == (run, claim.generation)
            try:
                action(claim)
            except PipelineError as error:
                refusal = error.code
            else:
                refusal = None
            assert refusal == (None if holds else ErrorCode.LEASE_LOST)
            assert holds or self.file() == self.before
            return holds

        @invariant()
        def promises(self) -> None:
            file, before = self.file(), self.before
            assert file.generation >= before.generation
            if file.generation == before.generation:
                assert file.progress >= before.progress
                assert file.attempts >= before.attempts
                legal = {before.status} | NEXT[before.status]
                assert file.status in legal | set().union(*(NEXT[status] for status in legal & {Status.PROCESSING}))
            assert (file.status in AT_WORK) == (self.holder is not None)
            with engine.connect() as connection:
                lease = connection.execute(text("SELECT lease_owner FROM media_file")).scalar_one()
            assert lease == (self.holder.run_id if self.holder else None)
            versions = transcripts.versions(engine, MEETING)
            assert [each.version for each in versions] == list(range(1, len(versions) + 1))
            assert len({each.digest for each in versions}) == len(versions) <= 2
            assert sum(each.is_current for each in versions) == min(len(versions), 1)
            told = [(each.generation, each.kind) for each in events.pending(engine, 1000)]
            assert len(told) == len(set(told))
            self.before = file

    return Ledger


@pytest.mark.timeout(300)
def test_any_order_of_events(engine: Engine):
    run_state_machine_as_test(
        _machine(engine),
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
