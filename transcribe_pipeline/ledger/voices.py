"""Voices across an owner's files: what people decided about them, and who each speaker therefore is.

An append-only log of decisions is all that is kept. Profiles are derived from the decisions that are not undone, so
undoing needs no inverse operation, and nothing that a machine concluded ever becomes part of a profile. The voice
samples themselves are the speakers of immutable transcript versions; a decision only points at one.

Every function takes the owner, and every look at voices goes through `_speakers` or `_decisions`: nothing of one owner
is seen, matched or changed by another.
"""

import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, true

from transcribe_pipeline.artifacts import IdentifiedSpeaker, SpeakerIdentities, TranscriptSpeaker
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.database import read, write
from transcribe_pipeline.ledger.leases import Claim, fence, lost
from transcribe_pipeline.ledger.models import (
    DecisionKind,
    MediaFile,
    Speaker,
    SpeakerIdentity,
    TranscriptVersion,
    VoiceDecision,
)

if TYPE_CHECKING:  # numpy: 0.1 s that only those who match voices need
    from transcribe_pipeline.speech.voices import Thresholds

_MAX_NAME_CHARACTERS = 100
_DECISIONS_LOCK = 7_241_986
"""Any constant: with an owner's hash it names the advisory lock under which decisions and identities are written."""


@dataclass(frozen=True)
class Decision:
    """An entry of an owner's log. Which fields are set depends on the kind; see `models.VoiceDecision`."""

    id: str
    number: int
    kind: DecisionKind
    decided_at: datetime
    profile_id: str | None = None
    name: str | None = None
    transcript_id: str | None = None
    label: str | None = None
    merged_id: str | None = None
    undoes: int | None = None


@dataclass(frozen=True)
class Profile:
    """A known voice: what the decisions that count make of it."""

    id: str
    name: str
    samples: tuple[tuple[str, str], ...]
    """(transcript id, label) of every confirmed speaker, in order of confirmation; never empty."""


@dataclass(frozen=True)
class Voices:
    """What an owner's decisions amount to."""

    decisions: tuple[Decision, ...]
    profiles: tuple[Profile, ...]
    """By name."""

    @classmethod
    def derived_from(cls, decisions: Iterable[Decision]) -> "Voices":
        """Fold a log, in order of its numbers.

        The last confirmation of a speaker counts. A merged profile's samples are those of the profile it was merged
        into. A profile is called what it was last renamed to, else what its first decision called it; it exists as
        long as it has a sample.
        """
        log = tuple(decisions)
        undone = {each.undoes for each in log}
        into: dict[str, str] = {}
        sample_of: dict[tuple[str, str], str] = {}
        names: dict[str, str] = {}
        for each in log:
            if each.number in undone or each.profile_id is None or each.name is None:
                continue
            if each.kind is DecisionKind.RENAME:
                names[each.profile_id] = each.name
            names.setdefault(each.profile_id, each.name)
            if each.merged_id:
                into[each.merged_id] = each.profile_id
            if each.transcript_id and each.label:
                sample_of.pop((each.transcript_id, each.label), None)  # so that it moves to the end
                sample_of[each.transcript_id, each.label] = each.profile_id
        samples: dict[str, list[tuple[str, str]]] = {}
        for sample, profile_id in sample_of.items():
            samples.setdefault(_merged(profile_id, into), []).append(sample)
        profiles = [Profile(profile_id, names[profile_id], tuple(of_it)) for profile_id, of_it in samples.items()]
        return cls(log, tuple(sorted(profiles, key=lambda profile: (profile.name.casefold(), profile.id))))

    def profile(self, reference: str) -> Profile:
        """The one profile with this id, or else this name. Raises VOICE_UNKNOWN; VOICE_REFUSED if several fit."""
        found = [each for each in self.profiles if each.id == reference] or self.named(reference)
        if not found:
            raise PipelineError(ErrorCode.VOICE_UNKNOWN, "no profile has that id or name")
        if len(found) > 1:
            raise _ambiguous(found)
        return found[0]

    def named(self, name: str) -> list[Profile]:
        """Profiles of that name, upper and lower case alike."""
        return [each for each in self.profiles if each.name.casefold() == name.casefold()]

    def decision(self, number: int) -> Decision:
        """Raises VOICE_UNKNOWN."""
        for each in self.decisions:
            if each.number == number:
                return each
        raise PipelineError(ErrorCode.VOICE_UNKNOWN, f"decision {number}")

    def undone_by(self, number: int) -> int | None:
        """Number of the decision that undid it, if it is undone."""
        return next((each.number for each in self.decisions if each.undoes == number), None)

    def latest(self) -> Decision:
        """The last decision that counts and can be undone. Raises VOICE_UNKNOWN."""
        undone = {each.undoes for each in self.decisions}
        for each in reversed(self.decisions):
            if each.kind is not DecisionKind.UNDO and each.number not in undone:
                return each
        raise PipelineError(ErrorCode.VOICE_UNKNOWN, "nothing is left to undo")


def _merged(profile_id: str, into: dict[str, str]) -> str:
    # Ends: only a profile that is not merged is ever merged into another, and undoing only takes links away.
    while profile_id in into:
        profile_id = into[profile_id]
    return profile_id


def _ambiguous(found: Sequence[Profile]) -> PipelineError:
    ids = ", ".join(each.id for each in found)
    return PipelineError(ErrorCode.VOICE_REFUSED, f"{len(found)} profiles are called so; name one by its id: {ids}")


# --- deciding -------------------------------------------------------------------------------------------------------


def confirm(
    engine: Engine,
    owner: str,
    transcript_id: str,
    label: str,
    *,
    name: str | None = None,
    profile: str | None = None,
) -> Decision:
    """A person says who a speaker of one of the owner's transcripts is: that voice is a sample of the profile.

    `profile` (id or name) must exist; otherwise `name` says which, and makes a new one where nobody is called so.
    Raises VOICE_UNKNOWN (also for what belongs to another owner) and VOICE_REFUSED.
    """
    wanted = person_name(name) if name is not None else None

    def values(connection: Connection, voices: Voices) -> dict[str, Any]:
        _require_speaker(connection, owner, transcript_id, label)
        known = _profile_for(voices, wanted, profile)
        identity = {"profile_id": known.id, "name": known.name} if known else {"profile_id": _new_id(), "name": wanted}
        return identity | {"transcript_id": transcript_id, "label": label}

    return _decide(engine, owner, DecisionKind.CONFIRM, values)


def rename(engine: Engine, owner: str, profile: str, name: str) -> Decision:
    """Call a profile (id or name) something else. Raises VOICE_UNKNOWN, VOICE_REFUSED."""
    wanted = person_name(name)
    return _decide(
        engine,
        owner,
        DecisionKind.RENAME,
        lambda _, voices: {"profile_id": voices.profile(profile).id, "name": wanted},
    )


def merge(engine: Engine, owner: str, source: str, into: str) -> Decision:
    """Two profiles (ids or names) are one person: `source` becomes part of `into`, which keeps its name.

    Raises VOICE_UNKNOWN, VOICE_REFUSED.
    """

    def values(_connection: Connection, voices: Voices) -> dict[str, Any]:
        merged, kept = voices.profile(source), voices.profile(into)
        if merged == kept:
            raise PipelineError(ErrorCode.VOICE_REFUSED, "both are the same profile")
        return {"profile_id": kept.id, "name": kept.name, "merged_id": merged.id}

    return _decide(engine, owner, DecisionKind.MERGE, values)


def undo(engine: Engine, owner: str, number: int | None = None) -> Decision:
    """A decision (the last one that counts, if None) no longer counts; all others do as if it had never been taken.

    Raises VOICE_UNKNOWN; VOICE_REFUSED for a decision that is undone already, or that is itself an undoing.
    """

    def values(_connection: Connection, voices: Voices) -> dict[str, Any]:
        decision = voices.latest() if number is None else voices.decision(number)
        if decision.kind is DecisionKind.UNDO:
            raise PipelineError(ErrorCode.VOICE_REFUSED, f"decision {number} undid another; decide anew instead")
        undone_by = voices.undone_by(decision.number)
        if undone_by is not None:
            raise PipelineError(ErrorCode.VOICE_REFUSED, f"decision {number} is undone already, by {undone_by}")
        return {"undoes": decision.number}

    return _decide(engine, owner, DecisionKind.UNDO, values)


def person_name(name: str) -> str:
    """A name fit to be shown anywhere: NFC, white space folded.

    Raises VOICE_REFUSED for one that is empty, too long, or holds characters that nobody sees: controls, direction
    overrides (they would reorder the text around a name), private and unassigned ones. Joiners stay: Persian and Indic
    names need them.
    """
    folded = " ".join(unicodedata.normalize("NFC", name).split())
    if not folded:
        raise PipelineError(ErrorCode.VOICE_REFUSED, "a name must not be empty")
    if len(folded) > _MAX_NAME_CHARACTERS:
        raise PipelineError(ErrorCode.VOICE_REFUSED, f"a name has at most {_MAX_NAME_CHARACTERS} characters")
    for character in folded:
        if unicodedata.category(character)[0] == "C" and character not in "\u200c\u200d":
            raise PipelineError(ErrorCode.VOICE_REFUSED, f"U+{ord(character):04X} must not be in a name")
    return folded


def _profile_for(voices: Voices, name: str | None, reference: str | None) -> Profile | None:
    """The existing profile that is meant; None for a person not known yet."""
    if reference is None:
        found = voices.named(name or "")
        if len(found) > 1:
            raise _ambiguous(found)
        if not found and name is None:
            raise PipelineError(ErrorCode.VOICE_REFUSED, "neither a name nor a profile is given")
        return found[0] if found else None
    known = voices.profile(reference)
    if name is not None and name.casefold() != known.name.casefold():
        raise PipelineError(ErrorCode.VOICE_REFUSED, f"that profile is called '{known.name}'; rename it instead")
    return known


def _require_speaker(connection: Connection, owner: str, transcript_id: str, label: str) -> None:
    rows = connection.execute(_speakers(owner).where(Speaker.transcript_id == transcript_id))
    if label not in {row.label for row in rows}:
        raise PipelineError(ErrorCode.VOICE_UNKNOWN, "no such speaker in this transcript")


def _decide(
    engine: Engine, owner: str, kind: DecisionKind, values: Callable[[Connection, Voices], dict[str, Any]]
) -> Decision:
    """Append a decision, made in view of all earlier ones; nobody else decides for this owner meanwhile."""
    decision_id = _new_id()

    def work(connection: Connection) -> Decision:
        lock(connection, owner)
        voices = _voices(connection, owner)
        for earlier in reversed(voices.decisions):
            if earlier.id == decision_id:
                return earlier  # this very transaction has committed before its connection broke
        number = voices.decisions[-1].number + 1 if voices.decisions else 1
        decision = Decision(decision_id, number, kind, datetime.now(UTC), **values(connection, voices))
        connection.execute(insert(VoiceDecision).values(owner=owner, **asdict(decision)))
        return decision

    return write(engine, work)


def _new_id() -> str:
    return str(uuid.uuid4())


def lock(connection: Connection, owner: str) -> None:
    """One writer of an owner's decisions and identities at a time; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_DECISIONS_LOCK, func.hashtext(owner))))


# --- looking --------------------------------------------------------------------------------------------------------


def known(engine: Engine, owner: str) -> Voices:
    """The owner's profiles, and the decisions they come from."""
    return read(engine, lambda connection: _voices(connection, owner))


def owners(engine: Engine) -> list[str]:
    """Everybody who has files, by name."""
    statement = select(MediaFile.owner).distinct().order_by(MediaFile.owner)
    return read(engine, lambda connection: list(connection.execute(statement).scalars()))


@dataclass(frozen=True)
class Sample:
    """A confirmed speaker, and where it is heard."""

    transcript_id: str
    label: str
    seconds: float
    embedding_model: str | None
    partition_key: str
    file_name: str


def samples(engine: Engine, owner: str, profile: Profile) -> list[Sample]:
    """A profile's samples whose recordings are still there."""
    wanted = {transcript_id for transcript_id, _ in profile.samples}
    statement = _speakers(owner).where(Speaker.transcript_id.in_(wanted)).order_by(MediaFile.file_name, Speaker.label)
    found = read(engine, lambda connection: connection.execute(statement).all())
    return [
        Sample(row.transcript_id, row.label, row.seconds, row.embedding_model, row.partition_key, row.file_name)
        for row in found
        if (row.transcript_id, row.label) in profile.samples
    ]


def _voices(connection: Connection, owner: str) -> Voices:
    return Voices.derived_from(_decisions(connection, owner))


def _decisions(connection: Connection, owner: str) -> Iterator[Decision]:
    columns = [getattr(VoiceDecision, name) for name in Decision.__dataclass_fields__]
    statement = select(*columns).where(VoiceDecision.owner == owner).order_by(VoiceDecision.number)
    return (Decision(*row) for row in connection.execute(statement))


def _speakers(owner: str) -> Select[Any]:
    """Every speaker of every transcript version of the owner's files, with the file it is in."""
    return (
        select(
            Speaker.transcript_id,
            Speaker.label,
            Speaker.seconds,
            Speaker.words,
            Speaker.embedding,
            TranscriptVersion.embedding_model,
            MediaFile.partition_key,
            MediaFile.file_name,
        )
        .join(TranscriptVersion, TranscriptVersion.id == Speaker.transcript_id)
        .join(MediaFile, MediaFile.id == TranscriptVersion.media_file_id)
        .where(MediaFile.owner == owner)
    )


# --- who each speaker is --------------------------------------------------------------------------------------------


def identities(engine: Engine, claim: Claim, transcript_id: str, thresholds: "Thresholds") -> SpeakerIdentities:
    """Say who the speakers of a transcript of the claimed file are, and write that down as what people see.

    One transaction under the owner's lock: a decision comes either before it and counts, or after it and finds the
    outcome written. Raises LEASE_LOST.
    """

    def work(connection: Connection) -> SpeakerIdentities:
        lock(connection, claim.owner)
        if connection.execute(select(true()).where(fence(claim)).with_for_update()).first() is None:
            raise lost(claim)
        of_transcript = _speakers(claim.owner).where(
            MediaFile.id == claim.media_file_id, Speaker.transcript_id == transcript_id
        )
        rows = connection.execute(of_transcript.order_by(Speaker.position)).all()
        known_voices = _KnownVoices(connection, claim.owner)
        found = known_voices.identify(transcript_id, rows, thresholds)
        _write_down(connection, found)
        return found

    return write(engine, work)


def last_said(engine: Engine, owner: str, transcript_id: str) -> SpeakerIdentities:
    """What `identities` last wrote down for a transcript; no speakers if it never did, or it is another owner's."""

    def work(connection: Connection) -> SpeakerIdentities:
        statement = _written(owner).where(SpeakerIdentity.transcript_id == transcript_id)
        rows = connection.execute(statement.order_by(SpeakerIdentity.label))
        return SpeakerIdentities(transcript_id=transcript_id, speakers=tuple(_identified(row) for row in rows))

    return read(engine, work)


def outdated(engine: Engine, owner: str, thresholds: "Thresholds") -> list[str]:
    """Partition keys of the owner's files in which somebody would now be called or banded otherwise, in order.

    Looks at the transcripts that people see. Left out are files whose content has changed or is being transcribed
    again: their own run will say who speaks. A similarity that merely moved is no difference.
    """

    def work(connection: Connection) -> list[str]:
        written: dict[str, list[IdentifiedSpeaker]] = {}
        for row in connection.execute(_written(owner)):
            written.setdefault(row.transcript_id, []).append(_identified(row))
        known_voices = _KnownVoices(connection, owner)
        seen_by_people = _speakers(owner).where(
            Speaker.transcript_id == MediaFile.current_transcript_id,
            TranscriptVersion.source_sha256 == MediaFile.sha256,
        )
        rows = connection.execute(seen_by_people.order_by(Speaker.transcript_id, Speaker.position))
        return sorted(
            speakers[0].partition_key
            for transcript_id, speakers in _grouped(rows)
            if _gist(known_voices.identify(transcript_id, speakers, thresholds).speakers)
            != _gist(written.get(transcript_id, []))
        )

    return read(engine, work)


class _KnownVoices:
    """The profiles of one owner with their centroids, as of this transaction."""

    def __init__(self, connection: Connection, owner: str) -> None:
        from transcribe_pipeline.speech.voices import Gallery, KnownVoice, VoiceSample, centroids

        voices = _voices(connection, owner)
        self._confirmed = {sample: profile.id for profile in voices.profiles for sample in profile.samples}
        heard: dict[str, list[VoiceSample]] = {profile.id: [] for profile in voices.profiles}
        confirmed_in = select(VoiceDecision.transcript_id).where(VoiceDecision.owner == owner)
        for row in connection.execute(_speakers(owner).where(Speaker.transcript_id.in_(confirmed_in))):
            profile_id = self._confirmed.get((row.transcript_id, row.label))
            if profile_id and row.embedding_model:
                heard[profile_id].append(VoiceSample(row.embedding_model, row.embedding, row.seconds))
        self._gallery = Gallery(
            KnownVoice(profile.id, profile.name, centroids(heard[profile.id])) for profile in voices.profiles
        )

    def identify(self, transcript_id: str, speakers: Sequence[Any], thresholds: "Thresholds") -> SpeakerIdentities:
        from transcribe_pipeline.speech.voices import identify

        embedding_model = speakers[0].embedding_model if speakers else None
        heard = [
            TranscriptSpeaker(label=row.label, seconds=row.seconds, words=row.words, embedding=tuple(row.embedding))
            for row in speakers
        ]
        confirmed = {
            speaker.label: self._confirmed[transcript_id, speaker.label]
            for speaker in heard
            if (transcript_id, speaker.label) in self._confirmed
        }
        found = identify(heard, embedding_model, self._gallery, thresholds, confirmed=confirmed)
        return SpeakerIdentities(transcript_id=transcript_id, embedding_model=embedding_model, speakers=found)


def _grouped(rows: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    for transcript_id, group in groupby(rows, key=attrgetter("transcript_id")):
        yield transcript_id, list(group)


def _gist(speakers: Iterable[IdentifiedSpeaker]) -> dict[str, tuple[str, str | None, str | None]]:
    """What would make a person look again."""
    return {each.label: (each.band, each.profile_id, each.name) for each in speakers if each.band != "none"}


_IDENTITY_FIELDS = tuple(IdentifiedSpeaker.model_fields)


def _written(owner: str) -> Select[Any]:
    columns = [getattr(SpeakerIdentity, name) for name in _IDENTITY_FIELDS]
    return (
        select(SpeakerIdentity.transcript_id, *columns)
        .join(TranscriptVersion, TranscriptVersion.id == SpeakerIdentity.transcript_id)
        .join(MediaFile, MediaFile.id == TranscriptVersion.media_file_id)
        .where(MediaFile.owner == owner)
    )


def _identified(row: Any) -> IdentifiedSpeaker:
    return IdentifiedSpeaker(**{name: getattr(row, name) for name in _IDENTITY_FIELDS})


def _write_down(connection: Connection, found: SpeakerIdentities) -> None:
    connection.execute(delete(SpeakerIdentity).where(SpeakerIdentity.transcript_id == found.transcript_id))
    if found.speakers:
        rows = [{"transcript_id": found.transcript_id, **speaker.model_dump()} for speaker in found.speakers]
        connection.execute(insert(SpeakerIdentity), rows)
