"""Words of a caption that say what a person looks like, which the photos shall say and the caption must not.

Clothes, hair, skin, age, sex, build, origin. Captioners name these first; here they are taken out as far as a sentence
allows, and what is left over is said.
"""

import re

_COLOURS = (
    "black|white|red|orange|yellow|green|blue|purple|violet|pink|brown|grey|gray|beige|golden|silver|dark|light|pale|"
    "bright|navy|turquoise"
)
_CLOTHES = (
    "shirt|t-shirt|blouse|sweater|jumper|hoodie|jacket|coat|suit|dress|gown|skirt|trousers|pants|jeans|shorts|uniform|"
    "vest|tie|scarf|hat|cap|beanie|helmet|hood|gloves|shoes|boots|sneakers|clothes|clothing|outfit|attire|apron|robe|"
    "jewellery|jewelry|necklace|earrings?|bracelet|ring|watch|glasses|sunglasses|spectacles|goggles|veil|hijab|turban"
)
_BODY = (
    "hair|hairstyle|beard|moustache|mustache|stubble|ponytail|braid|bangs|curls|skin|complexion|freckles|tattoo|wrinkles|"
    "makeup|make-up|lipstick|dimples|eyebrows|cheekbones"
)
_OF_THE_BODY = (
    "haired|bearded|curly|bald|blond|blonde|brunette|redhead|ginger|auburn|skinned|freckled|tattooed|wrinkled"
)
_AGE_AND_BUILD = (
    "young|younger|old|older|elderly|middle-aged|teenage|teenaged|adult|tall|taller|short|slim|slender|thin|fat|chubby|"
    "muscular|petite|stocky|handsome|beautiful|pretty|attractive"
)
_ORIGIN = "asian|african|caucasian|european|hispanic|latino|latina|arab|indian|chinese|japanese|korean"
_ONE = (
    "man|woman|boy|girl|lady|gentleman|guy|male|female|gentlemen's|teenager|youngster|father|mother|son|daughter|husband|"
    "wife|brother|sister|grandfather|grandmother"
)
_SEVERAL = "men|women|boys|girls|ladies|gentlemen|guys|males|females|teenagers|brothers|sisters|sons|daughters"

_ITEM = rf"(?:an?\s+|the\s+|his\s+|her\s+|their\s+)?(?:[\w-]+\s+){{0,3}}?(?:{_CLOTHES}|{_BODY})s?\b"
_WITH = (
    rf",?\s*\b(?:(?:who|that)\s+(?:is|are|has|have|wears?)|with|wearing|dressed in|clad in|in)\s+"
    rf"(?:wearing\s+)?{_ITEM}(?:(?:,|\s+and|\s+over|\s+under|\s+with)\s+{_ITEM})*,?"
)
_HAS = rf"\b(?:has|have|wears?|(?:is|are)\s+wearing)\s+{_ITEM}(?:(?:,|\s+and)\s+{_ITEM})*(?:\s+and\b)?"
_IN_A_COLOUR = rf"(?<=person|people)\s+in\s+(?:{_COLOURS})\b(?!\s+(?:room|light))"
_ADJECTIVE = (
    rf"\b(?:(?:\w+-)?(?:{_OF_THE_BODY})|{_AGE_AND_BUILD}|{_ORIGIN})\b,?(?:\s+and\b)?\s*"
    rf"(?=(?:[\w-]+,?\s+){{0,3}}(?:{_ONE}|{_SEVERAL}|person|people|couple|individuals?|child|children)\b)"
)
LOOKS = re.compile(
    rf"\b(?:(?:{_CLOTHES}|{_BODY})s?|{_OF_THE_BODY}|{_ORIGIN}|{_ONE}|{_SEVERAL}|elderly|middle-aged|muscular|slender|chubby|handsome|beautiful"
    rf"|(?:young|old|tall|short|slim) (?=person|people|couple|child))\b",
    re.IGNORECASE,
)
"""Words that name looks."""

_WORDS = {
    "he": "the person", "she": "the person", "him": "the person", "his": "their", "her": "their", "hers": "theirs",
}  # fmt: skip


def named_looks(caption: str) -> list[str]:
    """The words of a caption that name what somebody looks like, in order."""
    return [match.group().strip().lower() for match in LOOKS.finditer(caption)]


def without_looks(caption: str) -> str:
    """A caption without what it says of looks, as far as that can be taken out of a sentence."""
    text = re.sub(_WITH, "", caption, flags=re.IGNORECASE)
    text = re.sub(_HAS, "", text, flags=re.IGNORECASE)
    text = re.sub(_ADJECTIVE, "", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b(?:{_ONE})\b", "person", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b(?:{_SEVERAL})\b", "people", text, flags=re.IGNORECASE)
    text = re.sub(_IN_A_COLOUR, "", text, flags=re.IGNORECASE)
    text = re.sub(
        rf"\b(?:{'|'.join(_WORDS)})\b",
        lambda match: _like(match.group(), _WORDS[match.group().lower()]),
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(r"\b([Aa])n (?=person|people)", r"\1 ", text)
    text = re.sub(r"\s+([,.;:])", r"\1", text)
    text = re.sub(r",(?=[,.])", "", text)
    text = re.sub(r"\s{2,}", " ", text).strip(" ,")
    return text[:1].upper() + text[1:]


def _like(pattern: str, word: str) -> str:
    """A word with a capital where the other one has it."""
    return word[0].upper() + word[1:] if pattern[0].isupper() else word
