"""What people say to hesitate, or to show that they listen: short lists by language.

A language that is not here has no list, which is no claim that its speakers have no such sounds. The lists hold what
has hardly any other use: 'like' and 'you know' are often fillers and often not, and no list can tell. Recognisers leave
out most of these sounds, so all counts are lower bounds.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from transcribe_pipeline.insight.analytics.counting import Unit

# English: Clark & Fox Tree (2002): Using uh and um in spontaneous speaking. Cognition 84. German and Dutch: de Leeuw
# (2007): Hesitation markers in English, German, and Dutch. J. of Germanic Linguistics 19. Japanese: Watanabe (2009):
# Features and roles of filled pauses in speech communication. Others: the same sounds as their dictionaries spell them.
_FILLERS: Final[Mapping[str, str]] = {
    "cs": "ehm em",
    "da": "øh øhm",
    "de": "äh ähm öh öhm",
    "en": "uh um er erm uhm",
    "es": "eh em ehm",
    "fi": "öö",
    "fr": "euh heu",
    "it": "ehm mh",
    "nl": "eh ehm uh uhm",
    "no": "øh øhm",
    "pl": "yyy eee ym",
    "pt": "hum ahn hã",
    "ru": "э эм хм",
    "sv": "eh öh ehm öhm",
    "tr": "ııı",  # noqa: RUF001  # Turkish
}
# In running text without spaces; longer ones before those that they begin with.
_FILLERS_WITHIN: Final[Mapping[str, str]] = {
    "ja": "えーっと えーと ええと えっと えー うーん あのー あのう そのー",
    "yue": "嗯 呃",
    "zh": "嗯 呃 唔",
}

# English: the acknowledgements of Switchboard in Jurafsky, Shriberg, Fox & Curl (1998): Lexical, prosodic, and
# syntactic cues for dialog acts. Others: their counterparts. 'No' and 'what' answer and ask, and are in no list.
_BACKCHANNELS: Final[Mapping[str, str]] = {
    "de": "ja jo hm mhm aha ach so okay ok genau stimmt gut klar richtig eben",
    "en": "yeah yes yep yup right uh huh uh-huh uhhuh mhm hm mm-hmm mm oh ah aha okay ok sure wow really exactly true"
    " absolutely definitely i see",
    "es": "sí ajá aha ya claro vale bueno okay ok hm mhm oh ah exacto",
    "fr": "oui ouais mhm hm ah oh bon d'accord ok okay voilà exactement",
    "it": "sì ah oh mhm hm certo ok okay esatto già bene",
    "nl": "ja hm mhm oké ok okay precies oh aha goed klopt",
    "pt": "sim é ah oh aham uhum hum certo ok okay tá pois claro exato",
}
_BACKCHANNELS_WITHIN: Final[Mapping[str, str]] = {
    "ja": "はい ええ うん うんうん そう そうです そうですね そうですか ね なるほど へえ ふうん あー ああ はあ ほう",
    "yue": "係 係呀 嗯 哦 好 啱 啱呀 明白",
    "zh": "嗯 对 對 对对 對對 是 是的 好 好的 哦 噢 啊 没错 沒錯 行",
}
_UNLISTED_TOKENS: Final[Mapping[Unit, int]] = {"words": 2, "characters": 4}
"""Where there is no list, this many at most may be a back-channel, as is so of all but the rarest that are listed."""

_RUN: Final = re.compile(r"(.)\1+")


def fillers(words: Sequence[str], language: str) -> int | None:
    """How many of these tokens are hesitations; None if none are known in this language."""
    if language in _FILLERS:
        known = _known(_FILLERS[language])
        return sum(_short(word) in known for word in words)
    if language in _FILLERS_WITHIN:
        return len(re.findall("|".join(_FILLERS_WITHIN[language].split()), "".join(words)))
    return None


def is_backchannel(words: Sequence[str], language: str, unit: Unit) -> bool:
    """May these tokens, said within a second, be a back-channel? Also if none were heard: recognisers leave out most of
    what is said so softly, and it need not have been a word."""
    if language in _BACKCHANNELS:
        known = _known(_BACKCHANNELS[language])
        return all(_short(word) in known for word in words)
    if language in _BACKCHANNELS_WITHIN:
        return not words or "".join(words) in _BACKCHANNELS_WITHIN[language].split()
    return len(words) <= _UNLISTED_TOKENS[unit]


@lru_cache
def _known(listed: str) -> frozenset[str]:
    return frozenset(map(_short, listed.split()))


def _short(word: str) -> str:
    """'um' for 'ummm': how long a sound lasts is written in many ways."""
    return _RUN.sub(r"\1", word)
