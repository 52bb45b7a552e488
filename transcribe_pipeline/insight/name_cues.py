"""The words after which people say names, by language, and the capitalised words that are no names of people.

What belongs here: tables. What does not: what follows from them (`spoken_names`).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Cues:
    """Regular expressions, upper and lower case alike; the name stands right after them, a comma between or not."""

    my_name_is: str
    """Nobody says this of somebody else."""
    this_is: str
    """Opens a call or a turn, but also says what things are."""
    i_am: str
    """Of names, but also of nationalities and moods."""
    welcome: str
    """Presents somebody who speaks next."""
    over_to: str
    """Gives the floor."""
    thanks: str
    greeting: str
    you: str
    """Somebody is spoken to."""
    goes_on: str
    """After 'I am' and a name: 'and', 'from'. After anything else it was part of a longer phrase ('I'm Bob's boss')."""
    inside: str
    """Prepositions that places have and people hardly ever."""
    here: str = "$^"
    """What may follow the speaker's own name: 'Bob speaking'."""


CUES: Final[dict[str, Cues]] = {
    "en": Cues(
        my_name_is=(
            r"my name is|my name's|i go by|please call me|you can call me"
            r"|(?:i'm|i am|with) your (?:co-?)?host"
        ),
        this_is=r"this is|it's",
        i_am=r"i'm|i am",
        welcome=(
            r"(?:(?:let's|let us|please) )?welcome(?: back)? to the (?:show|stage|program|podcast)"
            r"|(?:let's|let us|please|please join me in) welcom(?:e|ing)"
            r"|(?:joined(?: today| here| now| tonight| as always| once again)* by|joining (?:me|us)(?: \w+)? is"
            r"|(?:our|my)(?: \w+)? guest(?: \w+){0,3} is|our next (?:speaker|guest|caller)(?: is)?|introduc(?:e|ing)"
            r"|(?:i'm|i am|we're|we are)(?: \w+)? (?:talking|speaking|here|sitting down|chatting)(?: \w+)? with)"
            r"(?: (?:my|our)(?: [\w-]+){1,3}?)?"
        ),
        over_to=r"over to(?: you)?|hand (?:it )?(?:over )?to|pass it to|go ahead|take it away|your turn",
        thanks=r"thanks(?: a lot| so much| very much| again)?|thank you(?: so much| very much| again)?|cheers",
        greeting=(
            r"hi|hello|hey|hi there|hello there|good (?:morning|afternoon|evening|day|to see you)|welcome(?: back)?"
            r"|nice to meet you|bye|goodbye|see you|how are you(?: doing)?"
        ),
        you=r"you|your|you're|you've|yours|please|sorry|welcome|thanks|\A(?:yes|no|right|okay|sure)",
        goes_on=r"and|from|in|with|at|for|here|speaking|calling|your|the|of|i|a|an|on|reporting|by|or|over|aka",
        inside=r"in|across|near|throughout",
        here=r"here|speaking|calling|reporting",
    ),
    "de": Cues(
        my_name_is=r"mein name ist|ich heiße|ich heisse",
        this_is=r"hier ist|hier spricht|am apparat ist",
        i_am=r"ich bin die|ich bin der",
        welcome=(
            r"(?:begrüßen sie|begrüßen wir|ich begrüße|wir begrüßen|willkommen heißen)(?: herzlich| heute)*"
            r"|zu gast ist(?: heute)?"
        ),
        over_to=r"ich übergebe an|ich gebe weiter an|das wort hat",
        thanks=r"danke(?: schön| sehr)?|vielen dank|besten dank",
        greeting=r"hallo|hi|guten (?:tag|morgen|abend)|grüß (?:dich|sie)|servus|moin|tschüss|willkommen",
        you=r"du|sie|ihnen|ihr|euch|dir|dich|bitte",
        goes_on=r"und|aus|von|vom|in|bei|mit|hier|am",
        inside=r"in|nach",
        here=r"am apparat|hier",
    ),
    "fr": Cues(
        my_name_is=r"je m['’ ]?appelle|mon nom est|moi,? c'est",  # noqa: RUF001
        this_is=r"ici|c'est",
        i_am=r"je suis",
        welcome=(
            r"(?:accueillons|j'accueille|nous accueillons|nous recevons|je reçois)(?: aujourd'hui)?"
            r"|notre invitée?(?: \w+)? est"
        ),
        over_to=r"à vous|à toi|la parole est à|je passe la parole à",
        thanks=r"merci(?: beaucoup| bien)?",
        greeting=r"bonjour|bonsoir|salut|bienvenue|au revoir",
        you=r"tu|vous|te|toi|votre|vos",
        goes_on=r"et|de|du|à|chez|en|le|la|votre|je",
        inside=r"en|à",
    ),
    "es": Cues(
        my_name_is=r"me llamo|mi nombre es",
        this_is=r"habla|les habla|aquí",
        i_am=r"soy|yo soy",
        welcome=(
            r"(?:damos|demos|doy) la bienvenida a|nos acompaña(?: hoy)?|nuestr[oa] invitad[oa](?: \w+)? es"
            r"|les presento a"
        ),
        over_to=r"adelante|le doy la palabra a|te toca",
        thanks=r"(?:muchas )?gracias",
        greeting=r"hola|buen[oa]s (?:días|tardes|noches)|bienvenid[oa]|adiós",
        you=r"tú|usted|ustedes|te|tu|su|vosotros",
        goes_on=r"y|de|del|en|desde|con|su|tu|el|la",
        inside=r"en",
    ),
    "it": Cues(
        my_name_is=r"mi chiamo|il mio nome è",
        this_is=r"qui è|parla",
        i_am=r"sono|io sono",
        welcome=r"diamo il benvenuto a|(?:il nostro|la nostra) ospite(?: \w+)? è|vi presento",
        over_to=r"a te|a lei|passo la parola a",
        thanks=r"grazie(?: mille| tante)?",
        greeting=r"ciao|buongiorno|buonasera|salve|benvenut[oa]|arrivederci",
        you=r"tu|lei|voi|ti|vi|tuo|suo",
        goes_on=r"e|di|da|del|della|dal|dalla|in|con|il|la",
        inside=r"in",
    ),
    "pt": Cues(
        my_name_is=r"me chamo|chamo-me|(?:o )?meu nome é",
        this_is=r"aqui é|aqui fala|fala",
        i_am=r"(?:eu )?sou (?:o|a)|eu sou",
        welcome=r"vamos receber|recebemos|boas-vindas (?:a|ao|à)|(?:nosso|nossa) convidad[oa](?: \w+)? é",
        over_to=r"passo a palavra (?:a|ao|à)|é com você",
        thanks=r"(?:muito )?obrigad[oa]|valeu",
        greeting=r"olá|oi|bom dia|boa (?:tarde|noite)|bem-vind[oa]|tchau",
        you=r"você|vocês|tu|te|seu|sua",
        goes_on=r"e|de|da|do|em|com|o|a",
        inside=r"em|no|na",
    ),
    "nl": Cues(
        my_name_is=r"mijn naam is|ik heet",
        this_is=r"je spreekt met|u spreekt met|met",
        i_am=r"ik ben",
        welcome=r"(?:we|wij) verwelkomen|onze gast(?: \w+)? is|te gast is(?: vandaag)?|welkom aan",
        over_to=r"ik geef het woord aan|over naar",
        thanks=r"dank (?:je|u)(?: wel)?|bedankt|dankjewel",
        greeting=r"hallo|hoi|dag|goede(?:morgen|middag|navond)|welkom|tot ziens",
        you=r"je|jij|jou|u|uw|jullie",
        goes_on=r"en|van|uit|in|bij|met|de|het|hier",
        inside=r"in",
    ),
}
"""Languages whose recognised text has capitals for names. 'Ich bin' and a noun is no name in German."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TITLES: Final = _set("""
    dr doctor mr mrs ms miss mister prof professor sir madam captain colonel general senator congressman
    congresswoman governor president chairman chairwoman judge justice reverend father sister brother pastor
    rabbi officer sergeant inspector detective lord lady dame uncle aunt councillor councilor councilmember
    commissioner mayor minister secretary ambassador chef coach herr frau monsieur madame mademoiselle mme
    mlle señor señora señorita don doña sr sra signor signora signore dottor dottoressa dottore dr.ssa senhor
    senhora dona meneer mevrouw mijnheer
""")
"""Stand before a name, and alone are none."""

PARTICLES: Final = _set("de del della der den di da do dos das du la le van von zu bin ibn ben al el y e st")
"""Stand within a name in lower case."""

# How one addresses those whose name one does not know, or need not say.
_ADDRESSES: Final = _set("""
    everyone everybody all folks guys ladies gentlemen friends team world mom mum mama mommy dad daddy papa
    grandma grandpa honey darling dear boss sire chair speaker teacher nurse man dude bro mate buddy operator
    host anchor god lord jesus christ heaven allah buddha santa siri alexa cortana google echo bixby madam
    ma'am leute freunde zusammen damen herren tous monde messieurs mesdames amigos todos señores ragazzi tutti
    pessoal gente iedereen allemaal dios deus dio gott dieu
""")

# May, April and June are names, too; too many months to suggest them.
_DAYS: Final = _set("""
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december christmas easter thanksgiving halloween ramadan hanukkah
""")

# Where one is from, and what one is.
_ORIGINS: Final = _set("""
    american african asian australian austrian belgian brazilian british canadian chinese colombian cuban
    czech danish dutch egyptian english european finnish french german greek hispanic hungarian indian
    indonesian iranian iraqi irish israeli italian japanese korean latino latina mexican moroccan nigerian
    norwegian pakistani palestinian persian polish portuguese puerto romanian russian saudi scottish serbian
    spanish swedish swiss syrian taiwanese thai turkish ukrainian vietnamese welsh yankee texan californian
    catholic muslim jewish buddhist hindu protestant republican democrat democratic libertarian conservative
    liberal marxist aquarius pisces aries taurus gemini libra scorpio sagittarius capricorn africa america
    argentina asia australia austria belgium brazil britain canada chile china colombia cuba denmark egypt
    england ethiopia europe finland france germany ghana greece hungary iceland india indonesia iran iraq
    ireland israel italy japan kenya korea kuwait lebanon libya malaysia mexico morocco nepal netherlands
    nigeria norway pakistan peru philippines poland portugal qatar romania russia scotland serbia singapore
    spain sudan sweden switzerland syria taiwan thailand tunisia turkey uganda ukraine venezuela vietnam wales
    yemen zimbabwe alabama alaska arizona arkansas california colorado connecticut delaware florida hawaii
    idaho illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota
    mississippi missouri montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah
    vermont wisconsin wyoming new north south east west amsterdam athens atlanta baltimore bangkok barcelona
    beijing berlin birmingham boston brussels cairo chicago cleveland dubai dublin edinburgh frankfurt glasgow
    hamburg helsinki istanbul jerusalem lisbon liverpool london los madrid manchester manhattan melbourne
    miami milan moscow mumbai munich naples nashville oslo philadelphia pittsburgh prague rome san seattle
    seoul shanghai stockholm tokyo toronto vancouver vegas vienna warsaw washington zurich
""")

# Who present themselves with the same words.
_MAKERS: Final = _set("""
    amazon apple bbc cnn disney facebook fox instagram intel linux microsoft netflix npr nvidia python reddit
    tesla tiktok twitter wikipedia windows youtube zoom internet radio news television episode chapter part
""")

# What begins sentences and answers, should a recogniser put no full stop before it.
_COMMON: Final = _set("""
    i yes yeah yep no nope okay ok well so now then and but or if what when where who why how the this that
    these those there here it he she we they you my your our his her its is are was do did not just also maybe
    because to of in on at by for from with as
    oh ah um uh hmm please sorry sure right great good hello hi hey bye thanks thank welcome
""")

NOT_NAMES: Final = _ADDRESSES | _COMMON
"""No part of a name, with whatever capital."""

NOT_PEOPLE: Final = NOT_NAMES | _DAYS | _ORIGINS | _MAKERS
"""No names begin with these, though 'I'm', 'this is' or 'thanks' may stand before them; 'Jack London' is one."""
