"""RTTM (.rttm): who speaks when, for diarization tools and their scoring (pyannote, dscore, NIST md-eval); Rich
Transcription Time Marked, NIST RT-09 evaluation plan, appendix A.

One SPEAKER line a diarization turn, overlaps kept, times in seconds; it holds no words. Fields stand between spaces, so
file names lose theirs. Speakers are labels (SPEAKER_00), which the JSON export explains: two people may share a name,
and tools have their own idea of one called 'NA'.
"""

import re

from transcribe_pipeline.export.script import MalformedExport, Script, identifier

_LINE = re.compile(r"SPEAKER \S+ 1 (?P<start>\d+\.\d{3}) (?P<duration>\d+\.\d{3}) <NA> <NA> (?P<speaker>\S+) <NA> <NA>")


def render(script: Script) -> str:
    file = identifier(script.file_name)
    lines = (f"SPEAKER {file} 1 {start} {length} <NA> <NA> {who} <NA> <NA>\n" for start, length, who in _turns(script))
    return "".join(lines)


def read_turns(text: str) -> list[str]:
    """'start duration speaker' of every line. Raises MalformedExport."""
    *lines, rest = text.split("\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    if rest or not all(matches):
        raise MalformedExport("not every line is a whole SPEAKER line")
    return [f"{match['start']} {match['duration']} {match['speaker']}" for match in matches if match]


def turns(script: Script) -> list[str]:
    """What `read_turns` must find."""
    return [" ".join(turn) for turn in _turns(script)]


def _turns(script: Script) -> list[tuple[str, str, str]]:
    return [
        (f"{turn.start:.3f}", f"{turn.end - turn.start:.3f}", identifier(turn.speaker))
        for turn in script.transcript.turns
        if turn.end > turn.start
    ]
