"""Feature flags: typed, with a safe variant each, one kill switch over all, and a file that real flag clients read."""

from engine.flags.evaluation import ErrorCode, Evaluation, FlagSnapshot, KillState, PastKill, Reason
from engine.flags.flagd_file import FILE_NAME
from engine.flags.flagd_format import file_text
from engine.flags.importing import ImportedFlags, ImportReport, parse_flagd, read_flagd
from engine.flags.model import KINDS, Flag, Kind, Share, Split
from engine.flags.standard import STANDARD_FLAGS
from engine.flags.store import KILL_WORD, RESTORE_WORD, FlagCheck, FlagStore, PublishReport
from engine.flags.telemetry import EVENT_NAME, evaluation_event
from engine.flags.writer import FLAG_KIND, SWITCH_KIND, FlagWriter

__all__ = [
    "EVENT_NAME",
    "FILE_NAME",
    "FLAG_KIND",
    "KILL_WORD",
    "KINDS",
    "RESTORE_WORD",
    "STANDARD_FLAGS",
    "SWITCH_KIND",
    "ErrorCode",
    "Evaluation",
    "Flag",
    "FlagCheck",
    "FlagSnapshot",
    "FlagStore",
    "FlagWriter",
    "ImportReport",
    "ImportedFlags",
    "KillState",
    "Kind",
    "PastKill",
    "PublishReport",
    "Reason",
    "Share",
    "Split",
    "evaluation_event",
    "file_text",
    "parse_flagd",
    "read_flagd",
]
