"""How times are said, by language: regular expressions, to be matched whatever the case between word boundaries, with
straight apostrophes.

`DATES`: clear to everybody. A day and month without a year count as clear: few recordings speak of other years without
naming them. `RELATIVE`: clear only to those who were there, with the confidence that they are about time at all: 0.95
where nothing else can be meant ('three weeks ago'), 0.6 to 0.8 where something else may be: a habit ('Fridays'), a
length of time ('we did it in two weeks'). Minutes and hours are left out: they are matters of the moment.
"""

from typing import Final

Relative = tuple[tuple[float, str], ...]

NUMERIC_DATE: Final = r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2})"
_YEAR: Final = r"(?:19|20)\d{2}"


def _any(words: str) -> str:
    """An expression for any of the words; '~' stands for a space within one."""
    return f"(?:{'|'.join(words.split()).replace('~', ' ')})"


# --- English --------------------------------------------------------------------------------------------------------

_EN_NUMBER = _any(r"\d{1,3} an? one two three four five six seven eight nine ten twelve a~couple~of a~few several many")
_EN_UNIT = _any("days? weeks? weekends? months? quarters? years? decades?")
_EN_DAY = _any("monday tuesday wednesday thursday friday saturday sunday")
_EN_MONTH = _any("january february march april may june july august september october november december")
# 'may 5 people come': as dates these two need their capital.
_EN_DATE_MONTH = _any(
    "january february (?-i:March) april (?-i:May) june july august september october november december"
)
_EN_PART = _any("morning afternoon evening night noon")
_EN_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty[- ]|thirty[- ])?(?:first|second|third|fourth|fifth|sixth|seventh|eighth"
    r"|ninth)|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth)"
)
_EN_WHICH = _any("last next this~coming this~past the~following the~coming")
_EN_SPAN = _any("week weekend month quarter year semester term spring summer autumn fall winter")

_EN_DATES = (
    rf"{_EN_DATE_MONTH} (?:the )?(?:{_EN_ORDINAL}|\d{{1,2}})(?:,? {_YEAR})?|{_EN_DATE_MONTH},? {_YEAR}"
    rf"|(?:the )?(?:{_EN_ORDINAL}|\d{{1,2}})(?: of)? {_EN_DATE_MONTH}(?:,? {_YEAR})?"
    rf"|(?:in|since|until|by|of|year|around) {_YEAR}"
)
_EN_RELATIVE: Relative = (
    (0.95, rf"(?:day before )?yesterday(?: {_EN_PART})?|(?:day after )?tomorrow(?: {_EN_PART})?|last night|tonight"),
    (0.95, rf"{_EN_NUMBER} {_EN_UNIT} (?:ago|from now|from today)|{_EN_UNIT} ago"),
    (0.95, rf"(?:{_EN_WHICH}|this) {_EN_DAY}(?: {_EN_PART})?|{_EN_DAY} (?:last|next|this) week|a week from {_EN_DAY}"),
    (0.9, rf"(?:on|by|until|till|since|before|after) {_EN_DAY}(?: {_EN_PART})?"),
    (0.9, rf"{_EN_WHICH} (?:{_EN_SPAN}|{_EN_MONTH})|(?:earlier|later) this (?:week|month|quarter|year)"),
    (0.9, r"(?:end|beginning|start|middle) of (?:the|this|next) (?:day|week|month|quarter|year)"),
    (0.8, rf"this (?:{_EN_SPAN}|{_EN_PART})|(?:in|since|until|till|before|by|early|late|mid|end of) {_EN_MONTH}"),
    (0.75, rf"in (?:about |around |roughly )?{_EN_NUMBER} (?:days?|weeks?|months?|years?)(?:' time)?"),
    (0.7, rf"today|the other (?:day|week)|(?<!every )(?<!each ){_EN_DAY}(?: {_EN_PART})?"),
)

# --- German ---------------------------------------------------------------------------------------------------------

_DE_NUMBER = _any(r"\d{1,3} eine[mnr]? zwei drei vier fünf sechs sieben acht neun zehn zwölf ein~paar einigen mehreren")
_DE_UNIT = _any("tag(?:en?)? wochen? monat(?:en?)? quartal(?:en?)? jahr(?:en?)?")
_DE_DAY = _any("montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag")
_DE_MONTH = _any("januar jänner februar märz april mai juni juli august september oktober november dezember")
_DE_PART = _any("früh morgen vormittag mittag nachmittag abend nacht")
_DE_WHICH = _any("(?:letzt|nächst|vorig|vergangen|kommend|dies)e[mnrs]?")

_DE_DATES = rf"\d{{1,2}}\. ?{_DE_MONTH}(?: {_YEAR})?|{_DE_MONTH} {_YEAR}|(?:jahre?|seit|bis|von) {_YEAR}"
_DE_RELATIVE: Relative = (
    (0.95, rf"(?:vor)?gestern(?: {_DE_PART})?|übermorgen(?: {_DE_PART})?|heute {_DE_PART}|(?-i:morgen) {_DE_PART}"),
    (
        0.95,
        rf"vor {_DE_NUMBER} {_DE_UNIT}"
        rf"|{_DE_WHICH} (?:{_DE_DAY}|{_DE_MONTH}|woche|wochenende|monats?|quartals?|jahr(?:es)?)",
    ),
    (0.9, rf"(?:am|bis|ab|seit|vor|nach) {_DE_DAY}|ende (?:der woche|des monats|des quartals|des jahres)"),
    (0.8, rf"in {_DE_NUMBER} {_DE_UNIT}|(?:im|ab|bis|seit|anfang|mitte|ende) {_DE_MONTH}"),
    # 'Morgen!' and 'am Morgen' are no tomorrow.
    (0.7, rf"heute|(?-i:morgen)|{_DE_DAY}"),
)

# --- French ---------------------------------------------------------------------------------------------------------

_FR_NUMBER = _any(r"\d{1,3} une? deux trois quatre cinq six sept huit neuf dix douze quinze quelques plusieurs")
_FR_UNIT = _any("jours? semaines? mois trimestres? ans? années?")
_FR_DAY = _any("lundi mardi mercredi jeudi vendredi samedi dimanche")
_FR_MONTH = _any("janvier février mars avril mai juin juillet août septembre octobre novembre décembre")

_FR_DATES = rf"(?:1er|premier|\d{{1,2}}) {_FR_MONTH}(?: {_YEAR})?|{_FR_MONTH} {_YEAR}|(?:en|depuis|de|année) {_YEAR}"
_FR_RELATIVE: Relative = (
    (0.95, r"(?:avant-)?hier(?: (?:matin|soir))?|(?:après-)?demain(?: (?:matin|soir))?|ce soir|cette nuit"),
    (0.95, rf"(?:{_FR_DAY}|semaine|mois|trimestre|année|an) (?:derni(?:er|ère)|prochaine?|passée?|suivante?)"),
    (0.9, rf"dans {_FR_NUMBER} {_FR_UNIT}|(?:la )?fin (?:de la semaine|du mois|du trimestre|de l'année)"),
    (0.8, rf"il y a {_FR_NUMBER} {_FR_UNIT}|(?:en|depuis|avant|fin|début|courant) {_FR_MONTH}"),
    (0.8, r"ce matin|cet après-midi|cette (?:semaine|année)|ce (?:mois|trimestre|week-end)"),
    (0.7, rf"aujourd'hui|l'autre jour|{_FR_DAY}"),
)

# --- Spanish --------------------------------------------------------------------------------------------------------

_ES_NUMBER = _any(r"\d{1,3} una? un dos tres cuatro cinco seis siete ocho nueve diez doce unos unas varios varias")
_ES_UNIT = _any("días? semanas? mes(?:es)? trimestres? años?")
_ES_DAY = _any("lunes martes miércoles jueves viernes sábado domingo")
_ES_MONTH = _any("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre")

_ES_DATES = rf"(?:primero|\d{{1,2}}) de {_ES_MONTH}(?: del? {_YEAR})?|{_ES_MONTH} del? {_YEAR}|(?:en|desde|año) {_YEAR}"
_ES_RELATIVE: Relative = (
    (0.95, r"anteayer|ayer|anoche|pasado mañana|esta (?:tarde|noche)"),
    (0.95, rf"(?:{_ES_DAY}|semana|mes|trimestre|año) (?:pasad[oa]|próxim[oa]|que viene|siguiente)"),
    (0.95, rf"(?:próxim[oa]|pasad[oa]) (?:{_ES_DAY}|semana|mes|trimestre|año)"),
    (0.9, rf"dentro de {_ES_NUMBER} {_ES_UNIT}|fin(?:ales)? de(?:l| la| este| esta) (?:semana|mes|trimestre|año)"),
    (0.8, rf"hace {_ES_NUMBER} {_ES_UNIT}|(?:en|desde|hasta|para) {_ES_MONTH}|este (?:mes|año|trimestre)|esta semana"),
    # 'por la mañana' is in the morning.
    (0.7, rf"hoy|(?<!la )(?<!esta )(?<!de )mañana|el otro día|{_ES_DAY}"),
)

# --- Italian --------------------------------------------------------------------------------------------------------

_IT_NUMBER = _any(r"\d{1,3} una? un due tre quattro cinque sei sette otto nove dieci dodici qualche alcuni alcune")
_IT_UNIT = _any("giorn[oi] settiman[ae] mes[ei] trimestr[ei] ann[oi]")
_IT_DAY = _any("lunedì martedì mercoledì giovedì venerdì sabato domenica")
_IT_MONTH = _any("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre")

_IT_DATES = rf"(?:primo|\d{{1,2}}) {_IT_MONTH}(?: {_YEAR})?|{_IT_MONTH} {_YEAR}|(?:nel|dal|anno) {_YEAR}"
_IT_RELATIVE: Relative = (
    (0.95, r"(?:l'altro )?ieri(?: (?:mattina|sera))?|dopodomani|domani(?: (?:mattina|sera))?|stasera|stanotte"),
    (
        0.95,
        rf"{_IT_NUMBER} {_IT_UNIT} fa|(?:{_IT_DAY}|settimana|mese|trimestre|anno) (?:scors[oa]|prossim[oa]|passat[oa])",
    ),
    (0.95, rf"(?:scors[oa]|prossim[oa]) (?:{_IT_DAY}|settimana|mese|trimestre|anno)"),
    (0.9, rf"(?:tra|fra) {_IT_NUMBER} {_IT_UNIT}|(?:entro|alla|per la) fine (?:della settimana|del mese|dell'anno)"),
    (0.8, rf"(?:a|in|da|entro) {_IT_MONTH}|stamattina|questa settimana|quest'anno|questo (?:mese|trimestre)"),
    (0.7, rf"oggi|l'altro giorno|{_IT_DAY}"),
)

# --- Portuguese -----------------------------------------------------------------------------------------------------

_PT_NUMBER = _any(r"\d{1,3} uma? um dois duas três quatro cinco seis sete oito nove dez doze alguns algumas")
_PT_UNIT = _any("dias? semanas? m(?:ês|eses) trimestres? anos?")
_PT_DAY = _any("(?:segunda|terça|quarta|quinta|sexta)-feira sábado domingo")
_PT_MONTH = _any("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro")

_PT_DATES = rf"(?:primeiro|\d{{1,2}}) de {_PT_MONTH}(?: de {_YEAR})?|{_PT_MONTH} de {_YEAR}|(?:em|desde|ano) {_YEAR}"
_PT_RELATIVE: Relative = (
    (0.95, r"anteontem|ontem(?: à noite)?|depois de amanhã|amanhã(?: de manhã)?|(?:hoje|esta) à? ?noite"),
    (0.95, rf"(?:{_PT_DAY}|semana|mês|trimestre|ano) (?:passad[oa]|que vem|seguinte)"),
    (0.95, rf"(?:próxim[oa]|passad[oa]) (?:{_PT_DAY}|semana|mês|trimestre|ano)|{_PT_NUMBER} {_PT_UNIT} atrás"),
    (0.9, rf"daqui a {_PT_NUMBER} {_PT_UNIT}|(?:fim|final) d[oae](?:ste|sta)? (?:semana|mês|trimestre|ano)"),
    (0.8, rf"há {_PT_NUMBER} {_PT_UNIT}|(?:em|desde|até) {_PT_MONTH}|est[ea] (?:semana|mês|trimestre|ano)"),
    (0.7, rf"hoje|outro dia|{_PT_DAY}"),
)

# --- Dutch ----------------------------------------------------------------------------------------------------------

_NL_NUMBER = _any(r"\d{1,3} een twee drie vier vijf zes zeven acht negen tien twaalf een~paar enkele")
_NL_UNIT = _any("dag(?:en)? we(?:ek|ken) maand(?:en)? kwartaal jaar jaren")
_NL_DAY = _any("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag")
_NL_MONTH = _any("januari februari maart april mei juni juli augustus september oktober november december")

_NL_DATES = rf"\d{{1,2}} {_NL_MONTH}(?: {_YEAR})?|{_NL_MONTH} {_YEAR}|(?:in|sinds|jaar) {_YEAR}"
_NL_RELATIVE: Relative = (
    (0.95, r"(?:eer)?gisteren(?:avond|middag|ochtend)?|overmorgen|morgen(?:avond|middag|ochtend)|vanavond|vannacht"),
    (
        0.95,
        rf"{_NL_NUMBER} {_NL_UNIT} geleden"
        rf"|(?:vorige?|volgende?|afgelopen|komende?) (?:{_NL_DAY}|week|weekend|maand|kwartaal|jaar)",
    ),
    (0.9, rf"over {_NL_NUMBER} {_NL_UNIT}|(?:op|tot|vanaf|sinds|voor) {_NL_DAY}"),
    (0.9, r"eind(?:e)? (?:van de week|van de maand|van het jaar|deze week|deze maand|dit jaar)"),
    (
        0.8,
        rf"(?:in|sinds|tot|begin|eind) {_NL_MONTH}|vanmorgen|vanmiddag"
        r"|deze (?:week|maand)|dit (?:jaar|kwartaal|weekend)",
    ),
    (0.7, rf"vandaag|(?<!goede)(?-i:morgen)|laatst|{_NL_DAY}"),
)

DATES: Final = {
    **{"en": _EN_DATES, "de": _DE_DATES, "fr": _FR_DATES, "es": _ES_DATES},
    **{"it": _IT_DATES, "pt": _PT_DATES, "nl": _NL_DATES},
}
RELATIVE: Final[dict[str, Relative]] = {
    **{"en": _EN_RELATIVE, "de": _DE_RELATIVE, "fr": _FR_RELATIVE, "es": _ES_RELATIVE},
    **{"it": _IT_RELATIVE, "pt": _PT_RELATIVE, "nl": _NL_RELATIVE},
}
