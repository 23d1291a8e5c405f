"""A repository to measure against: realistic Dublin Core records of about 2 KB behind OAI-PMH, rendered once.

    python -m benchmarks.peer RECORDS [PAGE]

prints its base URL and serves ready bytes, so that what is measured is the harvester. Records are written as a
province writes them: some 27 elements, titles and descriptions in Chinese, terms of the code lists in words.
"""

import random
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from app.protocol.oaipmh import Identity, envelope, header, identify, record, resumption

PAGE: Final = 500
DATE: Final = "2026-09-01T00:00:00Z"
SUBJECTS: Final = ("语文", "数学", "英语", "物理", "化学", "生物学", "历史", "地理", "音乐", "美术")
GRADES: Final = ("一年级", "二年级", "三年级", "四年级", "五年级", "六年级", "七年级", "八年级", "九年级")
TYPES: Final = ("微课", "课件", "教学设计", "试题", "素材", "课堂实录")
NAMES: Final = ("王芳", "李娜", "张伟", "刘洋", "陈静", "杨敏", "赵磊", "黄丽", "周强", "吴军", "徐霞", "孙浩")
WORDS: Final = tuple(
    "本课学生教师通过观察实验讨论理解掌握基础知识能力培养兴趣单元复习练习课文生字朗读函数图形面积计算应用问题解决思考合作探究"
    "情境导入小结作业评价目标重点难点资源素材视频动画互动课件设计过程方法情感态度价值科学自然生活实践活动文化传统家乡历史地理"[
        at : at + 2
    ]
    for at in range(0, 118, 2)
)


def element(name: str, value: str) -> str:
    """One Dublin Core element."""
    return f"<dc:{name}>{value}</dc:{name}>"


def fields(number: int) -> dict[str, list[str]]:
    """The elements of one record; the same number gives the same record."""
    draw = random.Random(number)
    subject, grade, kind = draw.choice(SUBJECTS), draw.choice(GRADES), draw.choice(TYPES)
    name = "".join(draw.choices(WORDS, k=3))
    return {
        "title": [f"{subject} {grade}上册 第{number % 12 + 1}课 {name}", f"Lesson {number}: {subject}"],
        "creator": draw.sample(NAMES, 2),
        "subject": [subject, name[:4], draw.choice(WORDS)],
        "description": ["，".join("".join(draw.choices(WORDS, k=6)) for _ in range(14)) + "。"],
        "publisher": ["某省教育资源公共服务平台"],
        "contributor": [draw.choice(NAMES)],
        "date": [f"202{number % 6}-0{number % 9 + 1}-1{number % 10}"],
        "type": [kind, "LearningResource"],
        "format": ["video/mp4", "PT12M30S"],
        "identifier": [f"https://resource.example.org/lesson/{number}", f"urn:x-lesson:{number:019d}"],
        "source": [f"统编版{subject}{grade}上册"],
        "language": ["zh-CN"],
        "relation": [f"https://resource.example.org/unit/{number // 12}", f"https://resource.example.org/book/{number // 99}"],
        "coverage": ["中国", grade],
        "rights": ["仅供教学使用", "https://creativecommons.org/licenses/by-nc/4.0/"],
    }  # fmt: skip


def metadata(number: int) -> str:
    """One record as oai_dc."""
    inside = "".join(element(name, value) for name, values in fields(number).items() for value in values)
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{inside}</oai_dc:dc>'
    )


def pages(records: int, size: int, url: str) -> Iterator[bytes]:
    """The answers to ListRecords in order."""
    for start in range(0, records, size):
        end = min(start + size, records)
        listed = [
            record(header(f"oai:bench:{n}", DATE, ("bench",), deleted=False), metadata(n)) for n in range(start, end)
        ]
        token = resumption(str(end) if end < records else "", cursor=start, total=records)
        yield envelope(DATE, url, {"verb": "ListRecords"}, f"<ListRecords>{''.join(listed)}{token}</ListRecords>")


def serve(records: int, size: int = PAGE) -> None:
    """Serves until it is ended; the first line on standard output is the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    url = f"http://127.0.0.1:{server.server_port}/oai"
    about = Identity("YYYY-MM-DDThh:mm:ssZ", "persistent", "benchmark", url, "2020-01-01T00:00:00Z")
    answer = f"<Identify>{identify(about, 'bench@example.org')}</Identify>"
    _Handler.identity = envelope(DATE, url, {"verb": "Identify"}, answer)
    _Handler.size, _Handler.pages = size, list(pages(records, size, url))
    print(url, flush=True)
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20
    identity: bytes
    pages: list[bytes]
    size: int

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        start = int(query.get("resumptionToken", ["0"])[0])
        content = self.identity if query.get("verb") == ["Identify"] else self.pages[start // self.size]
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else PAGE)
