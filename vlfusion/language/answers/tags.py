"""Tags in the answers of models, around reasoning, turns and the answer itself."""

import re

_THOUGHT = (r'think(?:ing)?(?:_process)?|thoughts?|reason(?:ing)?|reflection|analysis|scratch_?pad|'
            r'(?:inner_)?monologue|seed:think|ant_?thinking|chain_of_thought|cot|rationale|deliberation')
_OPENS = (rf'<\s*(?:{_THOUGHT})\b[^<>]*(?:>|\Z)|\[(?:{_THOUGHT})\]|◁think▷|<unused94>|'
          r'<\|?(?:begin_of_thought|begin_of_reasoning|START_THINKING)\|?>')
_CLOSES = (rf'<\s*/\s*(?:{_THOUGHT})\s*>|\[/(?:{_THOUGHT})\]|◁/think▷|<unused95>|'
           r'<\|?(?:end_of_thought|end_of_reasoning|END_THINKING)\|?>')
_BORDERS = re.compile(f'(?P<opens>{_OPENS})|(?P<closes>{_CLOSES})', re.IGNORECASE)
#: Blocks of reasoning in HTML or in fences.
_BLOCKS = re.compile(r'<details\s[^<>]*type="?reasoning.*?(?:</details\s*>|\Z)'
                     rf'|```(?:{_THOUGHT})\s*\n.*?(?:\n\s*```|\Z)', re.IGNORECASE | re.DOTALL)
#: Channels of gpt-oss. A server may have dropped their special tokens.
_ANALYSIS = re.compile(r'<\|channel\|>(?:analysis|commentary)|\Aanalysis(?=[A-Z"“])')
_FINAL = re.compile(r'<\|channel\|>final[^<]*<\|message\|>|assistantfinal(?=\S)')
_WRAPPERS = re.compile(
    r'<(answer|final(?:_answer)?|output|response|result|(?:image_)?description|caption|paragraph|summary)>(?P<tag>.*?)'
    r'(?:</\1>|\Z)|<\|begin_of_box\|>(?P<box>.*?)(?:<\|end_of_box\|>|\Z)', re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r'\s*```[\w-]*\s*\n(.*?)\n?\s*```\s*', re.DOTALL)
_TURN_ENDS = re.compile(r'<\|(?:im_end|eot_id|endoftext|end|end_of_text|return)\|>|<end_of_turn>|</s>|<eos>')
_SPECIAL = re.compile(r'<[|｜][^<>|｜\n]{1,40}[|｜]>|<(?:s|bos|pad|unk|start_of_turn)>|\[/?INST\]')


def without_reasoning(text: str) -> tuple[str, bool]:
    """Remove reasoning and special tokens from a text. Also return True if there was any reasoning.

    Reasoning ends at its closing tag, also if the prompt opened it. Reasoning that is never closed reaches the end.

    >>> without_reasoning('The user wants ...</think>A wall.'), without_reasoning('A wall. <thinking>But')
    (('A wall.', True), ('A wall. ', True))
    """
    if finals := list(_FINAL.finditer(text)):
        answer, has_reasoning = text[finals[-1].end():], True
    elif _ANALYSIS.search(text):
        return '', True
    else:
        text, blocks = _BLOCKS.subn('', text)
        answer, borders = _outside(text)
        has_reasoning = bool(blocks or borders)
    turn = next((turn for turn in _TURN_ENDS.split(answer) if turn.strip()), '')
    return _SPECIAL.sub('', turn), has_reasoning


def _outside(text: str) -> tuple[str, int]:
    """Return the text outside of reasoning, and the number of tags of reasoning."""
    kept, depth, end, borders = [], 0, 0, list(_BORDERS.finditer(text))
    for border in borders:
        if depth == 0:
            kept.append(text[end:border.start()])
        end = border.end()
        if border['opens']:
            depth += not border[0].endswith('/>')
        elif depth:
            depth -= 1
        else:  # the prompt opened the reasoning before this tag
            kept.clear()
    return ''.join(kept) + (text[end:] if depth == 0 else ''), len(borders)


def reasoning_tag(prompt: str) -> str:
    """Return the tag with which a rendered prompt opens the model's reasoning; empty if there is none.

    >>> reasoning_tag('<|user|>Describe it.<|assistant|><think>\\n'), reasoning_tag('<think></think>')
    ('<think>', '')
    """
    end = prompt[-80:]
    borders = list(_BORDERS.finditer(end))
    return borders[-1][0] if borders and borders[-1]['opens'] and not end[borders[-1].end():].strip() else ''


def tagged(text: str) -> str:
    """Return the first tag of reasoning in a text; empty if there is none."""
    match = _BORDERS.search(text) or _ANALYSIS.search(text)
    return match[0] if match else ''


def unwrapped(text: str) -> str:
    """Return the text inside `<answer>` or a similar tag, and inside a fence around the whole."""
    if match := _WRAPPERS.search(text):
        text = match['tag'] if match['tag'] is not None else match['box']
    fence = _FENCE.fullmatch(text)
    return fence[1] if fence else text
