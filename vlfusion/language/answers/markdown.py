"""Markdown turned into prose, because a text encoder should not read asterisks."""

import re
from html import unescape

from vlfusion.language.answers.phrases import TITLE

#: A text without any of these is left as it is.
_MARKED = re.compile(r'[*`~\\]|(?<!\w)_\S|\]\(|&#?\w+;|</?[a-zA-Z]|^\s{0,3}(?:#{1,6}\s|>|[-+•▪‣◦●∙·]\s|\d{1,3}[.)]\s|'
    r'-{3,}\s*$)'
                     r'|^\s*\|.*\|', re.MULTILINE)
_BULLET = re.compile(r'^(\s*)[•▪‣◦●∙·]\s*', re.MULTILINE)
_BREAK = re.compile(r'</?(?:p|br|li|ul|ol|tr|h[1-6]|blockquote|table|hr)\b[^<>]*>', re.IGNORECASE)
_TAG = re.compile(r'</?(?:b|i|u|em|strong|span|code|pre|sup|sub|center|font|small|mark|td|th|thead|tbody|body|'
    r'html)\b[^<>]*>',
                  re.IGNORECASE)
#: A paragraph in bold, which chat models write as a heading.
_BOLD_LINE = re.compile(r'(\*\*|__)[^*_\n]{0,60}[^*_\n.!?]\1\s*:?')
_ENDED = re.compile(r'[.!?:;,…。！？：；，][)"\'”’»」]*$')


def plain(text: str) -> str:
    r"""Return the words of a Markdown text. Items of a list become sentences; headings precede their paragraphs.

    >>> plain('## Foreground\n\n- A **bright** wall\n- A dark road, `2*3*4` wide\n\nThe sky is *grey*.')
    'Foreground: A bright wall. A dark road, 2*3*4 wide. The sky is grey.'
    >>> plain('A house_of_stone, 2 * 3 * 4 metres wide, x < y & z.')
    'A house_of_stone, 2 * 3 * 4 metres wide, x < y & z.'
    """
    if not _MARKED.search(text):
        return text
    text = _BULLET.sub(r'\1- ', _TAG.sub('', _BREAK.sub('\n\n', text)))
    text = re.sub(r'(?<=\w)\*(?=\w)', r'\\*', text)  # a product, not an emphasis
    tokens = _parser().parse(unescape(text))
    blocks, heading, structured, listed = [], '', False, []
    for position, token in enumerate(tokens):
        if token.type in ('bullet_list_open', 'ordered_list_open'):
            listed.append(_number(tokens, position))
        elif token.type in ('bullet_list_close', 'ordered_list_close'):
            listed.pop()
        elif token.type in ('fence', 'code_block') and token.content.strip():
            blocks.append(heading + token.content.strip())
            heading = ''
        elif token.type == 'inline' and (words := _words(token)):
            before = tokens[position - 1].type
            if before == 'heading_open' or _BOLD_LINE.fullmatch(token.content):
                structured = True
                if not TITLE.fullmatch(words):
                    heading += f'{words.rstrip(":")}: '
                continue
            structured |= bool(listed) or before in ('td_open', 'th_open')
            if listed or before in ('td_open', 'th_open'):
                words = f'{listed[-1] if listed else ""}{words}' + ('' if _ENDED.search(words) else '.')
            blocks.append(heading + words)
            heading = ''
    if heading:
        blocks.append(heading.removesuffix(': '))
    return (' ' if structured else '\n\n').join(blocks)


def _parser():
    from markdown_it import MarkdownIt
    parser = MarkdownIt('commonmark').enable(['table', 'strikethrough'])
    # In a description, `<` is a sign, an indented line is not code, and a line above dashes is not a heading.
    return parser.disable(['html_block', 'html_inline', 'autolink', 'reference', 'code', 'lheading'])


def _words(token) -> str:
    pieces = (' ' if child.type in ('softbreak', 'hardbreak')
              else child.content.replace(r'\*', '*') if child.type == 'code_inline' else child.content
              for child in token.children)
    return ' '.join(''.join(pieces).split())


def _number(tokens: list, position: int) -> str:
    """Return the number of a list with one item, which is a sentence that begins with a number; else nothing."""
    opening = tokens[position]
    if opening.type != 'ordered_list_open':
        return ''
    items = 0
    for token in tokens[position + 1:]:
        if token.level == opening.level and token.type == 'ordered_list_close':
            break
        items += token.type == 'list_item_open' and token.level == opening.level + 1
    first = tokens[position + 1]
    return f'{first.info}{first.markup} ' if items == 1 else ''
