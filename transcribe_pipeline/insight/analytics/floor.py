"""Who has the floor: turns, back-channels, interruptions, responses, from spans of talk that may overlap.

What belongs here: the rules of turn-taking as arithmetic on spans, with their minimum durations. What does not: where
the spans come from, what is made of the figures.

Sources, by name below:

- Brady, P. T. (1968): A statistical analysis of on-off patterns in 16 conversations. Bell System Technical Journal 47.
- Edlund, J., Heldner, M., Al Moubayed, S., Gravano, A., Hirschberg, J. (2010): Very short utterances in conversation.
  Proc. FONETIK.
- Ferguson, N. (1977): Simultaneous speech, interruptions and dominance. British J. of Social & Clinical Psychology 16.
- Gravano, A., Hirschberg, J. (2012): A corpus-based study of interruptions in spoken dialogue. Proc. Interspeech.
- Heldner, M., Edlund, J. (2010): Pauses, gaps and overlaps in conversations. J. of Phonetics 38.
- Jefferson, G. (1989): Notes on a possible metric which provides for a 'standard maximum' silence of approximately one
  second in conversation. In: Conversation: an interdisciplinary perspective.
- Sacks, H., Schegloff, E. A., Jefferson, G. (1974): A simplest systematics for the organization of turn-taking for
  conversation. Language 50.
- Ward, N., Tsukahara, W. (2000): Prosodic features which cue back-channel responses in English and Japanese. J. of
  Pragmatics 32.
- West, C., Zimmerman, D. H. (1983): Small insults: a study of interruptions in cross-sex conversations between
  unacquainted persons. In: Language, gender and society.
- Yngve, V. H. (1970): On getting a word in edgewise. Papers from the 6th regional meeting, Chicago Linguistic Society.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from transcribe_pipeline.speech.spans import Span

GAP_SECONDS = 0.2
"""Shorter silences are closures of consonants, not pauses (Brady 1968 fills gaps up to 200 ms)."""
TURN_PAUSE_SECONDS = 2.0
"""A longer pause ends a turn even if nobody else speaks: the floor was free, and its holder took it anew (Sacks,
Schegloff & Jefferson 1974, rule 1c). Twice the second after which silence becomes noticeable (Jefferson 1989), since
people who read or lecture pause for about one between sentences."""
BACKCHANNEL_SECONDS = 1.0
"""At most: 'very short utterances' last up to a second (Edlund et al. 2010)."""
BACKCHANNEL_DELAY_SECONDS = 1.0
"""At most, after the talk that it acknowledges has paused: later, it would break a silence (Jefferson 1989)."""
INTERRUPTION_SECONDS = 0.5
"""At least, of talk at the same time. Who begins up to two syllables before the end has only foreseen it (West &
Zimmerman 1983); that is 0.4 s at 5 syllables a second, and diarization draws its borders some tenths off."""
REACTION_SECONDS = 0.2
"""Nobody can react to talk that began less long ago (Heldner & Edlund 2010): two such beginnings are simultaneous, and
neither is an interruption."""
LAPSE_SECONDS = 5.0
"""After more silence, what follows is a new beginning and answers nobody (a 'lapse' in Sacks, Schegloff & Jefferson
1974, who give no figure; this one is ours)."""


@dataclass(frozen=True, slots=True)
class Talkspurt:
    """A stretch of one speaker's talk without a pause. Seconds."""

    start: float
    end: float
    speaker: str

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's talk until another's takes its place; own pauses are part of it."""

    start: float
    end: float
    speaker: str
    opening: Talkspurt
    """Its first."""

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Interruption:
    at: float
    by: str
    of: str


@dataclass(frozen=True, slots=True)
class Response:
    at: float
    by: str
    latency: float
    """Seconds since the end of the other's turn; negative if it had not ended."""


def talkspurts(talk: Mapping[str, Sequence[Span]]) -> list[Talkspurt]:
    """All speakers' talkspurts in order of time. A gap of less than `GAP_SECONDS` is closed, unless somebody else
    begins to talk in it.

    :param talk: speaker -> spans of talk, disjoint and in order.
    """
    starts = sorted(start for spans in talk.values() for start, _ in spans)
    spurts: list[Talkspurt] = []
    for speaker, spans in talk.items():
        own: list[Span] = []
        for start, end in spans:
            own_end = own[-1][1] if own else -math.inf
            if start - own_end < GAP_SECONDS and bisect_left(starts, own_end) == bisect_left(starts, start):
                own[-1] = (own[-1][0], end)
            else:
                own.append((start, end))
        spurts += [Talkspurt(start, end, speaker) for start, end in own]
    return sorted(spurts, key=lambda spurt: (spurt.start, spurt.end))


def split_backchannels(
    spurts: Sequence[Talkspurt],
    may_be: Callable[[Talkspurt], bool] = lambda spurt: True,
    is_answer: Callable[[Talkspurt, str], bool] = lambda spurt, to: False,
) -> tuple[list[Talkspurt], list[Talkspurt]]:
    """The talkspurts that claim the floor, and the back-channels: 'mhm', 'yeah', 'right', said to show that one listens
    while another has the floor (Yngve 1970).

    A back-channel lasts at most `BACKCHANNEL_SECONDS`; begins while another talks, or at most
    `BACKCHANNEL_DELAY_SECONDS` after; and its speaker does not go on to take the floor: the other talks beyond its end,
    or the next talkspurt that is too long for a back-channel is somebody else's, or begins after `TURN_PAUSE_SECONDS`.
    It is optional (Ward & Tsukahara 2000), and so no answer to a question: that is for the words to tell.

    :param spurts: in order of time.
    :param may_be: do the words allow that it is one?
    :param is_answer: does this speaker's question await it?
    """
    claims: list[Talkspurt] = []
    backchannels: list[Talkspurt] = []
    floor_ends: dict[str, float] = {}  # speaker -> end of their last claim
    for spurt, following in zip(spurts, _following_long(spurts), strict=True):
        holder = _holder(spurt, floor_ends)
        if (
            holder is not None
            and spurt.seconds <= BACKCHANNEL_SECONDS
            and (floor_ends[holder] >= spurt.end or not _leads_to(spurt, following))
            and may_be(spurt)
            and not is_answer(spurt, holder)
        ):
            backchannels.append(spurt)
        else:
            claims.append(spurt)
            floor_ends[spurt.speaker] = spurt.end
    return claims, backchannels


def _holder(spurt: Talkspurt, floor_ends: Mapping[str, float]) -> str | None:
    """Who has the floor when this talkspurt begins; None if nobody has, or its own speaker."""
    earliest = max(spurt.start - BACKCHANNEL_DELAY_SECONDS, floor_ends.get(spurt.speaker, 0.0))
    others = {speaker: end for speaker, end in floor_ends.items() if speaker != spurt.speaker and end > earliest}
    return max(others, key=others.__getitem__, default=None)


def _following_long(spurts: Sequence[Talkspurt]) -> list[Talkspurt | None]:
    """For each talkspurt, the next one after it that is too long for a back-channel."""
    found: list[Talkspurt | None] = []
    following: Talkspurt | None = None
    for spurt in reversed(spurts):
        found.append(following)
        if spurt.seconds > BACKCHANNEL_SECONDS:
            following = spurt
    return found[::-1]


def _leads_to(spurt: Talkspurt, following: Talkspurt | None) -> bool:
    """Does its speaker go on to take the floor?"""
    return (
        following is not None
        and following.speaker == spurt.speaker
        and following.start - spurt.end <= TURN_PAUSE_SECONDS
    )


def turns(claims: Iterable[Talkspurt]) -> list[Turn]:
    """Turns in order of time, from talkspurts in order of time without back-channels.

    A speaker's next talkspurt belongs to the same turn unless the pause before it was longer than `TURN_PAUSE_SECONDS`,
    or somebody else talked in it (Sacks, Schegloff & Jefferson 1974): who talks into another's turn and stops before
    the other pauses has not taken it.
    """
    last_ends: dict[str, float] = {}
    open_turns: dict[str, Turn] = {}
    closed: list[Turn] = []
    for spurt in claims:
        own_end = last_ends.get(spurt.speaker)
        goes_on = (
            own_end is not None
            and spurt.start - own_end <= TURN_PAUSE_SECONDS
            and not any(end > own_end for speaker, end in last_ends.items() if speaker != spurt.speaker)
        )
        last_ends[spurt.speaker] = spurt.end
        if goes_on:
            turn = open_turns[spurt.speaker]
            open_turns[spurt.speaker] = Turn(turn.start, spurt.end, turn.speaker, turn.opening)
        else:
            if spurt.speaker in open_turns:
                closed.append(open_turns[spurt.speaker])
            open_turns[spurt.speaker] = Turn(spurt.start, spurt.end, spurt.speaker, spurt)
    return sorted([*closed, *open_turns.values()], key=lambda turn: (turn.start, turn.end))


def interruptions(claims: Iterable[Talkspurt], turns: Iterable[Turn]) -> list[Interruption]:
    """Turns that begin while another's talk is under way, and last beside it for at least `INTERRUPTION_SECONDS`.

    Counted whether the interrupter gets the floor or not ('interruption' and 'butting-in' of Ferguson 1977 and of
    Gravano & Hirschberg 2012); a back-channel is none, nor is a start less than `REACTION_SECONDS` after the other's.
    Of several who talk, the one who began first is the one interrupted.
    """
    openings = {turn.opening for turn in turns}
    under_way: dict[str, Talkspurt] = {}
    found: list[Interruption] = []
    for spurt in claims:
        if spurt in openings:
            interrupted = [
                other
                for other in under_way.values()
                if other.speaker != spurt.speaker
                and spurt.start - other.start >= REACTION_SECONDS
                and min(other.end, spurt.end) - spurt.start >= INTERRUPTION_SECONDS
            ]
            if interrupted:
                first = min(interrupted, key=lambda other: other.start)
                found.append(Interruption(spurt.start, spurt.speaker, first.speaker))
        under_way[spurt.speaker] = spurt
    return found


def responses(turns: Iterable[Turn]) -> list[Response]:
    """The floor's transfers, and how long each took: its offset, in Heldner & Edlund's (2010) terms the length of the
    gap between two speakers, negative for an overlap.

    A turn that ends before the one it overlaps has not taken the floor; one that begins more than `LAPSE_SECONDS` after
    is no response.
    """
    found: list[Response] = []
    holding: Turn | None = None
    for turn in turns:
        if holding is not None and turn.end <= holding.end:
            continue
        if holding is not None and turn.speaker != holding.speaker:
            latency = turn.start - holding.end
            if latency <= LAPSE_SECONDS:
                found.append(Response(turn.start, turn.speaker, latency))
        holding = turn
    return found


def longest_monologues(turns: Iterable[Turn]) -> dict[str, float]:
    """Speaker -> seconds of their turns, added up as long as nobody else's turn begins; the longest of such runs."""
    longest: dict[str, float] = {}
    speaker, seconds = "", 0.0
    for turn in turns:
        seconds = seconds + turn.seconds if turn.speaker == speaker else turn.seconds
        speaker = turn.speaker
        longest[speaker] = max(longest.get(speaker, 0.0), seconds)
    return longest


def overlaps(talk: Mapping[str, Sequence[Span]]) -> tuple[float, dict[str, float]]:
    """Seconds in which two or more talk, and each speaker's share of them; however short, back-channels included.

    :param talk: speaker -> spans of talk, disjoint and in order.
    """
    events = sorted(
        (time, begins, speaker)
        for speaker, spans in talk.items()
        for span in spans
        for time, begins in zip(span, (True, False), strict=True)
    )
    talking: set[str] = set()
    whole, each = 0.0, dict.fromkeys(talk, 0.0)
    for (time, begins, speaker), (until, *_) in pairwise(events):
        if begins:
            talking.add(speaker)
        else:
            talking.discard(speaker)
        if len(talking) > 1:
            whole += until - time
            for other in talking:
                each[other] += until - time
    return whole, each
