"""The rules that are judged while a record is prepared: its faults, and the flags it is stored with."""

from typing import Final

from app.protocol.rules.declare import Rule, Severity, declare

_ERRORS: Final = (
    ("record.title_missing", "记录没有标题。", "A record needs a title.", '{"title": null}', "请提供标题，或在映射 `defaults` 中给出缺省标题。", "Send a title, or give a default one in the mapping.", "GB/T 41469-2022 1.1"),
    ("record.wrong_type", "字段类型不符，例如应为列表的是单值。", "A field has another type than the record's schema says.", '{"size_bytes": "12 MB"}', "按字段类型提供；映射中用 `list`、`first` 或 `match` 调整。", "Send the type of docs/records.md; `list`, `first` or `match` in the mapping change the shape.", ""),
    ("record.too_long", "字段超过长度上限。", "A text is longer than its field allows.", "a title of 1,200 characters", "缩短该值，或映射到较长的字段。", "Shorten it, or map it to a longer field.", "GB/T 41469-2022 1.2"),
    ("record.unknown_field", "记录中没有这个字段。", "The record has no field of this name.", '{"titel": "草原"}', "检查字段名；其他内容请用映射转换。", "Check the name; a mapping turns other fields into ours.", ""),
    ("record.id_too_long", "标识过长。", "The identifier is longer than 600 characters.", "a whole URL with a session in it", "使用稳定的短标识。", "Use a short, lasting identifier.", ""),
    ("record.id_missing", "记录没有可用的标识。", "The record has no identifier that can be stored.", '{"id": null}', "为每条记录提供稳定标识；检查 `id_field`。", "Give every record a lasting identifier; check `id_field`.", "GB/T 41469-2022 2"),
    ("record.shape", "记录不是 JSON 对象。", "A record must be a JSON object.", "[1, 2]", "每条记录应为一个对象。", "Send one object for each record.", ""),
    ("record.xml", "记录的 XML 无法解析。", "The record's XML cannot be parsed.", "<dc:title>A & B</dc:title>", "转义 `&` 与 `<`，并声明命名空间。", "Escape `&` and `<`, and declare the namespaces.", ""),
    ("record.version_conflict", "同一版本内容不同。", "The same version came with other content.", "version 3 twice, two hashes", "内容变化时提高 `version`。", "Raise `version` whenever the content changes.", "IX/1 V3"),
    ("record.host_declined", "链接改到了别的主机，值班员已驳回。", "The record's link leads to another host, and an operator has declined that.", "https://old.example/1 then https://new.example/1", "与枢纽值班员联系；同意后由其 `hutong replay FEED --rule record.host_declined`。", "Talk to the hub's operator, who lets it in with `hutong replay FEED --rule record.host_declined`.", "docs/faults.md"),
    ("record.foreign", "记录属于其他平台。", "The record belongs to another platform.", "a feed of E-110000-01 with ix:P-440000-01:7", "只发布本平台的记录；转发下级平台的记录须由其上级平台进行。", "Publish your own records; others are relayed by the platform above them.", "IX/1 2"),
    ("mapping.shape", "映射不适合这条记录。", "The mapping does not fit this record.", "a template over an object", "用 `hutong preview` 试映射。", "Try the mapping with `hutong preview`.", ""),
    ("oai.no_metadata", "未标记删除的记录没有元数据。", "A record that is not deleted has no metadata.", "<record><header/></record>", "请补全元数据，或标记 `status=\"deleted\"`。", "Send the metadata, or mark it deleted.", "OAI-PMH 2.0 2.5"),
    ("text.nul", "文本含 U+0000。", "A text holds U+0000.", "标题 then U+0000", "去除该字符。", "Remove the character.", ""),
    ("text.surrogate", "文本含孤立代理项，不是合法 Unicode。", "A text holds a lone surrogate: it is not Unicode.", "half of an emoji", "按字符而非按 UTF-16 单元截断文本。", "Cut texts by characters, not by UTF-16 units.", ""),
    ("text.control", "文本含控制字符。", "A text holds a control character.", "标题 then U+0003", "去除控制字符，换行与制表符除外。", "Remove control characters other than newline and tab.", ""),
    ("text.noncharacter", "文本含 Unicode 非字符。", "A text holds a Unicode noncharacter.", "U+FFFE", "通常是编码转换错误，请检查源编码。", "Mostly a wrong conversion: check the source's encoding.", ""),
)  # fmt: skip
_FLAGS: Final = (
    ("missing", Severity.WARNING, "缺少国家标准要求的字段。", "A field that the standard calls mandatory is missing.", "missing:languages", "在源数据中补充，或在映射中给出 `constant` 或 `defaults`。", "Add it at the source, or give a `constant` or a default in the mapping.", "GB/T 41469-2022"),
    ("unmapped", Severity.WARNING, "该词不在代码表中，按原样保留。", "No code list knows the term; it is kept as it came.", "unmapped:subject", "在映射的 `terms` 中写明它对应的代码。", "Say in `terms` of the mapping which code it means.", "docs/records.md"),
    ("unread", Severity.WARNING, "日期格式与映射不符，按原样保留。", "No date pattern of the mapping fits; the text is kept as it came.", "unread:published", "在映射的 `date` 中增加该格式。", "Add its pattern to `date` in the mapping.", ""),
    ("record.repeated", Severity.WARNING, "同一次运行里同一标识来了不止一次，内容不同。", "One identifier came more than once in a run, with different contents.", "page 1 and page 9 both list resource 7", "每条记录只列一次；内容变化时给出更新的时间戳。取时间戳较新者，否则取先见者。", "List each record once; raise its stamp when it changes. The newer stamp counts, else what came first.", ""),
    ("defaulted", Severity.ADVICE, "该字段为空，取映射中的缺省值。", "The field was empty and took the mapping's default.", "defaulted:system", "若缺省含义属实，无需处理。", "Nothing to do where the default is what empty means.", ""),
)  # fmt: skip

for _id, _zh, _en, _example, _remedy_zh, _remedy, _source in _ERRORS:
    declare(Rule(_id, Severity.ERROR, _zh, _en, _example, _remedy_zh, _remedy, _source))
for _id, _severity, _zh, _en, _example, _remedy_zh, _remedy, _source in _FLAGS:
    declare(Rule(_id, _severity, _zh, _en, _example, _remedy_zh, _remedy, _source))
