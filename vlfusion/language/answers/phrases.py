"""Phrases of language models that are about the answer instead of the image: openings, closings, refusals, reasoning.

A pattern matches several words at a certain place in the text, so a description that uses one of the words keeps it. A
blank in a pattern stands for any white space; apostrophes are straight.
"""

import re


def _compiled(*patterns: str) -> re.Pattern:
    return re.compile('|'.join(f'(?:{pattern})' for pattern in patterns).replace(' ', r'\s+'), re.IGNORECASE)


_YES = (
    r"(?:sure(?: thing)?|certainly|of course|absolutely|definitely|great(?: question)?|okay|ok|alright|all right|"
    r"got it|"
    r"understood|no problem|gladly|happy to help|with pleasure|yes|thank(?:s| you)(?: for\b[^.!?\n]*)?|natürlich|"
    r"gerne?|klar|"
    r"selbstverständlich|bien sûr|certainement|volontiers|d'accord|claro(?: que sí)?|por supuesto|desde luego|certo|"
    r"certamente|конечно|хорошо|当然(?:可以)?|好的|没问题|もちろん(?:です)?|물론(?:입니다|이죠)?)")
#: Nouns for the answer that an opening announces.
_ANSWER = (
    r"(?:description|paragraph|caption|summary|answer|response|rewrite|overview|depiction|json|"
    r"(?:revised|final|requested|combined|merged|rewritten|polished|improved|corrected|updated) (?:text|version|"
    r"output)|"
    r"beschreibung|absatz|zusammenfassung|paragraphe|résumé|descripción|párrafo|resumen|descrição|parágrafo|"
    r"descrizione|"
    r"paragrafo|описание|абзац|描述|段落|描写|说明|説明|記述|설명|묘사)")
_GIVEN = r"(?:(?:based on|given|from|according to|using|with)\b[^.!?:：\n]{0,160}?, )?"
_HERE = (
    r"(?:and )?(?:here(?:'s| is| are|'re| you go)|below (?:is|are|you(?:'ll| will) find)|the following is|"
    r"(?:i(?:'ve| have| will|'ll)?|let me) (?:written|created|provided?|prepared?|described?|write|give|composed?|"
    r"summari[sz]ed?)|hier (?:ist|sind|kommt|folgt)|voici|aquí (?:tienes|está|va|te)|aqui está|ecco|вот|"
    r"以下是|下面是|这是|以下[はがに]|다음은)")
#: A sentence before the description.
OPENING = _compiled(
    rf"{_YES}\s*[!.！。]+\s*(?=\S)",
    rf"(?:{_YES}\s*[,，、:—–-]+\s*)?{_GIVEN}{_HERE}(?=[^.!?:：。\n]{{0,200}}{_ANSWER})[^.!?:：。\n]{{0,260}}"
    r"(?:[:：]\s*|[.!。]\s*\n\s*|\n\s*)",
    rf"{_YES}\s*[,，、:—–-]+\s*(?:here(?:'s| is| are| you go)|let me|i(?:'ll| will|'d| would|"
    rf" can))\b[^.!?:\n]{{0,200}}[.!:] ",
    r"here(?:'s| is| are| you go)\b[^.!?:\n]{0,60}[:!]\s*\n\s*",
    rf"(?:the |a )?(?:[\w-]+ ){{0,3}}{_ANSWER}[^.!?:\n]{{0,60}} (?:is|are) (?:as follows|given below|below)\s*[:.]\s*",
    r"(?:i'll|i will|i can|let me) (?:now )?(?:describe|summari[sz]e|write|give)\b[^.!?:\n]{0,80}[.:]\s*\n\s*",
    r"i(?:'d| would) be (?:happy|glad|delighted) to (?:help|describe|assist|provide)[^.!?:\n]{0,160}[.!:] ",
    r"i can (?:certainly |definitely )?(?:help|assist)\b[^.!?:\n]{0,80}[.!:] ",
    r"(?:i(?:'m| am) sorry|i apologi[sz]e|(?:my )?apologies|sorry) for [^.!?\n]{0,160}[.!] ",
)
#: A label in front of the description.
LABEL = _compiled(
    r"(?:(?:the )?(?:(?:final|image|picture|scene|revised|detailed|short|brief|one|single|coherent|combined) ){1,3})?"
    r"(?:description|paragraph|caption|summary|answer|response|output)(?: of (?:the|"
    r"this) [\w-]+(?: [\w-]+)?)?\s*[:：]\s*(?=\S)",
    r"(?:assistant|ai|model|beschreibung|antwort|réponse|descripción|respuesta|descrição|resposta|descrizione|risposta|"
    r"описание|ответ|描述|回答|答案|说明|説明)\s*[:：]\s*(?=\S)",
)
#: A heading that only names the answer.
TITLE = _compiled(
    r"(?:(?:the|final|image|picture|scene|visual|general|detailed|short|brief|coherent|combined|overall) ){0,3}"
    r"(?:description|paragraph|caption|summary|answer|response|output|overview|analysis)"
    r"(?: of (?:the|this) [\w\s-]{1,40})?\s*[:：]?",
)
#: A sentence after the description.
CLOSING = _compiled(
    r"\W*(?:please |and )?(?:let me know|feel free to|don't hesitate|do not hesitate)\b",
    r"\W*(?:i )?hope (?:this|that|it|these|you)\b[^.!?]*\b(?:help|useful|need|like|enjoy|looking for|meet|satisf|"
    r"clear)",
    r"\W*if (?:you|there|anything)\b[^.!?]*\b(?:questions?|like me|want me|need|assist\w*|help|further|adjust\w*|"
    r"changes?|"
    r"more details?|let me know|please)\b",
    r"\W*(?:is there anything else|would you like|do you (?:want|need) (?:me|any)|can i help|how else)\b",
    r"\W*(?:is|was) this (?:helpful|what you)\b",
    r"\W*(?:thank you|thanks)\W*(?:for\b[^.!?]*)?[.!]*\W*$",
    r"\W*have a (?:great|nice|good|wonderful) \w+\W*$",
    r"\W*(?:please )?note(?: that)?\b\W*[^.!?]*\b(?:i|my|digits?|instructions?|prompt|word count|guidelines?|"
    r"as requested)\b",
    r"\W*(?:total )?word count\b",
    r"\W*\(?(?:approximately |about |total:? )?\d+ words\)?\W*$",
    r"\W*i(?:'ve| have)? (?:followed|avoided|kept|tried|used|made sure|ensured|adhered)\b",
    r"\W*this (?:description|paragraph|answer|response|summary) (?:adheres|follows|avoids|uses only|contains no|"
    r"does not (?:use|include|contain)|is based)\b",
    r"\W*end of (?:the )?(?:description|paragraph|answer)\W*$",
    r"\W*(?:如果您?(?:还)?(?:有|需要|想)|希望(?:这|对您|能)|请(?:随时)?告诉我|欢迎)",
    r"\W*(?:ich hoffe,|lass(?:en sie)? (?:mich|es mich) wissen|wenn (?:sie|du) (?:weitere|noch))",
    r"\W*(?:n'hésitez pas|j'espère que|si vous (?:avez|souhaitez|voulez))",
    r"\W*(?:espero que|si (?:necesitas|tienes|quieres)|se (?:precisar|quiser|tiver)|no dudes en|fammi sapere|spero che|"
    r"надеюсь|дайте знать|если (?:вам|у вас))",
)

_CANNOT = (
    r"(?:can(?:'t|not)|can not|unable|not able|won't|will not|don't|do not|must decline|not (?:allowed|permitted|"
    r"comfortable|"
    r"going)|no image|isn't)")
_HELP = (
    r"(?:help|assist|comply|fulfil\w*|provide|describe|generate|create|write|answer|process|view|access|analy[sz]e|"
    r"interpret|"
    r"complete|do (?:that|this)|continue|discuss|engage|support|open|"
    r"identify (?:people|individuals|real|persons?|the person|who|anyone)|"
    r"see (?:the|any|an|this|your|images?|pictures?)\s*(?:image|picture|photo|attachment|file)?)")
_MISSING = r"\b(?:image|picture|photo|observation|attachment)s?\b"
#: Beginnings of a refusal.
REFUSAL = _compiled(
    r"(?:i(?:'m| am) )?(?:(?:really|very|so|truly|terribly) )?sorry\b(?:[,.!]? (?:but|i|as|however|this|that|your|"
    r"the (?:request|image))\b|\W*$)",
    rf"(?:i apologi[sz]e|(?:my )?apologies)\b[^\n]{{0,120}}?\b{_CANNOT}\b",
    rf"(?:unfortunately|regrettably|i regret)\b,? (?:but )?(?:that )?(?:i|as an?)\b[^.!?\n]{{0,120}}?\b{_CANNOT}\b",
    rf"i (?:can(?:'t|not)|can not|won't|will not|could not|couldn't) (?:directly |actually |really )?{_HELP}\b",
    r"i(?:'m| am) (?:unable to|not able to|not (?:allowed|permitted|equipped|capable|comfortable|programmed|designed)|"
    r"(?:just |only )?an? (?:ai|artificial|language model|text-based))\b",
    r"i (?:must|have to|need to|respectfully) (?:respectfully )?(?:decline|refuse)\b",
    r"i (?:do not|don't) (?:have (?:the (?:ability|capability)|access|enough)|feel comfortable|see (?:an?|"
    r"any) (?:image|picture))",
    r"i(?:'d| would) (?:rather|prefer) not\b",
    r"i(?:'m| am) afraid (?:that )?(?:i|this|your)\b",
    r"i need (?:more information|the image|an? image)\b",
    rf"as an? (?:ai|artificial intelligence|(?:large )?language model|text-based)\b[^\n]{{0,200}}?\b{_CANNOT}\b",
    r"(?:(?:unfortunately|regrettably|however)\b,? )?(?:but )?(?:it (?:seems|appears|looks like)(?: that| like)? )?"
    r"(?:there (?:is|was|are|were|seems? to be|appears? to be) )?"
    rf"no (?:\w+ ){{0,2}}{_MISSING} (?:\w+ ){{0,2}}(?:provided|attached|uploaded|included|given|shared|supplied)\b",
    r"(?:it (?:seems|appears|looks like)(?: that| like)? )?you (?:haven't|have not|didn't|did not|forgot to) (?:yet )?"
    r"(?:provided?|attach(?:ed)?|upload(?:ed)?|included?|give|given|shared?)\b",
    rf"(?:please|could you(?: please)?|kindly) (?:provide|upload|share|attach|send)\b[^\n]{{0,60}}{_MISSING}",
    r"(?:unable|not able|cannot|can't) (?:to )?(?:help|assist|comply|describe|process|provide|analy[sz]e|answer|"
    r"fulfil)",
    r"(?:this|that|your|the) (?:request|content|prompt|query) (?:violates|goes against|is not allowed|cannot be|"
    r"can't be|"
    r"was (?:blocked|refused|denied))",
    r"(?:request|content) (?:refused|denied|blocked)\b",
    r"(?:非常|很|真的|十分)?(?:抱歉|对不起|不好意思)[，,。！!：:\s]*(?:但|我|无法|不能|作为|由于|这|您|该)",
    r"我(?:无法|不能|没有办法|没办法)(?:描述|提供|协助|帮助|查看|处理|回答|识别|看到|分析|生成|满足|直接)",
    r"作为(?:一个|一名)?(?:ai|人工智能|语言模型|大语言模型)",
    r"申し訳(?:ありません|ございません)|すみませんが|죄송(?:합니다|하지만|해요)|عذر|آسف|لا أستطيع",
    r"(?:es )?tut mir (?:wirklich |sehr )?leid\b|leider kann ich\b|entschuldigung,? (?:aber|ich)\b",
    r"ich kann (?:dir |ihnen |dabei |das |diese[sr]? )*(?:bild |anfrage )?(?:leider )?nicht (?:helfen|beschreiben|"
    r"dabei)",
    r"(?:je suis )?(?:vraiment )?désolée?\b|je ne (?:peux|suis) pas (?:vous |en )?(?:aider|décrire|fournir|mesure)",
    r"lo (?:siento|lamento)\b|no puedo (?:ayudar|describir|proporcionar|ver|asistir)",
    r"(?:desculpe|sinto muito)\b|não posso (?:ajudar|descrever|fornecer|ver)",
    r"(?:mi dispiace|spiacente)\b|non posso (?:aiutar|descriver|fornire|vedere)",
    r"(?:извините|простите|к сожалению,? я)\b|я не (?:могу|в состоянии) (?:помочь|описать|предоставить|видеть)",
    r"het spijt me\b|przepraszam,? ale\b",
)
#: A notice of a content filter instead of an answer.
FILTERED = _compiled(
    r"(?:the|this|your) (?:response|output|request|prompt|completion) (?:was|has been) (?:filtered|blocked|flagged)\b",
    r"[^\n]{0,80}\b(?:content management policy|content_filter|responsibleaipolicy|"
    r"content (?:safety )?policy violation)\b",
    r"[^\n]{0,60}\b(?:blocked|filtered|flagged|removed|rejected) (?:by|due to|because of) (?:the |our |its )?"
    r"(?:content (?:filter|policy|moderation|safety)|safety (?:filter|system|setting|policy)|moderation)",
    r"\W*(?:content )?filtered\W*$",
)
#: Phrases of a model that thinks aloud, anywhere in a text.
REASONING = _compiled(
    r"\b(?:the|this) user (?:wants|asks|asked|is asking|has asked|needs|provided|gave|would like|said|mentioned)\b",
    r"\bi (?:need to|should|must(?: not)?|have to) (?:write|describe|make sure|avoid|use|not|mention|include|combine|"
    r"create)\b",
    r"\b(?:let me|let's) (?:look at|start|think|check|re-?read|see|draft|analy[sz]e|count)\b",
    r"^\W*(?:hmm|wait|okay,? so|so,? the (?:task|prompt|question))\b",
)
