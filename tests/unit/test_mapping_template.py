"""Mapping templates against the variables and functions that API Gateway documents."""

import ast
import base64
import json

import pytest

from helpers.config import ROOT
from local_cloud.stand_ins.api_gateway.mapping_template import (
    BodyError,
    TemplateError,
    compiled,
    parse_json,
    render,
)

BODY = {
    "a": {"b": [{"c-d": 1}]},
    "yes": True,
    "no": None,
    "half": 0.5,
    "text": 'it\'s "q" \\ /é📌\n',
    "list": [1, {"x": None}],
    "items": {"upper": "kept"},
    "empty": {},
}
PARAMS = {
    "path": {"n": "from path"},
    "querystring": {"n": "from query", "q": "1"},
    "header": {"n": "from header", "h": "x"},
}
CONTEXT = {"requestId": "R", "stage": "t", "identity": {"sourceIp": "127.0.0.1"}}


def rendered(template: str, body: object = BODY) -> str:
    return render(template, body if isinstance(body, str) else json.dumps(body), PARAMS, CONTEXT)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            """$input.path('$.a.b[0]["c-d"]') $input.path("$.a.b[0]['c-d']") $input.path('a.b[0].c-d')""",
            "1 1 1",
        ),
        (
            "$input.path('$.yes') $input.path('$.half') $input.path('$.no')|$input.path('$.none')|",
            "true 0.5 ||",
        ),
        ("$input.json('$.yes') $input.json('$.no') $input.json('$.none')", 'true null ""'),
        ("$input.json('$.a')", '{"b":[{"c-d":1}]}'),
        ("$input.json('$.text')", json.dumps(BODY["text"], ensure_ascii=False)),
        ("$input.path('$.text')", BODY["text"]),
        ("$input.params('n') $input.params('q') $input.params('h')|$input.params('?')|", "from path 1 x||"),
        (
            "$input.params()",
            "{path={n=from path}, querystring={n=from query, q=1}, header={n=from header, h=x}}",
        ),
        ("$context.requestId $context.stage $context.identity.sourceIp", "R t 127.0.0.1"),
        (r"$util.escapeJavaScript($input.path('$.text'))", r"it\'s \"q\" \\ /\u00e9\ud83d\udccc\n"),
        (r"""$util.escapeJavaScript("it's").replaceAll("\\'","'")""", "it's"),
        ("$util.urlEncode('a b~*é') $util.urlDecode('a+b%C3%A9')", "a+b%7E*%C3%A9 a bé"),
        ("""$util.parseJson('{"k":[5]}').k[0]""", "5"),
        ("$util.base64Decode($util.base64Encode($input.path('$.text')))", BODY["text"]),
        ("#set($p = 'a=' + $input.params('q'))$p ${p}b $!p", "a=1 a=1b a=1"),
        ("#if($input.path('$.none') == '') 5 #else 6 #end", " 5 "),
        # Unlike other Velocity, AWS's takes nothing for true: asked for as a text it shows.
        ("#set($x = $input.path('$'))#if($x.none)a#end#if(\"$!x.none\" != '')b#end#if($x.yes)c#end", "ac"),
        ("#if(1 == 2)a#elseif($input.path('$.half') < 1)b#else c#end## a comment\nend", "bend"),
        (
            "#foreach($k in $input.params().header.keySet())$k=$input.params().header.get($k);#end",
            "n=from header;h=x;",
        ),
        (
            "#foreach($v in $input.path('$.a'))$v#end#foreach($v in $input.path('$.empty'))x#end",
            '[{"c-d":1}]',
        ),
        ("#foreach($c in $input.path('$.text'))x#end", ""),
        ("""#foreach($i in [0..1])$input.json("$.list[$i]")#if($foreach.hasNext),#end#end""", '1,{"x":null}'),
        ("$input.path('$.list').size() $input.path('$.empty').size() $input.path('$.list')[0]", "2 0 1"),
        (r"costs $5, \$input.body # 1", "costs $5, $input.body # 1"),
    ],
)
def test_a_template_renders_as_api_gateway_would(template, expected):
    assert rendered(template) == expected


def test_an_object_is_printed_as_java_prints_it_which_is_not_json():
    text = rendered("$input.path('$.items') $input.path('$.list') $input.path('$')")
    assert text.startswith(
        '{upper=kept} [1,{"x":null}] {a={b=[{"c-d":1}]}, yes=true, no=null, half=0.5, text=it'
    )
    with pytest.raises(BodyError):
        parse_json(rendered("$input.path('$.a')"))


def test_methods_of_python_do_not_shine_through():
    whole = "#set($x = $input.path('$'))"
    assert rendered(whole + "$x.items.upper $x.list.sort|$x.text.upper|$x.keys|$x.__class__|") == "kept ||||"
    with pytest.raises(TemplateError, match=r"the method upper\(\)"):
        rendered(whole + "$x.text.upper()")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{}",
        'a "quoted" word',
        "back\\slash",
        "two\nlines\ttab",
        "non\u00a0breaking",
        "📌 é \u2028",
        "$input.body #end",
    ],
)
def test_bytes_pass_through_base64_unchanged(data):
    got = json.loads(rendered("""{"Data": "$util.base64Encode($input.path('$.d'))"}""", {"d": data}))
    assert base64.b64decode(got["Data"]).decode() == data


def test_an_empty_body_is_an_empty_object():
    assert rendered("$input.body $input.json('$') $input.path('$.a')|", "") == "{} {} |"


@pytest.mark.parametrize(
    "body", ["{bad", '{"a": 1,}', '{"a": NaN}', "\ufeff{}", '{"a": "tab\t"}', "[" * 100_000]
)
def test_a_body_that_is_no_json_counts_only_when_it_is_read_as_json(body):
    assert rendered("x $input.body", body) == f"x {body}"
    with pytest.raises(BodyError):
        rendered("$input.json('$.a')", body)


@pytest.mark.parametrize(
    "template",
    [
        *("$foo", "$input", "$input.foo", "$input.json", "$util.toJson(1)", "$context.authorizer.claims"),
        *("$stageVariables.x", "#macro(m)x#end", "#include('x')", "#evaluate('x')", "#define($x)a#end"),
        *("#if(1", "#foreach($x in [1])", "#end", "x ${input.bodyx}"),
    ],
)
def test_what_api_gateway_does_not_have_is_refused_before_any_call(template):
    with pytest.raises(TemplateError):
        compiled(template)


@pytest.mark.parametrize("path", ["$..a", "$.a.b[*]", "$.a[?(@.x)]", "$.a.b[-1]", "$.list.length()"])
def test_a_json_path_it_does_not_do_is_refused(path):
    with pytest.raises(TemplateError, match="JSONPath"):
        rendered(f'$input.path("{path}")')


@pytest.mark.parametrize("template", ["$util.base64Decode('!')", "#set($x = 1 + 'a')$x", "$input.path()"])
def test_a_template_that_fails_says_so(template):
    with pytest.raises(TemplateError, match="the mapping template fails"):
        rendered(template)


def lesson_templates() -> dict[str, str]:
    """The mapping templates as lesson 13 sends them, by their names in the cells."""
    book = json.loads((ROOT / "notebooks" / "13_post_a_stream.ipynb").read_text())
    found: dict[str, str] = {}
    for cell in book["cells"]:
        for node in ast.parse("".join(cell["source"])).body if cell["cell_type"] == "code" else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                found[ast.unparse(node.targets[0])] = node.value.value
    return found


ODD_TEXTS = [
    'it\'s a "quote"',
    "a \\ backslash",
    "two\nlines",
    "no-break\u00a0space",
    "🎉",
    '{"ind":1}',
    "$input.body",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("name", ["RECORD", "RECORDS"])
def test_lesson_13_passes_every_text_on_as_it_is(name: str, text: str) -> None:
    body = {"data": text, "partition-key": text}
    call = json.loads(
        rendered(lesson_templates()[name], body if name == "RECORD" else {"records": [body, body]})
    )
    for record in [call] if name == "RECORD" else call["Records"]:
        assert (base64.b64decode(record["Data"]).decode(), record["PartitionKey"]) == (text, text)


@pytest.mark.parametrize("data", [{"index": 1}, [1], 7, True, None, ""], ids=repr)
@pytest.mark.parametrize("name", ["RECORD", "RECORDS"])
def test_lesson_13_leaves_out_data_that_is_no_text(name: str, data: object) -> None:
    for body in ({"data": data, "partition-key": "p"}, {"partition-key": "p"}):
        call = json.loads(
            rendered(lesson_templates()[name], body if name == "RECORD" else {"records": [body]})
        )
        [record] = [call] if name == "RECORD" else call["Records"]
        assert "Data" not in record and record["PartitionKey"] == "p"


def test_a_text_can_be_asked_how_it_starts() -> None:
    assert rendered("#if($input.path('$.text').startsWith(\"it\"))yes#end") == "yes"
