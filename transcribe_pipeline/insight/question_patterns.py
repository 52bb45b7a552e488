"""How questions and replies to them are worded, by language: what `question_forms` matches, in small letters and with
straight apostrophes. Where a list is empty, nothing can be told by it.

What does not belong here: how a question is told from a statement (`analytics.questions`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final


@dataclass(frozen=True)
class Wording:
    question_words: str = ""
    """'yes' answers no question that has one of them."""
    replies: str = ""
    """Words of which a whole answer to a yes-or-no question may consist."""
    ignorance: str = ""
    """Expression within a reply that answers nothing: 'I don't know'."""
    not_meant: str = ""
    """Expression for a whole question that asks nothing: rhetorical, about the line, or only in form."""

    @cached_property
    def question_word_list(self) -> frozenset[str]:
        return frozenset(self.question_words.split())

    @cached_property
    def reply_list(self) -> frozenset[str]:
        return frozenset(self.replies.split())

    @cached_property
    def says_unknown(self) -> re.Pattern[str] | None:
        return re.compile(rf"(?<!\w)(?:{self.ignorance})(?!\w)") if self.ignorance else None

    @cached_property
    def only_in_form(self) -> re.Pattern[str] | None:
        return re.compile(self.not_meant) if self.not_meant else None


_ENGLISH = Wording(
    question_words="what where when why who whom whose how which",
    replies=(
        "yes yeah yep yup yea no nope nah sure absolutely definitely certainly exactly correct right true maybe"
        " probably possibly of course not really i do did don't didn't am is it was have think so guess okay ok"
        " uh um well oh"
    ),
    ignorance=(
        "(?:don't|do not|didn't|wouldn't) (?:really |actually |even )?(?:know|remember|recall)|no idea"
        "|not (?:really |quite |entirely )?sure|(?:good|great) question|let me (?:check|see|think|look|get back)"
        "|(?:i|we)(?:'ll| will) (?:check|see|have to (?:check|see|look)|get back|find out|look)"
        "|hard to (?:say|tell)|couldn't tell you|(?:to be|haven't|not yet) (?:decided|determined)"
    ),
    not_meant=(
        "(?:so |but |well )?(?:what can i say|what else can i say|who knows|(?:do )?you know(?: what)?(?: i mean)?"
        "|know what i mean|guess what|what do you know|are you kidding(?: me)?|is that right|is that so|how are you"
        "(?: doing)?(?: today)?|can you hear me|are you (?:still )?there|do you (?:hear|see) (?:me|that)|does that make"
        " sense|what's up|what)"
    ),
)
_GERMAN = Wording(
    question_words=(
        "wer wen wem wessen was wann wo wohin woher warum wieso weshalb wozu wie welche welcher welches welchen"
    ),
    replies=(
        "ja nein nee doch jawohl klar natürlich sicher genau richtig vielleicht vermutlich eher nicht schon eigentlich"
    ),
    ignorance=(
        "weiß (?:ich |es )?(?:gar |noch )?nicht|keine ahnung|gute frage|mal (?:sehen|schauen)"
        "|(?:nicht|noch nicht) (?:sicher|entschieden)"
    ),
    not_meant="was|wie bitte|wie geht's|was soll ich sagen|weißt du|hört ihr mich|hören sie mich",
)
_FRENCH = Wording(
    question_words="que quoi quand où pourquoi qui comment combien quel quelle quels quelles",
    replies="oui non si ouais bien sûr peut-être absolument exactement tout à fait pas du",
    ignorance=r"sais pas|aucune idée|bonne question|on verra|pas sûre?",
    not_meant="quoi|comment|ça va|vous m'entendez|tu m'entends",
)
_SPANISH = Wording(
    question_words="qué cómo cuándo dónde quién quiénes cuál cuáles cuánto cuánta cuántos cuántas",
    replies="sí si no claro quizás tal vez exacto por supuesto en absoluto creo que",
    ignorance=r"no (?:lo )?sé|ni idea|buena pregunta|ya veremos|no est(?:oy|amos) segur[oa]s?",
    not_meant="qué|cómo|qué tal|cómo está[sn]?|me oye[ns]?|me escuchas?",
)
_ITALIAN = Wording(
    question_words="cosa quando dove perché chi come quanto quanta quanti quante quale quali",
    replies="sì si no certo forse esatto assolutamente credo di penso",
    ignorance=r"non (?:lo )?so|non ne ho idea|buona domanda|vedremo|non (?:sono|siamo) sicur[oai]",
    not_meant="cosa|come|come (?:stai|sta|va)|mi sent[ie]",
)
_PORTUGUESE = Wording(
    question_words="que quando onde quem como qual quais quanto quanta quantos quantas porquê",
    replies="sim não claro talvez exato exatamente acho que com certeza",
    ignorance=r"não sei|não faço ideia|boa pergunta|vamos ver|não tenho certeza",
    not_meant="quê|como|tudo bem|como vai|está me ouvindo",
)
_DUTCH = Wording(
    question_words="wat waar wanneer waarom wie hoe welke welk",
    replies="ja nee jawel zeker misschien precies natuurlijk inderdaad niet echt",
    ignorance=r"weet (?:ik )?(?:het )?(?:nog )?niet|geen idee|goede vraag|niet zeker",
    not_meant="wat|hoe gaat het|hoor je me",
)

WORDINGS: Final[Mapping[str, Wording]] = {
    **{"en": _ENGLISH, "de": _GERMAN, "fr": _FRENCH, "es": _SPANISH, "it": _ITALIAN, "pt": _PORTUGUESE, "nl": _DUTCH},
    "ru": Wording(
        question_words="что почему зачем кто когда где куда откуда сколько какой какая какие какое как",
        replies="да нет конечно наверное возможно точно",
        ignorance=r"не знаю|понятия не имею|хороший вопрос",
    ),
}
UNKNOWN: Final = Wording()
"""Of a language that is not listed."""
