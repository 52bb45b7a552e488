"""Which small files belong to which recording, told from their names alone.

What belongs here: the rule, and applying it to a listing as it passes by. What does not: what sidecars say.

Beside `interview.mp4`, `interview.mp4.options.yaml` holds its options, and one of these the transcript that people
made, in this order of preference: `interview.mp4.srt`, `interview.srt`, `interview.mp4.en.srt`, `interview.en.srt` (or
.vtt; any language). A sidecar belongs to the recordings that it names best: `talk.en.srt` to `talk.en.mp4` where there
is one, else to `talk.mp4`.

All sidecars of a recording, and whatever could claim them instead, lie between its stem and the end of the keys that
go on from it: 'a/talk' <= key < 'a/talk/'. Such ranges nest and never overlap otherwise, so a listing in key order
needs to be remembered only as far as ranges are open: a few entries, whatever the size of the store.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from transcribe_pipeline.resources.listing import Entry
from transcribe_pipeline.text.languages import LANGUAGES

_OPTIONS = re.compile(r"\.options\.ya?ml$", re.IGNORECASE)
_TRANSCRIPT = re.compile(r"\.(srt|vtt)$", re.IGNORECASE)
_LANGUAGE = re.compile(rf"\.({'|'.join(sorted(LANGUAGES))})([-_][a-z0-9]{{2,8}})*$", re.IGNORECASE)

_MAX_WAITING = 5_000
"""Entries held back at a time (about 1 kB each). Somebody may put millions of files into the range of one recording;
beyond this, that recording is given without saying what lies beside it."""

# How well a transcript names a recording: the smaller the better.
_FULL_NAME, _STEM, _FULL_NAME_AND_LANGUAGE, _STEM_AND_LANGUAGE = range(4)


@dataclass
class _Waiting:
    """An entry whose range is still open."""

    entry: Entry
    until: str
    """The first key that is no concern of it."""
    bases: tuple[str, ...] = ()
    """What a sidecar may name: its key without extension; without the language, too."""
    rank: int | None = None
    """Of a sidecar: how well it names the recording that it names best."""
    found: "list[tuple[int, _Waiting]]" = field(default_factory=list)
    """Of a recording: its sidecars, and how well they name it."""
    is_certain: bool = True
    """Was the beginning of its range seen?"""


@dataclass(frozen=True)
class Placed:
    """An entry of a listing, and what it is."""

    entry: Entry
    role: Literal["recording", "sidecar", "orphan"]
    """An orphan is a sidecar that belongs to no recording."""
    sidecars: tuple[Entry, ...] | None
    """Of a recording, those in force: at most an options file and a transcript, in this order. None: too little of the
    folder was seen to tell."""
    is_safe: bool
    """A listing that goes on after this key forgets nothing."""


def is_sidecar(key: str) -> bool:
    """Does this key's name say that it belongs to a recording, rather than being one?"""
    return is_options(key) or bool(_TRANSCRIPT.search(key))


def is_options(key: str) -> bool:
    return bool(_OPTIONS.search(key))


def before_range(key: str) -> str:
    """The key to list after, so that everything is seen that may lie beside this recording."""
    return stem_of(key)[:-1]


def place(entries: Iterable[Entry], after: str | None) -> Iterator[Placed]:
    """Entries in key order, as listed after the key `after`; out they come again, in the same order."""
    table = _Table(after)
    for entry in entries:
        yield from table.released(entry.key)
        table.add(entry)
    yield from table.released(None)


def stem_of(key: str) -> str:
    """'ann/talk.mp4' -> 'ann/talk'."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}"


class _Table:
    """Whatever is waiting, and who of them is looking for whom."""

    def __init__(self, after: str | None) -> None:
        self._queue: deque[_Waiting] = deque()
        self._by_name: dict[str, _Waiting] = {}
        self._by_stem: defaultdict[str, list[_Waiting]] = defaultdict(list)
        self._by_base: defaultdict[str, list[_Waiting]] = defaultdict(list)
        self._blind_to = after
        """Keys up to here are not, or no longer, known."""

    def add(self, entry: Entry) -> None:
        if is_sidecar(entry.key):
            self._add_sidecar(entry)
        else:
            self._add_recording(entry)

    def _add_recording(self, entry: Entry) -> None:
        stem = stem_of(entry.key)
        recording = _Waiting(entry, f"{stem}/", is_certain=self._blind_to is None or stem > self._blind_to)
        self._queue.append(recording)
        self._by_name[entry.key] = recording
        self._by_stem[stem].append(recording)
        # Of the transcripts that name this recording, those by its stem alone may have come before it.
        for sidecar in self._by_base.get(stem, ()):
            _match(recording, sidecar, _STEM if sidecar.bases[0] == stem else _STEM_AND_LANGUAGE)

    def _add_sidecar(self, entry: Entry) -> None:
        is_options_file = is_options(entry.key)
        base = (_OPTIONS if is_options_file else _TRANSCRIPT).sub("", entry.key)
        bare = _LANGUAGE.sub("", base)
        bases = (base,) if is_options_file or bare == base or bare.endswith("/") else (base, bare)
        certain = self._blind_to is None or bases[-1] > self._blind_to
        sidecar = _Waiting(entry, f"{bases[-1]}/", bases, is_certain=certain)
        self._queue.append(sidecar)
        for rank, name in zip((_FULL_NAME, _FULL_NAME_AND_LANGUAGE), bases, strict=False):
            if recording := self._by_name.get(name):
                _match(recording, sidecar, rank)
        if is_options_file:
            return
        for rank, stem in zip((_STEM, _STEM_AND_LANGUAGE), bases, strict=False):
            self._by_base[stem].append(sidecar)
            for recording in self._by_stem.get(stem, ()):
                if recording.entry.key != stem:  # a name without extension is its own stem
                    _match(recording, sidecar, rank)

    def released(self, key: str | None) -> Iterator[Placed]:
        """What no key from `key` on (None: no key at all) has anything to say about."""
        while self._queue:
            front = self._queue[0]
            is_over = key is None or key >= front.until
            if not is_over and len(self._queue) < _MAX_WAITING:
                return
            self._queue.popleft()
            self._forget(front)
            if not is_over:
                front.is_certain = False
                self._blind_to = front.entry.key
            yield _placed(front, is_safe=is_over and not self._queue)

    def _forget(self, gone: _Waiting) -> None:
        indices = [(self._by_base, base) for base in gone.bases] or [(self._by_stem, stem_of(gone.entry.key))]
        for index, key in indices:
            others = [each for each in index.pop(key, ()) if each is not gone]
            if others:
                index[key] = others
        self._by_name.pop(gone.entry.key, None)


def _match(recording: _Waiting, sidecar: _Waiting, rank: int) -> None:
    recording.found.append((rank, sidecar))
    sidecar.rank = rank if sidecar.rank is None else min(rank, sidecar.rank)


def _placed(waiting: _Waiting, *, is_safe: bool) -> Placed:
    if waiting.bases:
        is_orphan = waiting.rank is None and waiting.is_certain
        return Placed(waiting.entry, "orphan" if is_orphan else "sidecar", (), is_safe)
    return Placed(waiting.entry, "recording", _in_force(waiting), is_safe)


def _in_force(recording: _Waiting) -> tuple[Entry, ...] | None:
    if not recording.is_certain:
        return None
    own = sorted((rank, sidecar.entry) for rank, sidecar in recording.found if rank == sidecar.rank)
    options = [entry for _, entry in own if is_options(entry.key)]
    transcripts = [entry for _, entry in own if not is_options(entry.key)]
    return (*options[:1], *transcripts[:1])
