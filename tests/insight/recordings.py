"""Transcripts to make insights of: a staff meeting as a recogniser writes it, and texts of the test recordings."""

import re
from pathlib import Path

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import Transcript

MEETING = """
0 Okay, good morning everybody, thanks for joining.
0 This is the weekly meeting of the release team.
0 Let's start with the mobile app, Priya, where are we?
1 So the new login screen is finished.
1 We tested it on Android and on the older iPhones.
1 There's one crash left when the phone has no network.
0 How bad is it?
1 It happens to maybe two percent of the users.
2 I saw the same crash in the logs yesterday.
1 Yeah, Tomasz is looking at it.
2 I can have a fix by Thursday.
0 Great, so Tomasz fixes the crash by Thursday.
0 What about the release date?
1 Honestly I wouldn't ship on the tenth.
2 Me neither, the crash fix needs a week of testing.
0 Okay, then let's push the release to the seventeenth of May.
1 Sounds good.
2 Agreed.
0 So that's decided, we ship on the seventeenth.
0 I'll tell the marketing people today.
3 Can I ask something about the budget?
0 Sure, Helen, go ahead.
3 The cloud costs went up again, we paid forty thousand dollars in April.
3 That's a third more than in March.
1 Wow.
2 That's the video storage, I think.
2 We keep every upload forever.
3 Do we really need to keep them forever?
2 No, ninety days would be enough for most customers.
0 Is there a legal reason to keep them?
3 I don't know, I have to check with the lawyers in Dublin.
0 Okay, Helen, please ask the lawyers and tell us next week.
3 I will.
2 If they agree we could delete old videos automatically.
2 That would save about half of the storage.
0 Good, we come back to that next Monday.
0 Then hiring.
0 We have two open positions in the support team.
1 I interviewed a woman from Lisbon on Tuesday, she was really strong.
1 She has worked with Zendesk for six years.
3 Did you like the other candidate?
1 Not so much, he had never talked to a customer.
0 So do we want to make her an offer?
1 I would, absolutely.
3 Me too.
0 Then we make her an offer this week, Priya, can you write it?
1 Yes, I'll send you a draft tomorrow.
0 Perfect.
2 One more thing, the office move.
2 The new building is only ready in September now.
0 What, again?
2 The electricians are late, they said.
3 So we need to extend the lease here.
0 Who talks to the landlord?
3 I can call him this afternoon.
0 Thank you, Helen.
0 Anything else?
1 No.
2 I'm worried that nobody tests the export function.
0 That's a fair point, let's discuss it next time.
0 Okay, thanks everybody, bye.
"""


def meeting() -> Transcript:
    """Four speakers, 61 sentences, about 4 minutes."""
    return spoken(MEETING)


def spoken(lines: str, language: str = "en") -> Transcript:
    """One segment for each line, 'speaker text', a short pause after each; '-' is nobody known."""
    turns, start = [], 0.5
    for line in filter(None, lines.splitlines()):
        who, text = line.split(" ", 1)
        words = timed(text, start)
        start = words[-1].end + 0.6
        turns.append((None if who == "-" else f"SPEAKER_{int(who):02}", words))
    return transcript_of(turns, language)


def read_aloud(text: str, language: str = "en") -> Transcript:
    """By one speaker, a segment for each sentence or clause of 12 words."""
    sentences = re.split(r"(?<=[.!?;])\s+", " ".join(text.split()))
    lines = [f"0 {sentence}" for sentence in sentences if sentence]
    return spoken("\n".join(lines), language)


def stm(path: Path) -> Transcript:
    """A reference transcript: one segment for each of its lines."""
    turns = []
    labels: dict[str, str] = {}
    for line in path.read_text().splitlines():
        _, _, who, start, end, text = line.split(" ", 5)
        label = labels.setdefault(who, f"SPEAKER_{len(labels):02}")
        words = text.split()
        step = (float(end) - float(start)) / len(words)
        turns.append((label, timed(words, float(start), step, 0.0)))
    return transcript_of(turns)
