"""Requests that no server should take: drawn from a seed, so that a failure is repeated by its number."""

import base64
import dataclasses
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.damage import JUNK, ODD_VALUES, huge_png

_GOOD = (Path(__file__).parents[2] / "examples/ana.png").read_bytes()
_BOUNDARY = "a-boundary"
_NAMES = ["../../etc/passwd", "/etc/passwd", "a/b", "..\\..\\x", "a\0b", "", " ", "\u202eana", "a" * 5000, "a\nb"]
_FIELDS = {
    "prompt": ["", " ", "\n\t", "a" * 5000, 3, None, [], {}, True],
    "people": ["ana", 3, {}, [3], [None], ["a"] * 50, ["ana", "ben", "cleo"], *([name] for name in _NAMES)],
    "faces": ["left", 3, ["up"], ["0"], ["-1"], ["99999"], ["left", "right"], [1]],
    "seconds": ["", "nan", "inf", -1, 0, "1e9", "1:30", [], {}, 1e308, "9" * 400],
    "num_frames": [0, -1, 10, 1.5, "9", 10**9, None, [], True, 2**70],
    "size": ["", "x", "0x0", "48", "48x", "-48x32", "48x32x3", "999999x999999", "49x33", 3, [], "a" * 100],
    "width": [0, -8, 47, "48", 10**12, [], 1.5, True],
    "height": [0, -8, 33, "32", 10**12, {}, 1.5, False],
    "fps": [0, -1, 1e9, "8", [], True],
    "scale": [0, -1, 17, 1.5, "2", [], 10**9],
    "seed": ["1", 1.5, 2**63, -(2**63) - 1, [], {}, True],
    "num_inference_steps": [0, -1, 201, 1001, 1.5, "3", [], True],
    "guidance_scale": [-1, 1e9, "6", [], True],
    "layout_share": [-0.1, 1.1, "0", []],
    "face_scale": [-1, 1e9, "1", [], True],
    "allow_photographs": ["yes", 1, [], {}],
    "model": ["../model", "/etc", "published", 3, [], "a" * 5000],
    "input_references": [
        [], "text", 3, {}, [3], [None], [""], ["ana.png"], ["/etc/passwd"], ["file:///etc/passwd"],
        ["http://127.0.0.1:1/a.png"], ["//example.com/a.png"], ["data:,"], ["data:image/png;base64,"],
        ["data:image/png;base64,****"], ["data:text/html,<b>"],
    ],
    "takes": [0, -1, 9, 1.5, "2", [], True, 2**70, None],
    "place": [
        3, "ana", [3], [None], ["ana"], ["ana="], ["ana=up"], ["nobody=left"], ["ana=left", "ana=right"], ["="], ["{"],
        {"ana": "up"}, {"nobody": "left"}, {"ana": {}}, {"ana": None}, {"ana": []}, {"ana": [0, 0, 1, 10**400]},
        {"ana": [0.5, 0, 0.2, 1]}, {"ana": {"x": "left"}}, {"ana": {"-1": "left"}}, {"ana": {"9" * 5000: "left"}},
        {"ana": {"strength": 1}}, {"ana": {"0": "left", "strength": "much"}}, {"ana": {"0": {"0": "left"}}},
        {"ana": "\ud800"}, {"\ud800": "left"}, {"ana\n": "left"}, {"ana": "left" * 9999},
    ],
    "callback_url": ["http://127.0.0.1"], "__proto__": [{}], "a" * 3000: [1], "\u202e": [1],
}  # fmt: skip
"""Values of JSON, none of which fits its field."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BadRequest:
    """A request for a video."""

    headers: dict[str, str]
    content: bytes
    what: str


def bad_photos() -> dict[str, bytes]:
    """Files that are no photos."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("ana.png", bytes(20_000_000))
    return {
        "empty": b"",
        "text": b"Dear Ana",
        "zip bomb": archive.getvalue(),
        "gzip": b"\x1f\x8b" + zlib.compress(bytes(10_000_000)),
        "cut": _GOOD[: len(_GOOD) // 3],
        "header": _GOOD[:40],
        "pixel bomb": huge_png(30_000, 30_000),
        "large": huge_png(8_000, 8_000),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "gif": b"GIF89a" + b"\xff" * 30,
        "tiff": b"II*\0" + b"\xff" * 60,
        "webp": b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\0" * 30,
        "bmp": b"BM" + b"\xff" * 60,
        "ppm": b"P6 99999 99999 255\n",
        "noise": random.Random(0).randbytes(2000),
    }


def bad_requests(seed: int) -> Iterator[BadRequest]:
    """Without end; each is refused by a server that takes a request of ana's photo and a sentence."""
    generator = random.Random(seed)
    kinds: list[Callable[[random.Random], BadRequest]] = [_field, _field, _field, _odd, _photo, _photo, _form, _junk]
    while True:
        yield generator.choice(kinds)(generator)


def good_body() -> dict[str, Any]:
    """What the server takes."""
    return {"prompt": "A person waves.", "people": ["ana"], "input_references": [_data_url(_GOOD)]}


def _field(generator: random.Random) -> BadRequest:
    """A field that does not fit, or is not known."""
    name = generator.choice(sorted(_FIELDS))
    value = generator.choice(_FIELDS[name])
    if name in ("num_frames",) and value is None:
        value = -3
    return _json(good_body() | {name: value}, f"{name[:40]}={str(value)[:40]}")


def _odd(generator: random.Random) -> BadRequest:
    """An odd value where no object of fields is."""
    value = generator.choice([each for each in ODD_VALUES if each != good_body()])
    return _json(value, f"body={str(value)[:40]}")


def _photo(generator: random.Random) -> BadRequest:
    """A file that is no photo, beside a good one or alone, in a form or in JSON."""
    photos = bad_photos()
    what = generator.choice(sorted(photos))
    content = photos[what]
    if generator.random() < 0.5:
        urls = [_data_url(content)]
        names = ["ana"]
        if generator.random() < 0.5:
            urls.insert(0, _data_url(_GOOD))
            names.append("ben")
        return _json(good_body() | {"input_references": urls, "people": names}, f"json photo {what}")
    name = generator.choice(_NAMES).replace("\n", "").replace('"', "")
    return _multipart(
        [("prompt", None, b"A person waves."), ("input_references", name, content)], f"form photo {what}"
    )


def _form(generator: random.Random) -> BadRequest:
    """A form with too much, too little, or broken."""
    photo, prompt = ("input_references", "a.png", _GOOD), ("prompt", None, b"A person waves.")
    parts, what = generator.choice(
        [
            ([prompt], "no photo"),
            ([photo], "no prompt"),
            ([prompt, *[photo] * 50], "50 photos"),
            ([prompt, prompt, photo], "two prompts"),
            ([prompt, photo, ("people", None, b"ana"), ("people", None, b"ben")], "more names than photos"),
            ([prompt, ("avatar", "a.png", _GOOD)], "a file of another name"),
            ([prompt, photo, ("seed", None, b"one")], "no number"),
            ([prompt, photo, ("seed", None, b"9" * 5000)], "a long number"),
            ([prompt, photo, ("num_frames", None, b"1e3")], "no whole number"),
            ([prompt, photo, ("people", None, generator.choice(_NAMES[:5]).encode() + b"\0")], "a zero byte"),
            ([("prompt", None, b"\xff\xfe\xfd \0"), photo], "a prompt of bytes"),
            ([prompt, photo, *[(f"x{number}", None, b"1") for number in range(1000)]], "a thousand fields"),
            ([prompt, photo, ("num_takes", None, b"3")], "an unknown field"),
        ]
    )
    request = _multipart(parts, f"form with {what}")
    if generator.random() < 0.2:
        cut = generator.randrange(1, 200)
        headers = request.headers
        if generator.random() < 0.5:
            headers = {"Content-Type": generator.choice(["multipart/form-data", "multipart/form-data; boundary="])}
        return BadRequest(headers=headers, content=request.content[:-cut], what=f"cut {request.what}")
    return request


def _junk(generator: random.Random) -> BadRequest:
    """Bytes, under any name."""
    kind = generator.choice(
        ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "application/x-www-form-urlencoded"]
    )
    content = generator.choice([*JUNK, generator.randbytes(300), b"--x\r\n" * 50, b"a=b&c=d"])
    return BadRequest(
        headers={"Content-Type": kind} if kind else {}, content=content, what=f"{kind}: {content[:30]!r}"
    )


def _json(value: Any, what: str) -> BadRequest:
    return BadRequest(
        headers={"Content-Type": "application/json"}, content=json.dumps(value).encode(), what=f"json {what}"
    )


def _multipart(parts: list[tuple[str, str | None, bytes]], what: str) -> BadRequest:
    content = b""
    for name, file_name, value in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n'
        kind = "" if file_name is None else "Content-Type: image/png\r\n"
        content += (head + kind + "\r\n").encode("utf-8", "replace") + value + b"\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    return BadRequest(headers=headers, content=content + f"--{_BOUNDARY}--\r\n".encode(), what=what)


def _data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
