"""Names of people, organisations and places in a transcript, told by their capitals, and of what by their company.

A name is of a person where it has a title, or somebody is introduced or spoken to by it; of an organisation where it
ends like one or somebody works there; of a place where somebody lives there or goes there. Most names have nothing of
the kind near them: then nothing is claimed. Languages whose nouns all have capitals give only names of several words,
and scripts and recognisers without capitals none.

What does not belong here: whose name it is (`speaker_names`), and which names are the same (`merging`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.knowledge_graph.entities import Entity
from transcribe_pipeline.insight.name_cues import TITLES
from transcribe_pipeline.insight.spoken_names import evidence
from transcribe_pipeline.insight.terms import stop_words
from transcribe_pipeline.insights import NodeKind
from transcribe_pipeline.search.tokens import fold


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_CAPITALISED_NOUNS: Final = frozenset({"de", "lb"})
_MOST_WORDS: Final = 5
_LONGEST: Final = 60
"""Characters."""

_WORD: Final = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")  # noqa: RUF001
_POSSESSIVE: Final = re.compile(r"['’]s?$")  # noqa: RUF001
_WITHIN: Final = re.compile(r" (?:(?:of|of the|for|&|de|del|de la|du|di|da|van|van der|von|der|al|el|bin) )?")
_AFTER_TITLE: Final = re.compile(r"\.? ")
_OPENS: Final = re.compile(r"(?:^|[.!?…:;—–-]\s|[\"“”„«»(])[\s\"“„«(]*$")  # noqa: RUF001
_LONGEST_OPENING: Final = 8
_NO_NAMES: Final = _words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august"
    " september october november december christmas easter thanksgiving halloween okay ok oh mhm hmm uh um ai tv id"
    " speaker"
)
"""Words with capitals that name nothing, or what is told by other means."""

_ORGANISATION_ENDS: Final = _words(
    "inc corp corporation ltd llc gmbh ag plc company bank university institute college school ministry department"
    " agency committee council commission association foundation party hospital church court union club museum"
    " parliament senate congress league society group industries airlines partners"
)
_PLACE_BEGINS: Final = _words("new san santa los las saint port mount lake fort cape south north east west")
_PLACE_ENDS: Final = _words(
    "city county street avenue road square river lake island islands beach valley airport mountains bay"
)
_STRONG: Final = 2
"""Evidence that is enough by itself; weak evidence (1) has to come twice."""
_BEFORE: Final[tuple[tuple[NodeKind, int, str], ...]] = (
    ("person", 2, "thanks|thank you|hi|hello|hey|dear|ask|asked|tell|told|met|meet|named|my name is|call me"),
    ("person", 2, "(?:my|his|her|your|our|their) (?:wife|husband|friend|brother|sister|son|daughter|boss|colleague)"),
    ("organisation", 2, "(?:work|works|worked|working|job|intern) (?:at|for)|(?:employed|founded|acquired) by"),
    ("organisation", 1, "at|joined"),
    (
        "place",
        2,
        "(?:live[sd]?|living|born|raised|based|grew up|here|down|up|over|out|back|stay(?:ing|ed)?|i'm|we're) in",
    ),
    ("place", 2, "(?:move[sd]?|moving|fly|flying|flew|drive|drove|trip|travel\\w*) to|(?:originally|come|came) from"),
    ("place", 2, "(?:city|town|state|capital|province|village) of|visit(?:ed|ing)?"),
    ("place", 1, "in|to|from|near|across|throughout"),
)
_LEAST_SHARE: Final = 0.5
"""Evidence for each mention: words that are often capitalised have some of everything near them."""
_LIKELY: Final = 0.5
"""Of `spoken_names.Evidence`: below, a name stands where people are spoken to, and things may be, too."""
_COMPANY: Final = tuple(
    (kind, weight, re.compile(rf"\b(?:{words}),? $", re.IGNORECASE)) for kind, weight, words in _BEFORE
)
_LONGEST_COMPANY: Final = 24
"""Characters before a name that are looked at."""
_SPEAKS: Final = re.compile(r" (?:says|said|thinks|thought|told|asked|mentioned|agreed|suggested)\b")


class _Found(NamedTuple):
    label: str
    segment: int
    opens_sentence: bool
    kind: NodeKind | None
    weight: int


class _Name(NamedTuple):
    label: str
    start: int
    """Characters, with its title."""
    end: int
    has_title: bool


def names(transcript: Transcript) -> list[Entity]:
    """Each form once, in order of appearance; many of them of no kind. Linear in the length of the transcript."""
    texts = ["" if segment.doubts else clean(segment.text) for segment in transcript.segments]
    found = [each for i, text in enumerate(texts) for each in _in_text(text, i, transcript.language)]
    within = {each.label for each in found if not each.opens_sentence}
    small = Counter(word for text in texts for word in _WORD.findall(text) if word.islower())
    introduced = _introduced(transcript)
    by_label: dict[str, list[_Found]] = {}
    for each in found:
        if each.label in within or " " in each.label:
            by_label.setdefault(each.label, []).append(each)
    return [
        Entity(_kind(alike, introduced.get(label, 0)), label, tuple(sorted({each.segment for each in alike})))
        for label, alike in by_label.items()
        if len(alike) > small[label.lower()]  # else it is a word that is capitalised now and then
    ]


def _in_text(text: str, segment: int, language: str) -> Iterator[_Found]:
    person_ends = -1
    for name in _names(text, language):
        kind, weight = _told(text, name)
        if kind is None and text[person_ends : name.start] == " in ":  # 'This is Diane in New Jersey.'
            kind, weight = "place", _STRONG
        if kind == "person":
            person_ends = name.end
        yield _Found(name.label, segment, _opens_sentence(text, name.start), kind, weight)


def _opens_sentence(text: str, start: int) -> bool:
    # Only a few characters are looked at, since a text of nothing but names is searched for each.
    return _OPENS.search(text[max(0, start - _LONGEST_OPENING) : start]) is not None


def _names(text: str, language: str) -> Iterator[_Name]:
    """Capitalised words that stand together."""
    together: list[re.Match[str]] = []
    for word in _WORD.finditer(text):
        if not _is_capitalised(word[0], language):
            continue
        if together and not _belong(text, together[-1], word):
            yield from _name(text, together, language)
            together = []
        together.append(word)
    yield from _name(text, together, language)


def _belong(text: str, left: re.Match[str], right: re.Match[str]) -> bool:
    between = text[left.end() : right.start()]
    if left[0].lower() in TITLES and _AFTER_TITLE.fullmatch(between):
        return True
    return _WITHIN.fullmatch(between) is not None and not _POSSESSIVE.search(left[0])


def _name(text: str, together: Sequence[re.Match[str]], language: str) -> Iterator[_Name]:
    words = list(together)
    while words and words[0][0].lower() in TITLES:
        words.pop(0)
    if not words:
        return
    has_title = len(words) < len(together)
    if len(words) > _MOST_WORDS or (language in _CAPITALISED_NOUNS and len(words) == 1 and not has_title):
        return
    first = together[-2] if has_title and len(words) == 1 else words[0]
    label = _POSSESSIVE.sub("", text[first.start() : words[-1].end()])
    if len(label) <= _LONGEST and label.lower() not in _PLACE_BEGINS:
        yield _Name(label, together[0].start(), words[-1].end(), has_title)


def _is_capitalised(word: str, language: str) -> bool:
    bare = _POSSESSIVE.sub("", word)
    if not bare[:1].isupper() or len(bare) < 2 or bare.lower() in _NO_NAMES:
        return False
    if bare.lower() in TITLES or bare.lower() in _PLACE_BEGINS:
        return True
    is_common = fold(bare) in stop_words(language) or "'" in bare.replace("\u2019", "'")  # 'I'm'
    return not is_common


# --- of what it is the name -----------------------------------------------------------------------------------------


def _told(text: str, name: _Name) -> tuple[NodeKind | None, int]:
    """What a place in the text tells, and how surely."""
    words = name.label.lower().split()
    if len(words) > 1 and words[-1] in _ORGANISATION_ENDS:
        return "organisation", _STRONG
    if name.has_title:
        return "person", _STRONG
    if len(words) > 1 and (words[-1] in _PLACE_ENDS or words[0] in _PLACE_BEGINS):
        return "place", _STRONG
    company = text[max(0, name.start - _LONGEST_COMPANY) : name.start]
    for kind, weight, pattern in _COMPANY:
        if pattern.search(company):
            return kind, weight
    return ("person", 1) if _SPEAKS.match(text, name.end) else (None, 0)


def _introduced(transcript: Transcript) -> dict[str, int]:
    """Name -> how much tells that a speaker has it."""
    told: dict[tuple[str, int], int] = {}
    for each in evidence(transcript):
        place = each.name, each.segments[0]
        told[place] = max(told.get(place, 0), _STRONG if each.weight >= _LIKELY else 1)
    introduced: Counter[str] = Counter()
    for (name, _), weight in told.items():
        introduced[name] += weight
    return introduced


def _kind(alike: Sequence[_Found], introduced: int) -> NodeKind | None:
    """By the evidence of all places together; None where there is little of it, or it points both ways.

    :param introduced: how much tells that a speaker has this name.
    """
    votes: Counter[NodeKind] = Counter({"person": introduced})
    for each in alike:
        if each.kind:
            votes[each.kind] += each.weight
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] < max(_STRONG, _LEAST_SHARE * len(alike)):
        return None
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        return None
    return ranked[0][0]
