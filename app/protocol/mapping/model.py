"""The mapping document: its shape, its JSON Schema, and what is wrong with one, by place."""

import re
from typing import Annotated, Any, Final, Literal

import re2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from app.protocol import vocab
from app.protocol.errors import BadRequest
from app.protocol.mapping import dates, paths
from app.protocol.record import CODED, Record, Rights

SCHEMA_ID: Final = "https://hutong.dev/schemas/mapping-1.json"
TAGS: Final = "tag_list[tag_dimension_id={}].tag_name"
HOLE: Final = re.compile(r"\{([^{}]*)\}")
LISTS: Final = frozenset(
    [name for name, kind in Record.__annotations__.items() if "list[" in str(kind)] + ["rights.restrictions"]
)
FIELDS: Final = frozenset(Record.__annotations__) - {"id"} | {f"rights.{name}" for name in Rights.__annotations__}
TABLES: Final = frozenset(CODED) | {"languages"}
NAMED: Final = {"contributors": "name", "identifiers": "entry", "relations": "target", "audits": "item"}
"""The lists of objects, with the member that a bare value fills."""
PATTERN_LIMIT: Final = 500


def pattern(text: str) -> Any:
    """A compiled regular expression of RE2: no back-references, so the time is linear in the text. Raises ValueError."""
    options = re2.Options()
    options.log_errors, options.max_mem = False, 1 << 20
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise ValueError(f"the regular expression {text[:100]!r} is refused by RE2: {_words(error)}") from None


def _words(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


class Match(BaseModel):
    """A regular expression (RE2 syntax): what of a value counts. 正则表达式（RE2 语法，线性时间）"""

    model_config = ConfigDict(extra="forbid")
    pattern: str = Field(max_length=PATTERN_LIMIT)
    to: str | None = Field(default=None, max_length=200, description=r"rewritten with groups: \1-\2 用分组改写")
    keep: bool = Field(default=False, description="a value that does not match stays as it is 不匹配时保留原值")

    @model_validator(mode="after")
    def _compiles(self) -> "Match":
        made = pattern(self.pattern)
        if self.to is not None and any(int(n) > made.groups for n in re.findall(r"\\(\d)", self.to)):
            raise ValueError(f"`to` names a group that the pattern does not have: it has {made.groups}")
        return self


def _pattern_alone(value: Any) -> Any:
    return {"pattern": value} if isinstance(value, str) else value


def _rule_alone(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


OneMatch = Annotated[Match, BeforeValidator(_pattern_alone, json_schema_input_type=str | Match)]


class Rule(BaseModel):
    """Where one field comes from: exactly one source, then the steps in the order of this list.

    One source: `path`, `paths`, `tag`, `template` or `constant`. Steps: `html`, `split`, `match`, `map`, `date`. Shape:
    `first`, `join`, `list`, `each`, `object`.
    """

    model_config = ConfigDict(extra="forbid")
    path: str | None = Field(default=None, description="a.b, a[].b or a[key=value].b 取值路径")
    paths: list[str] | None = Field(
        default=None, min_length=1, max_length=20, description="several paths in order 多路径"
    )
    tag: str | None = Field(default=None, description="the names of a tag dimension of `tag_list` 标签维度")
    template: str | None = Field(default=None, max_length=500, description="text with {paths}: {book}·{title} 模板拼接")
    constant: Any = Field(default=None, description="the same for every record 常量")
    html: bool = Field(default=False, description="HTML to plain text 去除 HTML")
    split: str | list[str] | None = Field(default=None, description="separators: one text becomes several 分隔符")
    match: OneMatch | None = Field(default=None, description="a regular expression: the first group, or all 正则取值")
    map: dict[str, str] | None = Field(default=None, description="value to value; others stay 值对照，其余不变")
    date: list[str] | None = Field(
        default=None, min_length=1, description="date patterns: yyyy年M月d日, yyyy, epoch_ms 日期格式"
    )
    first: bool = Field(default=False, description="only the first value 取首个")
    join: str | None = Field(default=None, description="all values as one text 连接")
    list: bool = Field(default=False, description="all values as a list 列表")
    each: dict[str, Any] | None = Field(
        default=None, description="for lists of objects: constants beside the value 附加常量"
    )
    object: dict[str, str] | None = Field(
        default=None, description="member to path below each found object 对象成员路径"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Rule":
        sources = (self.path, self.paths, self.tag, self.template, self.constant)
        if sum(value is not None for value in sources) != 1:
            raise ValueError("exactly one of `path`, `paths`, `tag`, `template` and `constant` is needed")
        shapes = (self.join is not None) + self.list + self.first + (self.each is not None or self.object is not None)
        if shapes > 1:
            raise ValueError("only one of `first`, `join`, `list` and `each` can hold")
        for path in (*self.sources, *(self.object or {}).values()):
            paths.parse(path)
        return self

    @model_validator(mode="after")
    def _steps_read(self) -> "Rule":
        for form in self.date or ():
            dates.compiled(form)
        if "" in ([self.split] if isinstance(self.split, str) else self.split or ()):
            raise ValueError("a separator of `split` must not be empty")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """All paths this rule reads."""
        if self.tag is not None:
            return (TAGS.format(self.tag),)
        if self.template is not None:
            return tuple(HOLE.findall(self.template))
        return tuple(self.paths or ()) if self.path is None else (self.path,)


Rules = Annotated[list[Rule], BeforeValidator(_rule_alone, json_schema_input_type=Rule | list[Rule])]


class Mapping(BaseModel):
    """A versioned mapping. What it does not name (CDN hosts, tag order, counters) cannot change a record."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"$id": SCHEMA_ID})
    version: Literal[1]
    fields: dict[str, Rules] = Field(description="record field to its rule, or to several in order 字段规则")
    keep: bool = Field(default=False, description="fields the connector itself understood stay 保留接入器已识别的字段")
    terms: dict[str, dict[str, str]] = Field(default={}, description="the platform's terms to our codes 平台词表")
    defaults: dict[str, Any] = Field(default={}, description="what a missing value means 缺省含义")
    language_scheme: str = Field(default="bcp47", description="the code list of the source's languages 语种代码体系")
    volatile: list[str] = Field(default=[], description="paths that do not count 不参与比较的路径")
    unordered: list[str] = Field(default=[], description="lists whose order does not count 无序列表")

    @model_validator(mode="after")
    def _known_names(self) -> "Mapping":
        for place, names, known in (
            ("fields", self.fields, FIELDS),
            ("defaults", self.defaults, FIELDS),
            ("terms", self.terms, TABLES),
        ):
            if unknown := sorted(set(names) - known):
                raise ValueError(f"{place}: no such field {', '.join(unknown)[:200]}")
        schemes = ("bcp47", *vocab.LANGUAGE_SCHEMES)
        if self.language_scheme not in schemes:
            raise ValueError(f"language_scheme: there are {', '.join(schemes)}")
        for path in (*self.volatile, *self.unordered):
            paths.parse(path)
        return self

    @model_validator(mode="after")
    def _objects_fit(self) -> "Mapping":
        for name, rules in self.fields.items():
            if any(rule.each is not None or rule.object for rule in rules) and name not in NAMED:
                raise ValueError(f"fields: `each` and `object` make objects, {name} holds none")
        if "rights" in self.fields and any(name.startswith("rights.") for name in self.fields):
            raise ValueError("fields: either `rights` or its members")
        return self


def checked(document: Any) -> Mapping:
    """The mapping behind a document. Raises BadRequest that names each wrong place."""
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        errors = [{"pointer": _place(e, document), "detail": e["msg"]} for e in error.errors(include_url=False)]
        raise BadRequest("; ".join(f"mapping {e['pointer']}: {e['detail']}" for e in errors), errors=errors) from None


def _place(error: ErrorDetails, document: Any) -> str:
    """The place as it stands in the document: a rule that is no list has no number there, a union no branch."""
    steps = [str(step) for step in error["loc"] if step not in ("str", "list[str]")]
    if steps[:1] == ["fields"] and len(steps) > 2 and not isinstance(document["fields"].get(steps[1]), list):
        del steps[2]
    return "/" + "/".join(steps)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a mapping document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Mapping.model_json_schema()}
