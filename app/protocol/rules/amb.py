"""The rules of AMB, judged while JSON-LD is read by feeds with the profile `amb` (`app.protocol.amb`)."""

from typing import Final

from app.protocol.rules.declare import Rule, Severity, declare

SOURCE: Final = "AMB 20231019"
_ERRORS: Final = (
    ("amb.array", "要求写成数组，只有一个值时也一样。", "A property that AMB repeats holds a bare value.", '`"keywords": "Beispiel, OER"`', "改写为列表。", 'Write a list: `"keywords": ["Beispiel", "OER"]`.'),
    ("amb.boolean", "应为 true 或 false。", "A truth value is written as text.", '`"isAccessibleForFree": "no"`', "写 true 或 false，不加引号。", "Write `true` or `false` without quotation marks."),
    ("amb.class", "类型名称不在允许范围内。", "A `type` is not the bare name of a class, or not one that may stand here.", '`"funder": [{"type": "Offer", ...}]`', "使用说明中列出的类型名。", "Take a class that the detail names, or the bare schema.org name."),
    ("amb.concept", "概念不属于规定的词表。", "A concept that must come from one list has another identifier.", '`"educationalLevel": [{"id": "https://w3id.org/kim/grundschule"}]`', "使用说明所列词表中的标识。", "Take the identifier from the list the detail names."),
    ("amb.context", "缺少 AMB 的 @context。", "`@context` does not hold AMB's own context.", '`"@context": ["https://schema.org", {"@language": "de"}]`', "在 `@context` 列表中加入 AMB 的上下文地址。", "Put `https://w3id.org/kim/amb/context.jsonld` into the list."),
    ("amb.date", "日期格式不正确。", "A date is not of ISO 8601, or no day of the calendar.", '`"dateCreated": "04-10-2020"`', "写成 `2020-10-04` 或带时间的 ISO 8601。", "Write `2020-10-04` or `2020-10-04T08:00:00Z`."),
    ("amb.default_language", "缺少默认语言。", "`@context` names no default language.", '`"@context": ["https://w3id.org/kim/amb/context.jsonld"]`', '在 `@context` 列表中加入 `{"@language": "de"}`。', 'Add `{"@language": "de"}` to the list.'),
    ("amb.digits", "数字不得带单位。", "A size or rate carries a unit.", '`"contentSize": "568MB"`', "只写数字，不带单位。", 'Write the number alone, as text: `"568000000"` (bytes), `"1651"` (kb/s).'),
    ("amb.duration", "时长格式不正确。", "A duration is not of ISO 8601.", '`"duration": "47m58s"`', "写成 `PT47M58S`。", "Write `PT47M58S`."),
    ("amb.hash", "哈希值格式不正确。", "`sha256` is not 64 hexadecimal digits.", '`"sha256": "5daa33"`', "写出完整的 SHA-256。", "Write the whole SHA-256 of the file."),
    ("amb.identity", "既无标识也无名称。", "What the resource is based on has neither `id` nor `name`.", '`"isBasedOn": [{"creator": [...]}]`', "写明其地址或标题。", "Name it by its address, else by its title."),
    ("amb.labels", "标签应按语言给出。", "Labels are a text instead of an object of language and text.", '`"prefLabel": "Französisch"`', '写成 `{"de": "Französisch"}`。', 'Write `{"de": "Französisch"}`.'),
    ("amb.language", "语言代码不正确。", "A language is not a two-letter code of ISO 639-1.", '`{"@language": "de-AT"}`', "写两位字母代码，如 `de`。", "Write `de`."),
    ("amb.learning_resource", "类型中缺少 LearningResource。", "`type` does not name LearningResource.", '`"type": ["Course"]`', '写 `["LearningResource", "Course"]`。', 'Write `["LearningResource", "Course"]`.'),
    ("amb.licence", "许可不在允许范围内。", "The licence is none of Creative Commons, GNU, Apache, MIT, BSD.", '`"license": {"id": "https://opensource.org/licenses/MPL-2.0"}`', "使用上述许可之一的地址，或不启用该规范。", "Use the address of one of these licences, or feed the record without the profile."),
    ("amb.media_type", "媒体类型格式不正确。", "`encodingFormat` is no media type.", '`"encodingFormat": "mp4"`', "写成 `video/mp4`。", "Write `video/mp4`."),
    ("amb.media_url", "缺少文件或播放器地址。", "A media object has neither `contentUrl` nor `embedUrl`.", '`"encoding": [{"type": "MediaObject"}]`', "写明文件或播放器地址。", "Give the address of the file or of its player."),
    ("amb.missing", "缺少必需的属性。", "A property that must be there is not; the path names it.", '`"affiliation": {"type": "Organization"}` (no `name`)', "补充该属性。", "Add the property."),
    ("amb.object", "应为对象。", "A property that takes an object holds a text.", '`"license": "https://creativecommons.org/publicdomain/zero/1.0/"`', '写成 `{"id": "https://..."}`。', 'Write `{"id": "https://..."}`.'),
    ("amb.scheme", "没有取自规定词表的概念。", "None of the concepts comes from a list of which one is needed; others may stand beside it.", '`"about": [{"id": "http://example.com/french"}]`', "补充所列词表中的概念。", "Add a concept of the lists the detail names."),
    ("amb.text", "应为文本。", "A text is needed.", '`"name": 7`', "写成带引号的文本。", "Write a text in quotation marks."),
    ("amb.uri", "应为 URI。", "An identifier or address is no URI.", '`"assesses": [{"id": 42}]`', "写出带方案的完整 URI。", "Write the whole URI with its scheme."),
)  # fmt: skip

for _id, _zh, _en, _example, _remedy_zh, _remedy in _ERRORS:
    declare(Rule(_id, Severity.ERROR, _zh, _en, _example, _remedy_zh, _remedy, SOURCE))
