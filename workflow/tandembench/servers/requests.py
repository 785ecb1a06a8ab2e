"""What a request of OpenAI's protocol must be like for servers to take it: asked by short ones."""

from collections.abc import Mapping, Sequence
from typing import get_args

from tandembench.servers.attach import unusable
from tandembench.study.lock import Limit, Request
from tandembench.text import sanitise
from tandembench.wire import (
    DRIVERS,
    Ask,
    Call,
    Client,
    Json,
    StreamRecord,
    encode,
    stream,
    unauthorised,
    worded,
)

# Its answer is a word, unless the model is kept from ending.
_SHORT_PROMPT, SHORT_TOKENS = "Answer with one word: yes or no?", 48
# What a request may be without, and the words by which a refusal names it.
_REFUSED: Mapping[str, Sequence[str]] = {
    "limit": ("max_tokens", "max_completion_tokens"),
    "stream_options": ("stream_options", "include_usage"),
    "ignore_eos": ("ignore_eos",),
}


async def accepted(
    client: Client, wanted: Mapping[str, Mapping[str, Json]], protocol: str | None, limit_s: float
) -> Request:
    """What a request must be like for all servers to take it, by short ones that are refused.

    ``wanted`` maps URLs to models, each with the options that are to be sent. TandemError (exit
    4) if a server takes none, or fails. ``ignore_eos`` is true if all went on past the model's end.
    """
    limits: tuple[Limit, ...] = get_args(Limit)
    both = (True, False)
    choices = [
        Request(limit=limit, stream_options=options, ignore_eos=forced)
        for forced in both
        for options in both
        for limit in limits
    ]
    calls = [(url, model, one) for url, of in wanted.items() for model, one in of.items()]
    while True:
        lengths = []
        for url, model, options in calls:
            record = await _short(client, url, model, options, choices[0], protocol, limit_s)
            if record.error:
                break
            lengths.append(record.final.answer_tokens)
        else:
            forced = choices[0].ignore_eos and set(lengths) <= {SHORT_TOKENS}
            return choices[0].model_copy(update={"ignore_eos": forced})
        if record.error == "unauthorised":
            raise unauthorised(url)
        if record.error not in ("http_400", "http_422") or len(choices) == 1:
            what = f"a short request to '{model}' failed: {record.error} ({record.detail})"
            fix = "leave out the option that it names, if any; else see the server's log"
            raise unusable(sanitise(what, 400), url, fix)
        choices = _left(choices, record.detail)


def _left(choices: Sequence[Request], refusal: str) -> list[Request]:
    """The choices that remain: without what the refusal of the first one names, if anything."""
    first, *rest = choices
    named = [name for name, words in _REFUSED.items() if any(word in refusal for word in words)]
    other = [one for one in rest if all(getattr(one, n) != getattr(first, n) for n in named)]
    return other or rest


async def _short(
    client: Client,
    url: str,
    model: str,
    options: Json,
    wanted: Request,
    protocol: str | None,
    limit_s: float,
) -> StreamRecord:
    driver = worded(DRIVERS["openai", protocol], wanted.model_dump())
    ask = Ask(model, _SHORT_PROMPT, options, 1, SHORT_TOKENS, fixed=True)
    call = Call(client, url + driver.path, encode(driver, ask), limit_s, ask.max_tokens)
    return await stream(call, driver, limit_s)
