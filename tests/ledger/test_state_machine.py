"""Any order of listings, claims, beats, endings, expiries and re-uploads keeps the ledger's promises."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from tests.ledger.conftest import empty
from tests.ledger.samples import MEETING, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, transcripts
from transcribe_pipeline.ledger.files import FileView, list_files, register
from transcribe_pipeline.ledger.leases import Claim, complete, fail, heartbeat
from transcribe_pipeline.ledger.models import Status

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
            self.before = self.file()

        def file(self) -> FileView:
            (file,) = list_files(engine)
            return file

        @rule(run=RUNS)
        def claim(self, run: str) -> None:
            free = self.holder is None or self.expired or self.holder.run_id == run
            try:
                self.claims[run] = self.holder = take(engine, run)
            except PipelineError as error:
                refusal = error.code
            else:
                refusal = None
                self.expired = False
            assert refusal == (None if free else ErrorCode.LEASE_HELD)

        @rule(run=RUNS, progress=st.floats(0, 1))
        def beat(self, run: str, progress: float) -> None:
            if self.write(run, lambda claim: heartbeat(engine, claim, progress=progress)):
                self.expired = False

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
            self.end(run, lambda claim: fail(engine, claim, error, final=final), status)

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
            assert (file.status == Status.PROCESSING) == (self.holder is not None)
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


@pytest.mark.timeout(120)
def test_any_order_of_events(engine: Engine):
    run_state_machine_as_test(
        _machine(engine),
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
