"""What every dialect means: the one form that all translation goes through.

**Why there is one.** Four dialects would make twelve pairs. Instead each dialect has one codec to and from
the canonical form, and any client dialect meets any upstream dialect here::

    client bytes --decode_request--> Request  --encode_request--> upstream bytes
    client bytes <--encode_response- Response <--decode_response- upstream bytes
    client bytes <--StreamEncoder--- events   <--StreamDecoder--- upstream bytes

Traffic between equal dialects is forwarded as it is and does not come here, with one exception: a body that
holds a sealed signature (``parts.SEAL_PREFIX``) must be translated, since no vendor can read one.

**What it is.** The canonical form is neither the union of the dialects nor what they have in common. It
holds what a model can notice or a caller can rely on, once, under the field's usual name. A vendor's own
fields ride along beside it, tagged with their owner, and nobody else interprets them. Four rules follow:

1. *Meaning, not spelling.* ``system`` on top or as a message, ``stop`` as a string or a list, an image as a
   data URL or as base64: one value here.
2. *Absent is not a default, None is not zero.* What was not said stays unsaid, so the target's own default
   applies; what was not counted stays uncounted, so that nobody is charged a guess.
3. *Nothing is dropped silently.* What has no place becomes a ``Loss`` with a name and a severity, noted by
   whoever drops it: the decoder for what the canonical form cannot hold, the encoder for what its dialect
   or target cannot.
4. *What belongs to one vendor goes back to that vendor only.* Signatures, encrypted reasoning, file ids and
   search tokens carry their ``Origin``. Through a client of another dialect they travel sealed.

**Where things are.** ``parts``: what messages are made of, and sealing. ``request``: what is asked for, and
names of tools. ``events``: an answer as it happens. ``response``: an answer as a whole, and both ways
between the two. ``usage``: token counts. ``losses``: what could not be carried. How a codec uses all this,
with the tables of stop reasons, efforts and errors, is written at the top of ``ruapi.dialects.dialect``.

The package is pure: values and functions of them. It waits for nothing, reads no clock and rolls no dice.
"""

from __future__ import annotations

from ruapi.canon.events import AnyEvent, ErrorCategory, ErrorReport, PartSequencer, Stop, StopReason
from ruapi.canon.losses import Loss, LossRecorder, Severity, loss, unsupported_field
from ruapi.canon.parts import DialectName, Origin, Part, Signature
from ruapi.canon.request import Request, Tool, ToolNames, Turn
from ruapi.canon.response import Choice, Response, ResponseFolder, fold, unfold
from ruapi.canon.usage import Usage

__all__ = [
    "AnyEvent",
    "Choice",
    "DialectName",
    "ErrorCategory",
    "ErrorReport",
    "Loss",
    "LossRecorder",
    "Origin",
    "Part",
    "PartSequencer",
    "Request",
    "Response",
    "ResponseFolder",
    "Severity",
    "Signature",
    "Stop",
    "StopReason",
    "Tool",
    "ToolNames",
    "Turn",
    "Usage",
    "fold",
    "loss",
    "unfold",
    "unsupported_field",
]
